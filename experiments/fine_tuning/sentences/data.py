"""Verses as word pieces, and the group of books that each comes from."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments import english_bible
from experiments.fine_tuning.sentences.config import Config
from jattn import training


class Verses(NamedTuple):
    """One part of the text."""

    references: list[str]
    tokens: list[np.ndarray]
    groups: np.ndarray


def parts(
    config: Config, text: Mapping[str, str], tokenize: Callable[[Sequence[str]], list[np.ndarray]]
) -> dict[str, Verses]:
    """As many verses of each part as are asked for, drawn by a seed that is always the same."""
    counts = {"train": config.verses, "valid": config.tuned, "test": config.tested}
    found = {}
    for name, references in english_bible.split(list(text)).items():
        order = np.random.default_rng(0).permutation(len(references))
        chosen = [references[i] for i in order[: counts[name] or None]]
        groups = np.array([english_bible.group(reference) for reference in chosen], np.int32)
        found[name] = Verses(chosen, tokenize([text[one] for one in chosen]), groups)
    return found


def batches(verses: Verses, config: Config, size: int) -> training.Bucketed:
    """Padded verses by the step."""
    columns = {"tokens": verses.tokens}
    return training.bucketed_batches(columns, size, buckets=config.buckets, seed=config.seed)


def with_groups(batch: dict[str, Any], verses: Verses) -> dict[str, Any]:
    """A batch with the group of each row; that of a filler, whose index is -1, does not count."""
    return {**batch, "groups": verses.groups[batch["index"]]}
