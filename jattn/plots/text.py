"""Attention for a terminal."""

from typing import Any

from jattn.plots.labelled import Labels, clipped, labelled, widest, width

SHADES = ((0.75, "█"), (0.5, "▓"), (0.25, "▒"), (0.05, "░"))
LONGEST = 8  # Letters of a column's label, so that ten columns fit into a terminal.


def attention_text(weights: Any, queries: Labels = None, keys: Labels = None) -> str:
    """Returns attention as lines of text: a row for each query, darker for larger weights.

        >>> print(attention_text([[0.8, 0.2], [0.3, 0.7]], ["HH", "AY"], "hi"))
            h  i
        HH  ██ ░░
        AY  ▒▒ ▓▓
        ░ from 5 %  ▒ 25 %  ▓ 50 %  █ 75 %

    Control characters in labels are replaced, the end of a line by `\\n`, so that no label
    breaks a line or changes the terminal.

    Args:
        weights: [t s], of t queries to s keys.
        queries: a label for each row, or a string, one letter a row; by default none.
        keys: the same for columns.

    Raises:
        ValueError: if weights is no matrix, a weight is negative or not finite, or the number of
            labels differs from that of rows or columns.
    """
    weights, queries, keys, _ = labelled("attention_text", weights, queries, keys)
    rows, columns = clipped(queries, 2 * LONGEST), clipped(keys, LONGEST)
    margin, cell = widest(rows), max(2, widest(columns))
    lines = [[" " * margin, "", *(_padded(label, cell) for label in columns)]] if columns else []
    for row, label in zip(weights, rows or [""] * len(weights), strict=True):
        lines.append([_padded(label, margin), "", *(_shade(weight) * cell for weight in row)])
    legend = "  ".join(f"{shade} {bound:.0%}".replace("%", " %") for bound, shade in SHADES[::-1])
    return "\n".join([*(" ".join(x).rstrip() for x in lines), legend.replace(" ", " from ", 1)])


def _shade(weight: float) -> str:
    return next((shade for bound, shade in SHADES if weight >= bound), " ")


def _padded(label: str, columns: int) -> str:
    return label + " " * (columns - width(label))
