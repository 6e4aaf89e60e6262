"""Contextual positions, CoPE: Golovneva et al. (2024), arXiv:2405.18719."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jattn._axes import named_axes
from jattn._naming import named_value
from jattn._precision import at_least_float32
from jattn.attention.attend import Attended, Bias, MaskLike, attend, readable
from jattn.normalizers import Normalizer, softmax


@named_axes
@at_least_float32
def contextual_position_attention(
    table: Float[Array, "m k"],
    query: Float[Array, "t k"],
    key: Float[Array, "s k"],
    value: Float[Array, "s v"],
    *,
    mask: MaskLike = None,
    bias: Bias = None,
    normalizer: Normalizer = softmax,
) -> Attended:
    """Counts positions from the query back to each key, by gates that are functions of both.

        products[t, s]  = query[t] · key[s] / √k
        positions[t, s] = min(Σ sigmoid(products[t, r]) over r ≥ s, m - 1)
        scores[t, s]    = products[t, s] + query[t] · table[positions[t, s]]

    Between two rows, the table is interpolated linearly. Keys that the query may not attend to
    are not counted: with a causal mask the sum ends at the query. The paper names gate, position
    and table g_ij, p_ij and e. The product with the table is not divided by √k, as in the authors'
    code, nor are the gates affected by `bias`.

    Args:
        table: a vector for each of the positions 0 to m - 1; all from m - 1 on share the last.
        mask: True where a query may attend to a key. A query with no key gets context zero.
        bias: added to the scores; -inf is the same as a mask.
        normalizer: maps each row of scores to a row of weights.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, or the table has no row.
    """
    last = table.shape[0] - 1
    if last < 0:
        raise ValueError("contextual_position_attention: table has 0 rows (m), expected at least 1")
    query, key, value, bias, allowed = readable(query, key, value, mask, bias)
    products = jnp.einsum("tk,sk->ts", query * max(query.shape[-1], 1) ** -0.5, key)
    gates = jax.nn.sigmoid(products)
    if allowed is not None:
        gates = jnp.where(allowed, gates, 0.0)
    positions = lax.cumsum(gates, axis=1, reverse=True)
    positions = named_value(jnp.where(positions < last, positions, last), "score/positions")

    floor = jnp.floor(lax.stop_gradient(positions))
    lower = floor.astype(int)
    upper = jnp.where(lower < last, lower + 1, last)
    by_row = jnp.einsum("tk,mk->tm", query, table)
    low, high = (by_row[jnp.arange(query.shape[0])[:, None], rows] for rows in (lower, upper))
    between = low + (positions - floor) * (high - low)
    return attend(products + between, value, allowed, bias, normalizer)
