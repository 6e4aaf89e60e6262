"""Figures that are readable on light and on dark pages."""

from typing import Any

GREY = "#808080"  # Readable on white and on black.


def finish(figure: Any) -> None:
    """Makes the background transparent, and all text outside of coloured cells grey."""
    from matplotlib.text import Text

    figure.patch.set_alpha(0.0)
    for panel in figure.axes:
        panel.set_facecolor("none")
        panel.tick_params(colors=GREY, which="both")
        for spine in panel.spines.values():
            spine.set_color(GREY)
        for line in (*panel.get_xgridlines(), *panel.get_ygridlines()):
            line.set(color=GREY, alpha=0.3)
        inside = {id(text) for text in panel.texts}
        for text in panel.findobj(Text):
            if id(text) not in inside:
                text.set_color(GREY)
    for legend in figure.legends:
        for text in legend.get_texts():
            text.set_color(GREY)
