"""Batches as pure functions of (seed, step), so that resuming replays nothing."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jattn.training.padding import length_buckets, pad_to


def shuffled_batches(arrays: Any, batch_size: int, *, seed: int = 0) -> Callable[[int], Any]:
    """Returns `batches(step)`, for arrays that share their first axis, shuffled every epoch.

    An epoch is `size // batch_size` steps. What is left over is skipped in that epoch; it is
    other examples each time.

    Raises:
        ValueError: the arrays disagree on the first axis, or it is shorter than a batch.
    """
    sizes = sorted({len(leaf) for leaf in jax.tree.leaves(arrays)})
    if len(sizes) != 1 or not 1 <= batch_size <= sizes[0]:
        raise ValueError(
            f"shuffled_batches: arrays have lengths {sizes}, expected one length of at least"
            f" batch_size={batch_size}, itself at least 1"
        )
    steps_per_epoch = sizes[0] // batch_size

    @functools.lru_cache(maxsize=2)
    def order(epoch):
        return np.random.default_rng([seed, epoch]).permutation(sizes[0])

    def batches(step: int) -> Any:
        epoch, place = divmod(step, steps_per_epoch)
        rows = order(epoch)[place * batch_size :][:batch_size]
        return jax.tree.map(lambda leaf: leaf[rows], arrays)

    return batches


@dataclasses.dataclass(frozen=True, eq=False)
class BucketedBatches:
    """Calling it with a step gives that step's batch; see `bucketed_batches`.

    `steps_per_epoch` batches hold every example once; `shapes` has, for each bucket, the padded
    length of each column.
    """

    columns: Mapping[str, Sequence[Any]]
    pad_value: float
    steps_per_epoch: int
    shapes: tuple[dict[str, int], ...]
    groups: Callable[[int], list[tuple[int, np.ndarray]]]

    def __call__(self, step: int) -> dict[str, np.ndarray]:
        epoch, place = divmod(step, self.steps_per_epoch)
        bucket, rows = self.groups(epoch)[place]
        batch = {"index": rows}
        for name, column in self.columns.items():
            # A row of -1 is filled with an empty sequence.
            sequences = [column[row] if row >= 0 else column[rows[0]][:0] for row in rows]
            length = self.shapes[bucket][name]
            batch[name], batch[f"{name}_length"] = pad_to(sequences, length, value=self.pad_value)
        return batch


def _shuffled_groups(buckets, batch_size: int, seed: int, epoch: int):
    """The epoch's batches in order, as (bucket, indices of examples)."""
    rng = np.random.default_rng([seed, epoch])
    groups, left = [], np.zeros(0, np.int32)
    for bucket, rows in enumerate(buckets):
        rows = np.concatenate([left, rng.permutation(rows)])
        whole = len(rows) - len(rows) % batch_size
        groups += [(bucket, group) for group in rows[:whole].reshape(-1, batch_size)]
        left = rows[whole:]
    if len(left):
        filler = np.full(batch_size - len(left), -1, np.int32)
        groups.append((len(buckets) - 1, np.concatenate([left, filler])))
    return [groups[place] for place in rng.permutation(len(groups))]


def bucketed_batches(
    columns: Mapping[str, Sequence[Any]],
    batch_size: int,
    *,
    buckets: int = 4,
    seed: int = 0,
    pad_value: float = 0,
) -> BucketedBatches:
    """Returns `batches(step)`, for examples made of sequences, in at most `buckets` shapes.

    A batch is a dict of, for each column, its padded sequences `[b s ...]` and `<column>_length`
    `[b]`, and of `index` `[b]`, the place of each row in the columns.

    Every example is in exactly one batch of an epoch (`steps_per_epoch` of them, in a new order
    each). An example's bucket is chosen by its longest column (`length_buckets`). What fills no
    batch moves up to the next larger bucket; so only one batch an epoch can be incomplete, and
    it is filled with empty sequences: length 0, index -1. A loss masked by lengths ignores them.

    Raises:
        ValueError: there are no examples, or the columns have not equally many.
    """
    lengths = {name: np.array([len(s) for s in column]) for name, column in columns.items()}
    counts = {name: len(column) for name, column in lengths.items()}
    if len(set(counts.values())) != 1 or 0 in counts.values() or batch_size < 1:
        raise ValueError(
            f"bucketed_batches: columns have {counts} examples, expected equally many, at least 1,"
            f" and batch_size={batch_size} of at least 1"
        )
    longest = np.max(list(lengths.values()), axis=0)
    bucket_of = np.searchsorted(length_buckets(longest, buckets), longest)
    rows = tuple(
        np.flatnonzero(bucket_of == b).astype(np.int32) for b in range(bucket_of.max() + 1)
    )
    # A bucket also takes what is left of the smaller ones.
    shapes = tuple(
        {name: int(column[bucket_of <= b].max()) for name, column in lengths.items()}
        for b in range(len(rows))
    )
    groups = functools.partial(_shuffled_groups, rows, batch_size, seed)
    return BucketedBatches(
        columns=columns,
        pad_value=pad_value,
        steps_per_epoch=-(-len(longest) // batch_size),
        shapes=shapes,
        groups=functools.lru_cache(maxsize=2)(groups),
    )
