"""Texts as word pieces, and the group that each comes from."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.fine_tuning.sentences.config import Config
from experiments.fine_tuning.sentences.corpora import Corpus
from jattn import training


class Texts(NamedTuple):
    """One part of the texts; `wholes` are the chapters or pages of each."""

    wholes: list[str]
    tokens: list[np.ndarray]
    groups: np.ndarray


def parts(
    config: Config, corpus: Corpus, tokenize: Callable[[Sequence[str]], list[np.ndarray]]
) -> dict[str, Texts]:
    """As many texts of each part as are asked for, drawn by a seed that is always the same."""
    counts = {"train": config.verses, "valid": config.tuned, "test": config.tested}
    found = {}
    for name, references in corpus.split().items():
        order = np.random.default_rng(0).permutation(len(references))
        chosen = [references[i] for i in order[: counts[name] or None]]
        groups = np.array([corpus.groups[reference] for reference in chosen], np.int32)
        tokens = tokenize([corpus.texts[one] for one in chosen])
        found[name] = Texts([corpus.whole(one) for one in chosen], tokens, groups)
    return found


def batches(texts: Texts, config: Config, size: int) -> training.BucketedBatches:
    """Padded texts by the step."""
    columns = {"tokens": texts.tokens}
    return training.bucketed_batches(columns, size, buckets=config.buckets, seed=config.seed)


def with_groups(batch: dict[str, Any], texts: Texts) -> dict[str, Any]:
    """A batch with the group of each row; that of a filler, whose index is -1, does not count."""
    return {**batch, "groups": texts.groups[batch["index"]]}
