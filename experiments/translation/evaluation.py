"""Sentences translated by a model, scored, and its attention compared with the human links."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.translation import alignment, data, model
from experiments.translation import pieces as subwords
from experiments.translation.config import Config
from experiments.translation.corpora import CORPORA
from experiments.translation.data import Example
from jattn import training

WIDTHS = (40, 128)  # Pieces that a pair is padded to: one compilation each.
AT_ONCE = 128


class Forced(NamedTuple):
    """A model on given translations: loss of a piece, and each one's attention."""

    loss: float
    weights: list[np.ndarray]


def progress(params: Any, examples: Sequence[Example], config: Config) -> dict[str, float]:
    """Loss and, with links, alignment error of given translations, as measured through a run."""
    found = forced(params, examples, config)
    measured = {"loss": found.loss}
    if is_aligned(config):
        measured["alignment_error_rate"] = error(found.weights, examples)
    return measured


def is_aligned(config: Config) -> bool:
    """Whether there is attention, and links to compare it with."""
    return config.attention != "none" and CORPORA[config.corpus].is_linked


def error(weights: Sequence[np.ndarray], examples: Sequence[Example]) -> float:
    """The alignment error rate of attention between words."""
    pairs = [example.pair for example in examples]
    found = [alignment.links(w, pair.marks) for w, pair in zip(weights, pairs, strict=True)]
    return alignment.alignment_error_rate(found, [pair.links for pair in pairs])


def forced(params: Any, examples: Sequence[Example], config: Config) -> Forced:
    """Predicts each sentence's given translation, piece by piece."""
    rows = _forced_rows(params, examples, config)
    return Forced(rows.loss, [_of_words(w, e) for w, e in zip(rows.weights, examples, strict=True)])


def shifted_errors(
    params: Any, examples: Sequence[Example], config: Config, shifts: Sequence[int]
) -> dict[int, float]:
    """The alignment error rate if each piece is given the row so many places on.

    Only 0 takes the row that `config.aligned` names: the others show what the next ones hold.
    """
    weights = _forced_rows(params, examples, config).weights
    moved = {shift: [np.roll(one, -shift, axis=0) for one in weights] for shift in shifts}
    return {
        shift: error([_of_words(w, e) for w, e in zip(rows, examples, strict=True)], examples)
        for shift, rows in moved.items()
    }


def _of_words(weights: np.ndarray, example: Example) -> np.ndarray:
    return alignment.word_weights(weights, example.target.words, example.source.words)


def _forced_rows(params: Any, examples: Sequence[Example], config: Config) -> Forced:
    weights: list[Any] = [None] * len(examples)
    total, count = 0.0, 0
    for rows, batch in padded(examples):
        tokens = int((batch["target_length"] + (batch["source_length"] > 0)).sum())
        loss, attention = model.forced(params, batch, config=config)
        total, count = total + float(loss) * tokens, count + tokens
        for row, one in zip(rows, np.asarray(attention), strict=False):
            steps = one[: len(examples[row].target.pieces) + 1]
            weights[row] = steps[1:] if config.aligned == "reads" else steps
    return Forced(total / max(1, count), weights)


def translations(
    params: Any,
    examples: Sequence[Example],
    learned: subwords.Pieces,
    config: Config,
) -> list[str]:
    """The likeliest translation of each sentence."""
    target = subwords.processor(learned.target)
    found: list[str] = [""] * len(examples)
    for rows, batch in padded(examples):
        width = batch["source"].shape[1]
        tokens, lengths = model.translate(
            params, batch["source"], batch["source_length"], config=config, max_steps=width + 24
        )
        for row, pieces, length in zip(rows, np.asarray(tokens), np.asarray(lengths), strict=False):
            found[row] = subwords.decode(target, pieces[:length])
    return found


def padded(examples: Sequence[Example]) -> Iterator[tuple[list[int], dict[str, np.ndarray]]]:
    """Batches of a few shapes, with the places of their pairs; empty ones fill the last."""
    below = 0
    for width in WIDTHS:
        here = [i for i, one in enumerate(examples) if below < data.longest(one) <= width]
        below = width
        for first in range(0, len(here), AT_ONCE):
            rows = here[first : first + AT_ONCE]
            batch: dict[str, np.ndarray] = {}
            for name, column in data.columns([examples[row] for row in rows]).items():
                empty = [column[0][:0]] * (AT_ONCE - len(rows))
                batch[name], batch[f"{name}_length"] = training.pad_to(column + empty, width)
            yield rows, batch
