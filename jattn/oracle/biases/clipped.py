"""Biases of clipped distances in NumPy, one pair at a time."""

from jattn.oracle.biases.each import every_pair


def relative(table):
    """Returns a function of distances that returns (bias, pullback): dtable[row, h] = db."""
    rows, heads = table.shape
    row = lambda n: min(max(n + (rows - 1) // 2, 0), rows - 1)
    return lambda distances: every_pair(
        [table],
        heads,
        distances,
        lambda head, n: table[row(n), head],
        lambda head, n: [((row(n), head), 1)],
    )
