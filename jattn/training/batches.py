"""Batches as pure functions of (seed, step), so that resuming replays nothing."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding

from jattn.training.counts import check_count
from jattn.training.padding import length_buckets, pad_to


def shuffled_batches(arrays: Any, batch_size: int, *, seed: int = 0) -> Callable[[int], Any]:
    """Returns `batches(step)`, for arrays that share their first axis, shuffled every epoch.

    An epoch is `size // batch_size` steps. The examples left over are skipped in that epoch; they
    are other examples each time.

    Args:
        arrays: a pytree of arrays `[e ...]` of e examples. A batch of an array on a mesh has
            the array's sharding.
        batch_size: number of examples in each batch, at most e.
        seed: a batch is a function of the seed and the step alone.

    Raises:
        ValueError: if the arrays disagree on the first axis, or if it is shorter than a batch.
    """
    batch_size = check_count("shuffled_batches", "batch_size", batch_size, 1)
    seed = check_count("shuffled_batches", "seed", seed)
    sizes = sorted({_size(leaf) for leaf in jax.tree.leaves(arrays)})
    if len(sizes) != 1 or batch_size > sizes[0]:
        raise ValueError(
            f"shuffled_batches: arrays have lengths {sizes}, expected one length of at least"
            f" batch_size={batch_size}"
        )
    steps_per_epoch = sizes[0] // batch_size

    @functools.lru_cache(maxsize=2)
    def order(epoch):
        return np.random.default_rng([seed, epoch]).permutation(sizes[0])

    def batches(step: int) -> Any:
        epoch, place = divmod(check_count("batches", "step", step), steps_per_epoch)
        rows = order(epoch)[place * batch_size :][:batch_size]
        return jax.tree.map(lambda leaf: _rows_of(leaf, rows), arrays)

    return batches


def _rows_of(array: Any, rows: np.ndarray) -> Any:
    """Returns the rows in their order, with the sharding that the array has on a mesh."""
    sharding = getattr(array, "sharding", None)
    if not isinstance(sharding, NamedSharding):
        return array[rows]
    # The array keeps its copy on the host, so that a step moves its rows alone.
    return jax.device_put(np.asarray(array)[rows], sharding)


def _size(leaf: Any) -> int:
    if not getattr(leaf, "ndim", 0):
        raise ValueError(f"shuffled_batches: arrays holds {leaf!r}, expected arrays with an axis")
    return len(leaf)


@dataclasses.dataclass(frozen=True, eq=False)
class BucketedBatches:
    """A function from a step to that step's batch; see `bucketed_batches`.

    The `steps_per_epoch` batches of an epoch hold every example once. `shapes` has, for each
    bucket, the padded length of each column.
    """

    columns: Mapping[str, Sequence[Any]]
    pad_value: float
    steps_per_epoch: int
    shapes: tuple[dict[str, int], ...]
    groups: Callable[[int], list[tuple[int, np.ndarray]]]

    def __call__(self, step: int) -> dict[str, np.ndarray]:
        epoch, place = divmod(check_count("batches", "step", step), self.steps_per_epoch)
        bucket, rows = self.groups(epoch)[place]
        batch = {"index": rows}
        for name, column in self.columns.items():
            # A row of -1 is filled with an empty sequence.
            sequences = [column[row] if row >= 0 else column[rows[0]][:0] for row in rows]
            length = self.shapes[bucket][name]
            batch[name], batch[f"{name}_length"] = pad_to(sequences, length, value=self.pad_value)
        return batch


def _shuffled_groups(buckets, batch_size: int, seed: int, epoch: int):
    """Returns the epoch's batches in order, as (bucket, indices of examples)."""
    rng = np.random.default_rng([seed, epoch])
    groups, leftover = [], np.zeros(0, np.int32)
    for bucket, rows in enumerate(buckets):
        rows = np.concatenate([leftover, rng.permutation(rows)])
        whole = len(rows) - len(rows) % batch_size
        groups += [(bucket, group) for group in rows[:whole].reshape(-1, batch_size)]
        leftover = rows[whole:]
    if len(leftover):
        filler = np.full(batch_size - len(leftover), -1, np.int32)
        groups.append((len(buckets) - 1, np.concatenate([leftover, filler])))
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

    A batch is a dict. For each column it has the padded sequences `[b s ...]` and their lengths
    `[b]`, as `<column>_length`; `index` `[b]` is the position of each row in the columns.

    Every example is in exactly one batch of an epoch (`steps_per_epoch` of them, in a new order
    each). The bucket of an example follows from its longest column (`length_buckets`). Examples
    that fill no batch move to the next larger bucket, so only one batch an epoch is incomplete.
    It is filled with empty sequences (length 0, index -1), which a loss masked by lengths ignores.

    Args:
        columns: for each name, the sequences of all examples, as `pad_to` takes them.
        batch_size: number of rows in each batch; all examples if there are fewer.
        buckets: the most shapes that batches have.
        seed: a batch is a function of the seed and the step alone.
        pad_value: the number that fills each row.

    Raises:
        ValueError: if the columns have no examples or different numbers of them, or if a name
            meets `index` or the `_length` of another.
    """
    batch_size = check_count("bucketed_batches", "batch_size", batch_size, 1)
    buckets = check_count("bucketed_batches", "buckets", buckets, 1)
    seed = check_count("bucketed_batches", "seed", seed)
    _check_names(columns)
    lengths = {name: _lengths(name, column) for name, column in columns.items()}
    counts = {name: len(column) for name, column in lengths.items()}
    if len(set(counts.values())) != 1 or 0 in counts.values():
        raise ValueError(
            f"bucketed_batches: columns have {counts} examples, expected equally many, at least 1"
        )
    longest = np.max(list(lengths.values()), axis=0)
    batch_size = min(batch_size, len(longest))
    bucket_of = np.searchsorted(length_buckets(longest, buckets), longest)
    rows = tuple(
        np.flatnonzero(bucket_of == b).astype(np.int32) for b in range(bucket_of.max() + 1)
    )
    # A bucket also takes examples that are left over from the smaller ones.
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


def _check_names(columns: Mapping[str, Sequence[Any]]) -> None:
    taken = {"index": "the positions of its rows"}
    taken |= {f"{name}_length": f"the lengths of {name}" for name in columns}
    for name in columns:
        if name in taken:
            raise ValueError(
                f"bucketed_batches: columns holds {name}, expected another name: a batch has"
                f" {taken[name]} under it"
            )


def _lengths(name: str, column: Sequence[Any]) -> np.ndarray:
    for index, sequence in enumerate(column):
        if not hasattr(sequence, "__len__") or getattr(sequence, "ndim", 1) == 0:
            raise ValueError(
                f"bucketed_batches: {name} {index} is {sequence!r}, expected a sequence"
            )
    return np.array([len(sequence) for sequence in column], np.int64)
