"""Translations by a model, and its attention compared with human links."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.seq2seq import batches_by_width
from experiments.translation import alignment, data, model
from experiments.translation import pieces as subwords
from experiments.translation.config import Config
from experiments.translation.corpora import CORPORA
from experiments.translation.data import Example
from jattn import training

WIDTHS = (40, 128)  # Pieces that a pair is padded to: one compilation each.
AT_ONCE = 128


class Forced(NamedTuple):
    """Loss of a piece in given translations, and the attention of each translation."""

    loss: float
    weights: list[np.ndarray]


def progress(params: Any, examples: Sequence[Example], config: Config) -> dict[str, float]:
    """Returns the loss and, with links, the alignment error of given translations, during a run."""
    decoded = forced(params, examples, config)
    measured = {"loss": decoded.loss}
    if is_aligned(config):
        measured["alignment_error_rate"] = error(decoded.weights, examples)
    return measured


def is_aligned(config: Config) -> bool:
    """Returns whether there is attention, and links to compare it with."""
    return config.attention != "none" and CORPORA[config.corpus].is_linked


def error(weights: Sequence[np.ndarray], examples: Sequence[Example]) -> float:
    """Returns the alignment error rate of attention between words."""
    pairs = [example.pair for example in examples]
    links = [alignment.links(rows, pair.marks) for rows, pair in zip(weights, pairs, strict=True)]
    return alignment.alignment_error_rate(links, [pair.links for pair in pairs])


def forced(params: Any, examples: Sequence[Example], config: Config) -> Forced:
    """Predicts each sentence's given translation, piece by piece."""
    decoded = _forced_rows(params, examples, config)
    return Forced(decoded.loss, _all_words(decoded.weights, examples))


def shifted_errors(
    params: Any, examples: Sequence[Example], config: Config, shifts: Sequence[int]
) -> dict[int, float]:
    """Returns the alignment error rate if each piece is given the row so many places on.

    Only 0 takes the row that `config.aligned` names; the others show neighbouring rows.
    """
    weights = _forced_rows(params, examples, config).weights
    moved = {shift: [np.roll(rows, -shift, axis=0) for rows in weights] for shift in shifts}
    return {shift: error(_all_words(rows, examples), examples) for shift, rows in moved.items()}


def _all_words(weights: Sequence[np.ndarray], examples: Sequence[Example]) -> list[np.ndarray]:
    return [
        alignment.word_weights(rows, example.target.words, example.source.words)
        for rows, example in zip(weights, examples, strict=True)
    ]


def _forced_rows(params: Any, examples: Sequence[Example], config: Config) -> Forced:
    weights: list[Any] = [None] * len(examples)
    total, count = 0.0, 0
    for rows, batch in padded(examples):
        tokens = int((batch["target_length"] + (batch["source_length"] > 0)).sum())
        loss, attention = model.forced(params, batch, config=config)
        total, count = total + float(loss) * tokens, count + tokens
        for row, every_step in zip(rows, np.asarray(attention), strict=False):
            steps = every_step[: len(examples[row].target.pieces) + 1]
            weights[row] = steps[1:] if config.aligned == "reads" else steps
    return Forced(total / max(1, count), weights)


def translations(
    params: Any,
    examples: Sequence[Example],
    learned: subwords.Pieces,
    config: Config,
) -> list[str]:
    """Returns the likeliest translation of each sentence."""
    target = subwords.processor(learned.target)
    translated: list[str] = [""] * len(examples)
    for rows, batch in padded(examples):
        width = batch["source"].shape[1]
        tokens, lengths = model.translate(
            params, batch["source"], batch["source_length"], config=config, max_steps=width + 24
        )
        for row, pieces, length in zip(rows, np.asarray(tokens), np.asarray(lengths), strict=False):
            translated[row] = subwords.decode(target, pieces[:length])
    return translated


def padded(examples: Sequence[Example]) -> Iterator[tuple[list[int], dict[str, np.ndarray]]]:
    """Yields batches of a few shapes, with the rows of their pairs; empty ones fill the last."""
    for width, rows in batches_by_width(list(map(data.longest, examples)), WIDTHS, AT_ONCE):
        batch: dict[str, np.ndarray] = {}
        for name, column in data.columns([examples[row] for row in rows]).items():
            empty = [column[0][:0]] * (AT_ONCE - len(rows))
            batch[name], batch[f"{name}_length"] = training.pad_to(column + empty, width)
        yield rows, batch
