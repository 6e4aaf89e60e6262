"""Fonts for the words in a picture."""

import warnings

from jattn.plots.figure import families


def fonts_for(letters: str) -> list[str] | None:
    """Returns font families that together draw the letters, or None if no installed font does."""
    with warnings.catch_warnings(record=True) as missing:
        warnings.simplefilter("always")
        fonts = families([letters])
    return None if missing else fonts
