"""What attention weights look like, without an array of all of them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int

from jattn._options import named
from jattn.engine.arguments import Call, check
from jattn.engine.batches import attend_all
from jattn.engine.dot_product import all_weights
from jattn.engine.measuring import Measured
from jattn.engine.planners import best, chunked


class AttentionStatistics(NamedTuple):
    """Of each query's weights the entropy and the largest, and what each key gets in all."""

    entropy: Float[Array, "*b t h"]
    maximum: Float[Array, "*b t h"]
    column_sums: Float[Array, "*b h s"]


def attention_statistics(
    query: Float[Array, "*b t h k"], key: Float[Array, "*b s g k"], **options: Any
) -> AttentionStatistics:
    """Entropy -Σ_s w log w and maximum of each row of weights, and the sums of their columns.

    The weights are those of `dot_product_attention`, and so are the options: `bias`, `mask`,
    `scale`, `is_causal`, `query_seq_lengths`, `key_value_seq_lengths`, `local_window_size`,
    `query_offset`, `logits_soft_cap`, `sinks` and `chunk_size`. Memory is O(s) for each query of a
    block. A row that may attend to nothing has entropy and maximum zero; a sink is no key.

    Raises:
        ValueError: if arguments disagree about an axis.
    """
    with named("attention_statistics"):
        call = _checked(query, key, options)
    *_, rows, columns = attend_all(call, best, _of_block)
    assert rows is not None
    assert columns is not None
    dtype = call.query.dtype
    entropy, maximum = jnp.moveaxis(rows, -1, 0).swapaxes(-1, -2).astype(dtype)
    return AttentionStatistics(entropy, maximum, columns.astype(dtype))


def attention_rows(
    query: Float[Array, "*b t h k"],
    key: Float[Array, "*b s g k"],
    rows: Int[Array, " r"],
    **options: Any,
) -> Float[Array, "*b h r s"]:
    """The weights of the queries at `rows` alone; options are those of `attention_statistics`.

    Raises:
        ValueError: if arguments disagree about an axis, or a row is not one of the queries'.
    """
    with named("attention_rows"):
        call = _checked(query, key, options)
        t, known = call.sizes[1], not isinstance(rows, Tracer)
        if np.ndim(rows) != 1 or (known and np.size(rows) and not 0 <= min(rows) <= max(rows) < t):
            raise ValueError(f"rows are {rows}, expected a list of numbers below {t}")
    rows = jnp.asarray(rows)
    pairs = {}
    for name in ("bias", "mask"):
        array = getattr(call, name)
        if hasattr(array, "dtype") and np.ndim(array) > 1 and array.shape[-2] == t:
            pairs[name] = jnp.take(jnp.asarray(array), rows, axis=-2)
    taken = call._replace(query=jnp.take(call.query, rows, axis=-3), rows=rows, **pairs)
    *_, weights, _ = attend_all(taken, chunked, all_weights)
    assert weights is not None
    return weights.astype(call.query.dtype)


def _checked(query: Any, key: Any, options: dict[str, Any]) -> Call:
    """A call whose values have no features."""
    value = jnp.zeros((*np.shape(key)[:-1], 0), getattr(key, "dtype", None))
    return check(Call(query, key, value, **options))


def _of_block(weights: Float[Array, "r t w"], place: Callable[[Array], Array]) -> Measured:
    positive = weights > 0.0
    terms = jnp.where(positive, weights * jnp.log(jnp.where(positive, weights, 1.0)), 0.0)
    rows = jnp.stack([-terms.sum(-1), weights.max(-1, initial=0.0)], -1)
    r, t, _ = weights.shape
    return Measured(rows.reshape(r * t, 2), place(weights.sum(1)))
