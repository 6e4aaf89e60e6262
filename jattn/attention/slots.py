"""Slot attention: Locatello et al. (2020), arXiv:2006.15055."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jattn._axes import named_axes
from jattn._naming import named_value
from jattn._options import NotNegative
from jattn._precision import at_least_float32
from jattn.attention.over_queries import over_queries
from jattn.masks.visible import only
from jattn.normalizers import softmax
from jattn.normalizers.both_axes import weights_of_shares


class SlotAttended(NamedTuple):
    """Contexts of slots, their weights, and the share that each slot has of every key."""

    context: Float[Array, "t v"]
    weights: Float[Array, "t s"]
    shares: Float[Array, "t s"]


@named_axes
@at_least_float32
def slot_attention(
    query: Float[Array, "t k"],
    key: Float[Array, "s k"],
    value: Float[Array, "s v"],
    *,
    valid: Bool[Array, " s"] | None = None,
    scale: Float[Array, ""] | float | None = None,
    epsilon: NotNegative = 1e-8,
) -> SlotAttended:
    """Lets slots compete for keys: a softmax over the queries, then a mean over the keys.

        shares[:, s]  = softmax over t of scale query[t] · key[s],   scale = 1 / √k unless given
        weights[t, s] = (shares[t, s] + epsilon) / Σ_s (shares[t, s] + epsilon)
        context[t]    = Σ_s weights[t, s] value[s]

    This is the attention of one of the paper's iterations, whose slots, inputs and shares are
    named q, k, v and attn. A GRU with the slots as its states takes the contexts as its inputs, and
    a network with a residual follows. The paper's algorithm adds epsilon to the shares before it
    divides by their sum, as here.

    Args:
        valid: True for inputs that are no padding; None for all.
        scale: a number or a scalar array, which is differentiable.
        epsilon: added to every share of a valid key.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, scale is not finite, or
            epsilon is negative or not finite.
    """
    key, value = only(valid, key), only(valid, value)
    factor = max(query.shape[-1], 1) ** -0.5 if scale is None else scale
    scores = named_value(jnp.einsum("tk,sk->ts", query * factor, key), "score/scores")
    kept = None if valid is None else jnp.broadcast_to(jnp.asarray(valid)[None], scores.shape)
    shares = named_value(over_queries(softmax)(scores, kept), "weight/shares")
    weights = named_value(weights_of_shares(shares, kept, epsilon), "weight/weights")
    context = named_value(jnp.einsum("ts,sv->tv", weights, value), "decode/context")
    return SlotAttended(context, weights, shares)
