"""Biases that depend on the sequence: forget gates and selection."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jattn._axes import named_axes
from jattn._options import Length
from jattn._precision import at_least_float32
from jattn._sizes import as_number
from jattn.positions.offsets import Offset


@named_axes
@at_least_float32
def forgetting_bias(
    log_forget: Float[Array, " s"], *, queries: Length | None = None, offset: Offset = 0
) -> Float[Array, "t s"]:
    """Returns the sum of the logarithms of the forget gates between each key and each query.

        bias[t, s] = Σ log_forget[r] over s < r ≤ t + offset, 0 for keys after the query

    It is the `bias=` of attention with a causal mask: the forgetting attention of Lin et al.
    (2025), arXiv:2503.02130, who name the gates f_r. They are sigmoids, so `log_forget` is
    `jax.nn.log_sigmoid` of a linear layer. Gates that are all equal give `biases.alibi` with the
    slope -log_forget. The key's own gate is not in the sum. Sums are differences of running sums,
    whose rounding grows with the length.

    Args:
        log_forget: logarithm of the gate of each position, 0 for padding.
        queries: number of queries, by default that of keys.
        offset: position of the first query.

    Raises:
        ValueError: if log_forget is no array of one axis.
    """
    keys = log_forget.shape[0]
    sums = jnp.cumsum(log_forget)
    places = jnp.arange(keys if queries is None else queries) + jnp.asarray(as_number(offset), int)
    later = jnp.arange(keys)[None, :] > places[:, None]
    own = sums.at[places].get(mode="clip")
    return jnp.where(later, 0.0, own[:, None] - sums[None, :])


@named_axes
@at_least_float32
def selective_bias(selection: Float[Array, "t s"]) -> Float[Array, "t s"]:
    """Returns a bias by which tokens hide earlier tokens from all later ones.

        bias[t, s] = -Σ max(selection[r, s], 0) over s < r < t, 0 for the first key

    It is the `bias=` of causal self-attention: the selective attention of Leviathan, Kalman &
    Matias (2024), arXiv:2410.02703, who take the scores of one head for the selection of all. They
    name these S and the sum F. No token hides the first one or itself, and none is hidden from
    the token that hides it.

    Args:
        selection: 0 for padding.

    Raises:
        ValueError: if selection is no array of two axes.
    """
    rows, columns = (lax.broadcasted_iota(int, selection.shape, axis) for axis in (0, 1))
    hides = (columns > 0) & (columns < rows) & (selection > 0.0)
    hidden = jnp.where(hides, selection, 0.0)
    return hidden - jnp.cumsum(hidden, axis=0)
