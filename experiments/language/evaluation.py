"""Bits per character of texts: every character is scored once, with the characters before it."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.language import model
from experiments.language.config import Config
from experiments.language.data import START, encode, windows

AT_ONCE = 16  # Windows in a batch.


class Scores(NamedTuple):
    """Bits of all characters, their number, and mean bits by place in the context."""

    bits: float
    characters: int
    by_place: np.ndarray

    @property
    def per_character(self) -> float:
        return self.bits / self.characters


@cache
def scorer(kind: str, config: Config) -> Callable[[model.Params, Any, Any], Any]:
    """Returns a compiled function of the bits `[b t]` that the characters of windows cost."""

    def of_windows(params, before, wanted):
        scores = jax.vmap(lambda tokens: model.logits(params, tokens, kind, config))(before)
        return model.bits(scores, wanted)

    return jax.jit(of_windows)


def score(
    score_windows: Callable[[model.Params, Any, Any], Any],
    params: model.Params,
    texts: Sequence[str],
    alphabet: str,
    config: Config,
) -> Scores:
    """Scores texts in windows of `context` characters that overlap by half.

    A window scores its last half; the first of each text scores all of it. So each character is
    scored once, with at least half a context before it where the text has so much.
    """
    context = config.context
    befores, wanteds, firsts, sizes = [], [], [], []
    for text in texts:
        tokens = encode(START + text, alphabet)
        before, wanted = tokens[:-1], tokens[1:]
        for first, last, scored in windows(len(wanted), context, max(1, context // 2)):
            # Padding comes last: no character before it attends to it.
            padding = (0, context - (last - first))
            befores.append(np.pad(before[first:last], padding))
            wanteds.append(np.pad(wanted[first:last], padding))
            firsts.append(scored - first)
            sizes.append(last - first)
    blank = np.zeros(context, np.int32)
    costs = []
    for at in range(0, len(befores), AT_ONCE):
        rest = [blank] * (AT_ONCE - len(befores[at : at + AT_ONCE]))
        batch = [np.stack(rows[at : at + AT_ONCE] + rest) for rows in (befores, wanteds)]
        costs.append(np.asarray(score_windows(params, *batch), np.float64))
    of_windows = np.concatenate(costs)[: len(befores)]
    place = np.arange(context)
    is_read = place < np.array(sizes)[:, None]
    is_scored = is_read & (place >= np.array(firsts)[:, None])
    by_place = np.where(is_read, of_windows, 0.0).sum(0) / np.maximum(1, is_read.sum(0))
    return Scores(float(of_windows[is_scored].sum()), int(is_scored.sum()), by_place)
