"""Pictures of weights over the patches of an image."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jattn.plots.figure import LITERAL, families, new_figure
from jattn.plots.labelled import array_of, check_count, labels_of, weights_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIDE, ABOVE, GAP = 1.9, 0.5, 0.15  # Inches: a panel's longer side, titles, between panels.
VEIL = "#D55E00"  # Of Okabe and Ito's palette, visible on light and dark images.


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
    weight, which is written into its title, since all weights are small if patches are many.

    Args:
        image: [height width] or [height width 3], of bytes or of numbers from 0 to 1.
        weights: [t patches] of t queries, or [patches] of one query; patches row by row.
        patches: number of rows and number of columns of patches.
        titles: one for each query, such as the words of a caption; by default numbers.
        columns: panels in a row.

    Raises:
        ValueError: if the image or the weights have another shape, an entry of the image is
            outside 0 to 1, a weight is negative or not finite, the number of titles differs from
            that of queries, or a count is no whole number above 0.
        ImportError: if matplotlib is not installed.
    """
    check_count("attention_over_image", "columns", columns)
    if not isinstance(patches, Sequence) or len(patches) != 2:
        raise ValueError(f"attention_over_image: patches is {patches!r}, expected (rows, columns)")
    for index, number in enumerate(patches):
        check_count("attention_over_image", f"patches[{index}]", number)
    of_bytes = getattr(image, "dtype", None) == np.uint8
    image = array_of("attention_over_image", "image", image) / (255.0 if of_bytes else 1.0)
    weights = np.atleast_2d(weights_of("attention_over_image", weights))
    count = patches[0] * patches[1]
    if image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)) or image.size == 0:
        expected = "(height, width) or (height, width, 3)"
        raise ValueError(
            f"attention_over_image: image has shape {image.shape}, expected {expected}"
        )
    if weights.ndim != 2 or weights.shape[1] != count:
        expected = f"(t, {count}) for {patches[0]} x {patches[1]} patches"
        raise ValueError(
            f"attention_over_image: weights has shape {weights.shape}, expected {expected}"
        )
    if not ((image >= 0.0) & (image <= 1.0)).all():  # NaN is outside too.
        raise ValueError(
            "attention_over_image: image has entries outside 0 to 1, "
            "expected bytes (uint8) or numbers from 0 to 1"
        )
    titles = range(len(weights)) if titles is None else titles
    captions = labels_of("attention_over_image", "titles", titles)
    if len(captions) != len(weights):
        raise ValueError(
            f"attention_over_image: titles has {len(captions)} entries, expected {len(weights)}"
        )
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
    fonts = families(captions)
    for ax, caption, of_query in zip(panels[1:], captions, weights, strict=False):
        largest = of_query.max(initial=0.0)
        ax.imshow(grey, "gray", vmin=0.0, vmax=1.0)
        title = f"{caption}\nlargest {100.0 * largest:.3g} %"
        ax.set_title(title, family=fonts, size="medium", **LITERAL)
        ax.imshow(
            of_query.reshape(patches),
            _veil(),
            vmin=0.0,
            vmax=largest or 1.0,
            extent=(-0.5, image.shape[1] - 0.5, image.shape[0] - 0.5, -0.5),
            interpolation="bilinear",
        )
    return figure


def _veil() -> Any:
    """Returns a colour map from clear to nearly opaque, in one hue."""
    from matplotlib.colors import LinearSegmentedColormap, to_rgba

    return LinearSegmentedColormap.from_list("veil", [to_rgba(VEIL, 0.0), to_rgba(VEIL, 0.9)])
