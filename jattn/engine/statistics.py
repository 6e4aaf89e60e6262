"""Statistics and single rows of attention weights, without an array of all of them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, Float, Int

from jattn._options import named
from jattn._precision import inner_dtype
from jattn.engine.arguments import SCORING, Call, check, check_names
from jattn.engine.attention import attend_all, planned
from jattn.engine.dot_product import all_weights
from jattn.engine.forms import as_array
from jattn.engine.measuring import Measured, Tile
from jattn.engine.plan import chunked


class AttentionStatistics(NamedTuple):
    """Entropy and largest weight of each query, and the sum of the weights of each key."""

    entropy: Float[Array, "*b t h"]
    maximum: Float[Array, "*b t h"]
    column_sums: Float[Array, "*b h s"]


def attention_statistics(
    query: Float[Array, "*b t h k"], key: Float[Array, "*b s g k"], **options: Any
) -> AttentionStatistics:
    """Computes the entropy and the largest weight of each query, and the sums over the queries.

        entropy[t] = -Σ_s weights[t, s] log weights[t, s]
        maximum[t] = max_s weights[t, s]
        column_sums[s] = Σ_t weights[t, s]

    The weights are those of `dot_product_attention` before dropout. Memory is O(s) for each query
    of a block. A query that may attend to nothing has entropy and maximum 0; a sink is no key.

    Args:
        options: `bias`, `mask`, `scale`, `is_causal`, `query_seq_lengths`, `key_value_seq_lengths`,
            `local_window_size`, `query_offset`, `logits_soft_cap`, `sinks` and `chunk_size`, as in
            `dot_product_attention`.

    Returns:
        Entropy and maximum in the dtype of the query; sums in at least float32, since half
        precision does not hold the sum over many queries.

    Raises:
        ValueError: if arguments disagree about an axis, or an option is unknown.
    """
    with named("attention_statistics"):
        call = _checked(query, key, options)
    *_, rows, columns = attend_all(*planned(call), _of_block)
    assert rows is not None
    assert columns is not None
    dtype = call.query.dtype
    entropy, maximum = jnp.moveaxis(rows, -1, 0).swapaxes(-1, -2).astype(dtype)
    return AttentionStatistics(entropy, maximum, columns.astype(inner_dtype(dtype)))


def attention_rows(
    query: Float[Array, "*b t h k"],
    key: Float[Array, "*b s g k"],
    rows: Int[Array, " r"],
    **options: Any,
) -> Float[Array, "*b h r s"]:
    """Returns the weights of the queries at `rows` alone, in the dtype of the query.

    Args:
        rows: indices of queries, in any order; a traced index is not checked.
        options: those of `attention_statistics`.

    Raises:
        ValueError: if arguments disagree about an axis, an option is unknown, or `rows` holds a
            number that is no index of a query.
    """
    with named("attention_rows"):
        call = _checked(query, key, options)
        rows = _checked_rows(rows, call.sizes[1])
    pairs = {}
    for name in ("bias", "mask"):
        array = getattr(call, name)
        if hasattr(array, "dtype") and np.ndim(array) > 1 and array.shape[-2] == call.sizes[1]:
            pairs[name] = jnp.take(jnp.asarray(array), rows, axis=-2)
    taken = call._replace(query=jnp.take(call.query, rows, axis=-3), rows=rows, **pairs)
    *_, weights, _ = attend_all(*planned(taken, chunked), all_weights)
    assert weights is not None
    return weights.astype(call.query.dtype)


def _checked(query: Any, key: Any, options: dict[str, Any]) -> Call:
    """A call whose values have no features."""
    check_names(options, SCORING)
    query, key = as_array("query", query), as_array("key", key)
    value = jnp.zeros((*key.shape[:-1], 0), key.dtype)
    call = check(Call(query, key, value, **options))
    return call


def _checked_rows(rows: Any, t: int) -> Int[Array, " r"]:
    rows = rows if isinstance(rows, Tracer) else np.asarray(rows)
    if rows.size and not jnp.issubdtype(rows.dtype, jnp.integer):
        raise ValueError(f"rows has dtype {rows.dtype}, expected an integer dtype")
    known = isinstance(rows, np.ndarray) and rows.ndim == 1 and rows.size
    if rows.ndim != 1 or (known and not 0 <= rows.min() <= rows.max() < t):
        raise ValueError(f"rows is {rows}, expected a list of numbers from 0 to {t - 1}")
    return jnp.asarray(rows, int)


def largest_of(array: Float[Array, "t r w"], least: float) -> Float[Array, "t r"]:
    """The largest entry of each row, with a derivative to the first of equals.

    JAX's rule looks for entries that equal the maximum. XLA may compute them anew, with other
    roundings, and then there is none.
    """
    if not array.shape[-1]:
        return jnp.full(array.shape[:-1], least, array.dtype)
    first = lax.stop_gradient(array).argmax(-1, keepdims=True)
    chosen = jnp.arange(array.shape[-1])[None, None] == first
    return jnp.where(chosen, array, 0.0).sum(-1)


def entropy_of(weights: Float[Array, "t r w"]) -> Float[Array, "t r"]:
    positive = weights > 0.0
    return -jnp.where(positive, weights * jnp.log(jnp.where(positive, weights, 1.0)), 0.0).sum(-1)


def _of_block(weights: Tile, _scores: Tile, place: Callable[[Array], Array]) -> Measured:
    rows = jnp.stack([entropy_of(weights), largest_of(weights, 0.0)], -1)
    return Measured(rows, place(weights.sum(0)))
