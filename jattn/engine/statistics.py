"""What attention weights look like, without an array of all of them."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int

from jattn._precision import at_least_float32
from jattn.engine.rows import Scoring, row_weights

# Scores of as many pairs are in memory at a time.
PAIRS_IN_A_BLOCK = 2**20


class AttentionStatistics(NamedTuple):
    """Of each query's weights the entropy and the largest, and what each key gets in all."""

    entropy: Float[Array, "*b t h"]
    maximum: Float[Array, "*b t h"]
    column_sums: Float[Array, "*b h s"]


@at_least_float32
def attention_statistics(
    query: Float[Array, "*b t h k"],
    key: Float[Array, "*b s g k"],
    *,
    chunk_size: int | None = None,
    **options: Any,
) -> AttentionStatistics:
    """Entropy -Σ_s w log w and maximum of each row of weights, and the sums of their columns.

    The weights are those of `dot_product_attention`, and so are the options: `bias`, `mask`,
    `scale`, `is_causal`, `query_seq_lengths`, `key_value_seq_lengths`, `local_window_size`,
    `query_offset`, `logits_soft_cap` and `sinks`. Memory is O(chunk_size s) for each head and
    example. A row that may attend to nothing has entropy and maximum zero; a sink is no key.

    Raises:
        ValueError: if arguments disagree about an axis.
    """
    batch, (t, heads, _) = query.shape[:-3], query.shape[-3:]
    weights_of = row_weights("attention_statistics", query, key, Scoring(**options))
    count, s = math.prod(batch), key.shape[-3]
    block = chunk_size or max(1, PAIRS_IN_A_BLOCK // max(count * heads * s, 1))
    block = max(min(block, t), 1)

    @jax.checkpoint
    def of_block(first: Array) -> tuple[Array, Array, Array]:
        rows = jnp.minimum(first, t - block) + jnp.arange(block)
        weights = weights_of(rows)
        positive = weights > 0.0
        entropy = -jnp.where(positive, weights * jnp.log(jnp.where(positive, weights, 1.0)), 0.0)
        mine = (rows >= first)[None, None, :, None]  # The last block may overlap the one before.
        columns = jnp.where(mine, weights, 0.0).sum(2)
        return entropy.sum(-1), weights.max(-1, initial=0.0), columns

    starts = np.arange(0, t, block)
    entropy, maximum, columns = jax.lax.map(of_block, starts)
    # Where each query stands: its block, and its place in it.
    of = np.minimum(np.arange(t) // block, len(starts) - 1)
    where = of * block + np.arange(t) - np.minimum(starts[of], t - block)

    def in_order(of_blocks: Array) -> Array:
        joined = jnp.moveaxis(of_blocks, 0, 2).reshape(count, heads, len(starts) * block)
        return jnp.swapaxes(joined[:, :, where], 1, 2).reshape(*batch, t, heads)

    sums = columns.sum(0).reshape(*batch, heads, s)
    return AttentionStatistics(in_order(entropy), in_order(maximum), sums)


@at_least_float32
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
    t = query.shape[-3]
    known = not isinstance(rows, Tracer)
    if np.ndim(rows) != 1 or (known and np.size(rows) and not 0 <= min(rows) <= max(rows) < t):
        raise ValueError(f"attention_rows: rows are {rows}, expected a list of numbers below {t}")
    weights = row_weights("attention_rows", query, key, Scoring(**options))(jnp.asarray(rows))
    return weights.reshape(*query.shape[:-3], *weights.shape[1:])
