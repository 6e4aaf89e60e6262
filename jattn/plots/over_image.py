"""Weights over the patches of an image, laid on it."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jattn.plots.figure import families, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIDE, ABOVE, GAP = 1.9, 0.5, 0.15  # Inches: a panel's longer side, titles, between panels.
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

    Weights are interpolated between the centres of patches. Full colour is the query's largest
    weight, which its title tells: of many patches even the largest is small.

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
    count = patches[0] * patches[1]
    if image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)):
        expected = "(height, width) or (height, width, 3)"
        raise ValueError(
            f"attention_over_image: image has shape {image.shape}, expected {expected}"
        )
    if weights.ndim != 2 or weights.shape[1] != count:
        expected = f"(t, {count}) for {patches[0]} x {patches[1]} patches"
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
    rows = math.ceil((len(weights) + 1) / columns)
    high, wide = (SIDE * side / max(image.shape[:2]) for side in image.shape[:2])
    figure = new_figure(columns * (wide + GAP), rows * (high + ABOVE))
    figure.set_layout_engine("constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for ax in panels:
        ax.set_axis_off()
    panels[0].imshow(image, "gray", vmin=0.0, vmax=1.0)
    fonts = families(shown)
    for ax, title, one in zip(panels[1:], shown, weights, strict=False):
        largest = one.max(initial=0.0)
        ax.imshow(grey, "gray", vmin=0.0, vmax=1.0)
        ax.set_title(f"{title}\nlargest {100.0 * largest:.3g} %", family=fonts, size="medium")
        ax.imshow(
            one.reshape(patches),
            _veil(),
            vmin=0.0,
            vmax=largest or 1.0,
            extent=(-0.5, image.shape[1] - 0.5, image.shape[0] - 0.5, -0.5),
            interpolation="bilinear",
        )
    return figure


def _veil() -> Any:
    """From clear to nearly covered, in one hue."""
    from matplotlib.colors import LinearSegmentedColormap, to_rgba

    return LinearSegmentedColormap.from_list("veil", [to_rgba(LAID, 0.0), to_rgba(LAID, 0.9)])
