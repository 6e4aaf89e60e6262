"""Times of words from attention: the alignment heads' weights and dynamic time warping.

The steps are those of Whisper's original: weights of the heads that follow the sound are
standardized over the tokens, smoothed by a median filter over time and averaged; the cheapest
monotonic path through them gives each token the frames in which it was said.
"""

import numpy as np
from jaxtyping import Float, Int

STATE = 0.02  # Seconds of an encoder's state.
FILTER = 7


def alignment_matrix(
    weights: Float[np.ndarray, "h t s"], states: int, filter_width: int = FILTER
) -> Float[np.ndarray, "t s"]:
    """Returns how much each token belongs to each of the first `states` states.

    Args:
        weights: of the alignment heads, on all states.
        states: number of states of the recording; the rest of the window is padding.
    """
    weights = weights[:, :, :states] / weights[:, :, :states].sum(-1, keepdims=True)
    spread = weights.std(-2, keepdims=True)
    centred = weights - weights.mean(-2, keepdims=True)
    # A state to which all tokens attend equally tells nothing.
    standardized = np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 0)
    return median_filter(standardized, filter_width).mean(0)


def median_filter(values: Float[np.ndarray, "*n s"], width: int) -> Float[np.ndarray, "*n s"]:
    """Returns the median of `width` neighbours along the last axis, which is reflected at its ends.

    An axis that is no longer than the half width is returned as it is.
    """
    half = width // 2
    if values.shape[-1] <= half:
        return values
    padding = [(0, 0)] * (values.ndim - 1) + [(half, half)]
    padded = np.pad(values, padding, mode="reflect")
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, width, -1), -1)


def warp(costs: Float[np.ndarray, "t s"]) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """Returns the rows and columns of the cheapest path from the first entry to the last.

    Each step goes one row down, one column right, or both. Dynamic time warping, as in the
    original: of equal ways it prefers the column.
    """
    t, s = costs.shape
    above = [0.0] + [np.inf] * s
    steps = np.zeros((t + 1, s + 1), np.int8)
    steps[0], steps[:, 0] = 2, 1
    for i, row in enumerate(costs.tolist(), start=1):
        here = [np.inf] * (s + 1)
        for j, cost in enumerate(row, start=1):
            both, down, right = above[j - 1], above[j], here[j - 1]
            if both < down and both < right:
                best, step = both, 0
            elif down < both and down < right:
                best, step = down, 1
            else:
                best, step = right, 2
            here[j] = best + cost
            steps[i, j] = step
        above = here
    path = []
    while t > 0 or s > 0:
        path.append((t - 1, s - 1))
        step = steps[t, s]
        t, s = t - (step != 2), s - (step != 1)
    rows, columns = np.array(path[::-1], int).T
    return rows, columns


def starts(rows: Int[np.ndarray, " n"], columns: Int[np.ndarray, " n"]) -> Float[np.ndarray, " t"]:
    """Returns the second at which a path enters each row."""
    enters = np.diff(rows, prepend=-1) > 0
    return columns[enters] * STATE
