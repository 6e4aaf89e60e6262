"""Texts as word pieces, and the group that each comes from."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.command import check_count
from experiments.fine_tuning.sentences.config import Config
from experiments.fine_tuning.sentences.corpora import Corpus
from jattn import training


class Texts(NamedTuple):
    """A part of the texts; `wholes` are the chapters or pages of each."""

    wholes: list[str]
    tokens: list[np.ndarray]
    groups: np.ndarray


def parts(
    config: Config, corpus: Corpus, tokenize: Callable[[Sequence[str]], list[np.ndarray]]
) -> dict[str, Texts]:
    """Draws as many texts of each part as the options say, by a seed that is always the same.

    Raises:
        ValueError: an option asks for more texts than there are.
    """
    options = {"train": "verses", "valid": "tuned", "test": "tested"}
    split = corpus.split()
    for name, option in options.items():
        check_count(option, getattr(config, option), len(split[name]), f"{corpus.text} of {name}")
    drawn = {}
    for name, references in split.items():
        order = np.random.default_rng(0).permutation(len(references))
        chosen = [references[i] for i in order[: getattr(config, options[name]) or None]]
        groups = np.array([corpus.groups[reference] for reference in chosen], np.int32)
        tokens = tokenize([corpus.texts[reference] for reference in chosen])
        drawn[name] = Texts([corpus.whole(reference) for reference in chosen], tokens, groups)
    return drawn


def batches(texts: Texts, config: Config, size: int) -> training.BucketedBatches:
    """Returns padded batches by the step."""
    columns = {"tokens": texts.tokens}
    return training.bucketed_batches(columns, size, buckets=config.buckets, seed=config.seed)


def with_groups(batch: dict[str, Any], texts: Texts) -> dict[str, Any]:
    """Adds the group of each row; that of a filler, whose index is -1, does not count."""
    return {**batch, "groups": texts.groups[batch["index"]]}
