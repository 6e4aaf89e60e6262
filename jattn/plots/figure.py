"""Figures without pyplot: made, given letters that their fonts can draw, and written."""

import io
import os
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure of so many inches.

    Raises:
        ImportError: if matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('jattn.plots needs matplotlib: pip install "jattn[plots]"') from error
    return Figure(figsize=(width, height))


def tone(part: float) -> tuple[float, float, float]:
    """The background's colour at 0, that of text at 1, a mixture in between: a grey on white."""
    from matplotlib import rcParams
    from matplotlib.colors import to_rgb

    back, front = to_rgb(rcParams["axes.facecolor"]), to_rgb(rcParams["text.color"])
    red, green, blue = (b + part * (f - b) for b, f in zip(back, front, strict=True))
    return red, green, blue


def colours() -> Any:
    """One hue from the background's end to the text's, read without colour vision and in print."""
    from matplotlib.colors import LinearSegmentedColormap

    if sum(tone(0.0)) > 1.5:
        return "Blues"
    return LinearSegmentedColormap.from_list("dark blues", [tone(0.0), "#2171B5", "#DEEBF7"])


def in_style(ax: Any) -> None:
    """Gives ticks that are made when they are drawn the style of now."""
    ax.tick_params(which="both", color=tone(1.0), labelcolor=tone(1.0))


def families(texts: Iterable[str]) -> list[str]:
    """Font families that together draw `texts`: the default ones, and others where these lack.

    Chinese, Japanese and Korean are not in the font that comes with matplotlib. What no installed
    font draws is shown as a box, with a warning that names it.
    """
    from matplotlib import font_manager, rcParams

    chosen = list(rcParams["font.family"])
    found = font_manager.fontManager.findfont(font_manager.FontProperties(family=chosen))
    missing = _undrawn(set("".join(texts)), found)
    fonts = sorted(font_manager.fontManager.ttflist, key=lambda font: (font.name, font.fname))
    for font in fonts if missing else ():
        # The font of last resort draws boxes, for every letter.
        left = missing if "Last Resort" in font.name else _undrawn(missing, font.fname)
        if len(left) < len(missing):
            chosen.append(font.name)
            missing = left
    if missing:
        warnings.warn(
            f"no installed font draws {' '.join(sorted(missing))}; "
            "install one that does, such as Noto Sans CJK for Chinese, Japanese and Korean",
            stacklevel=5,  # Where a picture was asked for.,
        )
    return chosen


def _undrawn(letters: set[str], font: str) -> set[str]:
    from matplotlib import font_manager

    face = font_manager.get_font(font)
    return {x for x in letters if not face.get_char_index(ord(x)) and not x.isspace()}


def save(figure: "Figure", path: str | os.PathLike, *, dots_per_inch: int = 150) -> None:
    """Writes `figure` whole or not at all, in the format that the name ends with, such as .png.

    Raises:
        ValueError: if matplotlib knows no such format.
        OSError: naming `path`; what was there before is intact.
    """
    from matplotlib import rc_context

    from jattn.atomic import write_atomically

    suffix = Path(path).suffix.removeprefix(".").lower()
    known = figure.canvas.get_supported_filetypes()
    if suffix not in known:
        raise ValueError(f"save: {path} ends with none of {', '.join(sorted(known))}")
    # Without dates and random ids, the same picture is the same file.
    undated: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    data = io.BytesIO()
    with rc_context({"svg.hashsalt": "jattn"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # `families` has said so.
        figure.savefig(
            data,
            format=suffix,
            dpi=dots_per_inch,
            metadata=undated.get(suffix),
            bbox_inches="tight",
        )
    write_atomically(path, data.getvalue())
