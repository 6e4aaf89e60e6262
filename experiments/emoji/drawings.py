"""Pictures of a colour font whose glyphs are PNG images (OpenType tables CBDT and CBLC)."""

import io
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments import debian
from experiments.archive import DataError

PACKAGE = "fonts-noto-color-emoji"
FONT = Path("usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
SIDE = 32  # Pixels.
GREY = 128  # Of the background, which is transparent in the font.
JOINER, AS_PICTURE = 0x200D, 0xFE0F  # Code points between others, and after one.


def read_drawings(sequences: Sequence[str]) -> tuple[dict[str, np.ndarray], str]:
    """Returns the picture of each emoji that the font has, and the font's version.

    A picture is [y x 3] bytes. An emoji of several code points is a ligature of the font.

    Raises:
        DataError: the font cannot be had, or is damaged.
    """
    folder = debian.unpacked(PACKAGE, [PACKAGE])
    path = folder / FONT
    try:
        return dict(_drawn(path, sequences)), debian.version(folder)
    except ImportError:
        raise DataError(f'{path}: needs fonttools and pillow: pip install "jattn[plots]"') from None
    except FileNotFoundError as error:
        raise DataError(f"{error.filename}: is missing; delete the folder {folder}") from None
    except (OSError, KeyError, ValueError, AssertionError, struct.error, _font_error()) as error:
        raise DataError(f"{path}: is no font of pictures ({error}); delete {folder}") from None


def _font_error() -> type[Exception]:
    from fontTools.ttLib import TTLibError

    return TTLibError


def _drawn(path: Path, sequences: Sequence[str]) -> Iterator[tuple[str, np.ndarray]]:
    from fontTools.ttLib import TTFont

    with path.open("rb") as file, TTFont(file, lazy=True) as font:
        glyphs, ligatures = font.getBestCmap() or {}, ligatures_of(font)
        (images,) = font["CBDT"].strikeData
        for sequence in sequences:
            parts = tuple(glyphs.get(ord(c)) for c in sequence if ord(c) != AS_PICTURE)
            glyph = parts[0] if len(parts) == 1 else ligatures.get(parts)
            if glyph in images:
                yield sequence, reduced(images[glyph].imageData)


def ligatures_of(font: Any) -> dict[tuple[str | None, ...], str]:
    """Returns the glyph that replaces each sequence of glyphs."""
    return {
        (first, *ligature.Component): ligature.LigGlyph
        for lookup in font["GSUB"].table.LookupList.Lookup
        for table in lookup.SubTable
        for first, ligatures in getattr(table, "ligatures", {}).items()
        for ligature in ligatures
    }


def reduced(png: bytes) -> np.ndarray:
    """Returns an image in the middle of a grey square, reduced to SIDE x SIDE pixels."""
    from PIL import Image

    image = Image.open(io.BytesIO(png)).convert("RGBA")
    side = max(image.size)
    square = Image.new("RGBA", (side, side), (GREY, GREY, GREY, 255))
    corner = ((square.width - image.width) // 2, (square.height - image.height) // 2)
    square.alpha_composite(image, corner)
    return np.asarray(square.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX))
