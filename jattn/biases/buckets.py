"""Learned biases of distances in buckets: Raffel et al. (2020), arXiv:1910.10683, section 2.1."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.dtypes import canonicalize_dtype
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, Key

from jattn._axes import named_axes
from jattn._options import Count, NotNegative, Size
from jattn.biases.algebra import FAR, Bias


@named_axes
def t5(table: Float[Array, "m h"], *, bidirectional: bool = True, max_distance: Size = 128) -> Bias:
    """Returns the bias of T5: a learned number for each head and each bucket of distances.

        bias[h] = table[bucket(distance), h]

    Small distances have a bucket each, larger ones share buckets whose width grows with the
    logarithm, and all from `max_distance` on share the last: `t5_buckets`. T5 does not scale the
    products of queries and keys, `scale=1.0`, and shares one table between the layers of a stack.

    Args:
        table: a row for each bucket.
        bidirectional: half of the buckets is for keys after the query, as in T5's encoder.
            Otherwise keys after it share bucket 0, as in the decoder, whose mask hides them.
        max_distance: the least distance of the last bucket.

    Raises:
        ValueError: if the table has too few rows, an odd number for both directions, or
            `max_distance` is no more than the distances with a bucket each.
    """
    _check("t5", "table", np.shape(table)[0], bidirectional, max_distance)
    return Bias(bucket_rule, (table, bool(bidirectional), int(max_distance)))


def bucket_rule(distances, table, bidirectional, max_distance):
    return table[_buckets(distances, table.shape[0], bidirectional, max_distance)].T


@named_axes
def t5_buckets(
    distances: Int[Array, "..."],
    *,
    buckets: Size = 32,
    bidirectional: bool = True,
    max_distance: Size = 128,
) -> Int[Array, "..."]:
    """Returns the bucket of each distance, as T5 numbers them.

    With n buckets for a direction, distances below e = n // 2 have a bucket each, and beyond

        bucket = min(e + ⌊(n - e) log(distance / e) / log(max_distance / e)⌋, n - 1)

    It is counted in integers, so no rounding of a logarithm moves a distance into another bucket.

        >>> print(t5_buckets(np.array([0, -1, -7, -8, -11, -12, -16, -91, -128, 1, 8, 128])))
        [ 0  1  7  8  8  9 10 15 15 17 24 31]

    Args:
        distances: key position minus query position.
        buckets: of both directions together.
        bidirectional: as in `t5`.
        max_distance: as in `t5`.

    Raises:
        ValueError: as `t5` does.
    """
    _check("t5_buckets", "buckets", buckets, bidirectional, max_distance)
    return _buckets(jnp.asarray(distances).astype(int), buckets, bidirectional, max_distance)


@named_axes
def init_t5(
    rng: Key[Array, ""],
    *,
    heads: Count,
    buckets: Size = 32,
    bidirectional: bool = True,
    max_distance: Size = 128,
    deviation: NotNegative = 0.02,
    dtype: DTypeLike = float,
) -> Bias:
    """Returns `t5` with a table drawn from a normal distribution of the given deviation.

    Raises:
        ValueError: as `t5` does.
    """
    _check("init_t5", "buckets", buckets, bidirectional, max_distance)
    table = deviation * jax.random.normal(rng, (buckets, heads), canonicalize_dtype(dtype))
    return t5(table, bidirectional=bidirectional, max_distance=max_distance)


def _buckets(distances: Any, buckets: int, bidirectional: bool, max_distance: int) -> Any:
    least = jnp.asarray(_least_distances(_of_one_side(buckets, bidirectional), max_distance))
    sizes = jnp.abs(distances) if bidirectional else jnp.maximum(-distances, 0)
    least = least.astype(sizes.dtype).reshape((1,) * sizes.ndim + (-1,))
    passed = (sizes[..., None] >= least).sum(-1)
    return jnp.where(distances > 0, passed + buckets // 2, passed) if bidirectional else passed


@functools.lru_cache
def _least_distances(buckets: int, max_distance: int) -> np.ndarray:
    """Returns the least distance of each bucket of one side, except bucket 0.

    A distance d reaches bucket e + j where (d / e) ** (n - e) >= (max_distance / e) ** j.
    """
    exact = buckets // 2
    shared = buckets - exact

    def reaches(distance: int, j: int) -> bool:
        return distance**shared * exact**j >= exact**shared * max_distance**j

    least, distance = list(range(1, exact + 1)), exact
    for j in range(1, shared):
        # Close by the logarithm, and then exact.
        distance = max(int(exact * (max_distance / exact) ** (j / shared)) - 1, 1)
        while not reaches(distance, j):
            distance += 1
        least.append(distance)
    return np.array(least, np.int32)


def _of_one_side(buckets: int, bidirectional: bool) -> int:
    return buckets // 2 if bidirectional else buckets


def _check(
    function: str, argument: str, buckets: int, bidirectional: bool, max_distance: int
) -> None:
    fewest = 4 if bidirectional else 2
    if buckets < fewest or (bidirectional and buckets % 2):
        expected = f"an even number of at least {fewest}" if bidirectional else f"at least {fewest}"
        given = f"is {buckets}" if argument == "buckets" else f"has {buckets} rows (m)"
        raise ValueError(f"{function}: {argument} {given}, expected {expected}")
    exact = _of_one_side(buckets, bidirectional) // 2
    if not exact < max_distance <= FAR:
        expected = f"more than the {exact} distances with a bucket each, and at most 2**30"
        raise ValueError(f"{function}: max_distance is {max_distance}, expected {expected}")
