"""Figures without pyplot: new ones, their colours and fonts, and the file they are written to."""

import functools
import io
import os
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jattn.plots.labelled import check_above_0

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# For text that a user gives: a dollar sign is a dollar sign, and starts no formula.
LITERAL: dict[str, Any] = {"parse_math": False, "usetex": False}


def new_figure(width: float, height: float) -> "Figure":
    """Returns an empty figure of so many inches.

    Raises:
        ImportError: if matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('jattn.plots needs matplotlib: pip install "jattn[plots]"') from error
    return Figure(figsize=(width, height))


def tone(part: float) -> tuple[float, float, float]:
    """Returns a mixture of the style's colours: the background at 0, the text at 1."""
    from matplotlib import rcParams
    from matplotlib.colors import to_rgb

    back, front = to_rgb(rcParams["axes.facecolor"]), to_rgb(rcParams["text.color"])
    red, green, blue = (b + part * (f - b) for b, f in zip(back, front, strict=True))
    return red, green, blue


def colours() -> Any:
    """Returns a colour map of one hue, from near the background to near the text's colour."""
    from matplotlib.colors import LinearSegmentedColormap

    if sum(tone(0.0)) > 1.5:
        return "Blues"
    return LinearSegmentedColormap.from_list("dark blues", [tone(0.0), "#2171B5", "#DEEBF7"])


def in_style(ax: Any) -> None:
    """Gives ticks the present style: matplotlib creates some of them only when it draws."""
    ax.tick_params(which="both", color=tone(1.0), labelcolor=tone(1.0))


def families(texts: Iterable[str]) -> list[str]:
    """Returns font families that together draw `texts`, the default ones first.

    Chinese, Japanese and Korean are not in the font that comes with matplotlib. A letter that no
    installed font has is drawn as a box, with a warning that names it.
    """
    from matplotlib import font_manager, rcParams

    letters = frozenset("".join(texts)) - {"\n"}
    installed = len(font_manager.fontManager.ttflist)
    chosen, missing = _fonts_for(letters, tuple(rcParams["font.family"]), installed)
    if missing:
        warnings.warn(
            f"no installed font draws {' '.join(sorted(missing))}; "
            "install one that does, such as Noto Sans CJK for Chinese, Japanese and Korean",
            stacklevel=5,  # The line that called the plot function.
        )
    return list(chosen)


@functools.cache  # A grid asks for the same letters at each head.
def _fonts_for(
    letters: frozenset[str], default: tuple[str, ...], installed: int
) -> tuple[tuple[str, ...], set[str]]:
    """Returns font families for `letters`, and the letters that none of `installed` fonts has."""
    from matplotlib import font_manager

    chosen = list(default)
    file = font_manager.fontManager.findfont(font_manager.FontProperties(family=chosen))
    missing = _undrawn(set(letters), file)
    if not missing:
        return default, missing
    fonts = sorted(font_manager.fontManager.ttflist, key=lambda font: (font.name, font.fname))
    for font in fonts:
        # The font of last resort draws boxes, for every letter.
        undrawn = missing if "Last Resort" in font.name else _undrawn(missing, font.fname)
        if len(undrawn) < len(missing):
            chosen.append(font.name)
            missing = undrawn
    return tuple(chosen), missing


def _undrawn(letters: set[str], font: str) -> set[str]:
    from matplotlib import font_manager

    face = font_manager.get_font(font)
    return {x for x in letters if not face.get_char_index(ord(x)) and not x.isspace()}


def save(
    figure: "Figure",
    path: str | os.PathLike,
    *,
    dots_per_inch: float = 150,
    transparent: bool = False,
) -> None:
    """Writes `figure` whole or not at all, in the format that the name ends with, such as .png.

    Args:
        figure: a figure of this package, or any other of matplotlib.
        path: the file to write; an existing one is replaced.
        dots_per_inch: resolution of pixels.
        transparent: leaves the background out, for a page whose background is like the style's:
            text keeps the colour that it has.

    Raises:
        ValueError: if matplotlib has no such format, or `dots_per_inch` is no number above 0.
        OSError: naming `path`; an existing file is left as it was.
    """
    from matplotlib import rc_context

    from jattn.atomic import write_atomically

    check_above_0("save", "dots_per_inch", dots_per_inch)
    suffix = Path(path).suffix.removeprefix(".").lower()
    formats = figure.canvas.get_supported_filetypes()
    if suffix not in formats:
        raise ValueError(f"save: {path} ends with none of {', '.join(sorted(formats))}")
    # Without dates and random ids, the same picture is the same file.
    undated: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    data = io.BytesIO()
    with rc_context({"svg.hashsalt": "jattn"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # `families` has warned.
        figure.savefig(
            data,
            format=suffix,
            dpi=dots_per_inch,
            transparent=transparent,
            metadata=undated.get(suffix),
            bbox_inches="tight",
        )
    write_atomically(path, data.getvalue())
