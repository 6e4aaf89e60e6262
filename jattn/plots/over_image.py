"""Weights over the patches of an image, laid on it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jattn.plots.figure import families, in_style, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIDE, BAR = 1.9, 0.8  # Inches of a panel's longer side, and for the colour bar.
LAID = "#D55E00"  # Of Okabe and Ito's palette: seen on what is light and on what is dark.


def attention_over_image(
    image: Any,
    weights: Any,
    patches: tuple[int, int],
    *,
    titles: Sequence[Any] | None = None,
    columns: int = 4,
) -> "Figure":
    """Draws the image, and for each query the image in grey under the weights of its patches.

    Weights are interpolated between the centres of patches; the scale of all panels ends at the
    largest weight.

    Args:
        image: [height width] or [height width 3], of bytes or of numbers from 0 to 1.
        weights: of t queries to the patches, row by row: [t patches], or [patches] of one query.
        patches: how many rows and columns of patches there are.
        titles: one for each query, such as the words of a caption; numbers without.

    Raises:
        ValueError: if the image or the weights have another shape, or a title is missing or left
            over.
        ImportError: if matplotlib is not installed.
    """
    image, weights = np.asarray(image), np.atleast_2d(np.asarray(weights, np.float64))
    high, wide = patches
    if image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)):
        expected = "(height, width) or (height, width, 3)"
        raise ValueError(
            f"attention_over_image: image has shape {image.shape}, expected {expected}"
        )
    if weights.ndim != 2 or weights.shape[1] != high * wide:
        expected = f"(t, {high * wide}) for {high} x {wide} patches"
        raise ValueError(
            f"attention_over_image: weights has shape {weights.shape}, expected {expected}"
        )
    shown = list(map(str, range(len(weights)) if titles is None else titles))
    if len(shown) != len(weights):
        raise ValueError(
            f"attention_over_image: titles has {len(shown)} entries, expected {len(weights)}"
        )
    image = image / 255.0 if image.dtype == np.uint8 else np.asarray(image, np.float64)
    grey = image @ (0.299, 0.587, 0.114) if image.ndim == 3 else image  # Luma of BT.601.
    columns = min(columns, len(weights) + 1)
    rows = -(-(len(weights) + 1) // columns)
    scale = SIDE / max(image.shape[:2])
    tall, broad = scale * image.shape[0] + 0.35, scale * image.shape[1] + 0.15
    figure = new_figure(columns * broad + BAR, rows * tall)
    figure.set_layout_engine("constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for ax in panels:
        ax.set_axis_off()
    panels[0].imshow(image, "gray", vmin=0.0, vmax=1.0)
    laid, fonts = None, families(shown)
    for ax, title, one in zip(list(panels)[1:], shown, weights, strict=False):
        ax.imshow(grey, "gray", vmin=0.0, vmax=1.0)
        ax.set_title(title, family=fonts)
        laid = ax.imshow(
            one.reshape(patches),
            _veil(),
            vmin=0.0,
            vmax=weights.max(initial=0.0) or 1.0,
            extent=(-0.5, image.shape[1] - 0.5, image.shape[0] - 0.5, -0.5),
            interpolation="bilinear",
        )
    if laid is not None:
        bar = figure.colorbar(laid, ax=figure.axes, label="attention weight", aspect=12 * rows)
        in_style(bar.ax)
    return figure


def _veil() -> Any:
    """From clear to nearly covered, in one hue."""
    from matplotlib.colors import LinearSegmentedColormap, to_rgba

    return LinearSegmentedColormap.from_list("veil", [to_rgba(LAID, 0.0), to_rgba(LAID, 0.9)])
