"""QK-clip: Kimi Team (2025), arXiv:2507.20534."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jattn._axes import named_axes
from jattn._options import Positive
from jattn._precision import at_least_float32
from jattn.attention.latent_params import LatentParams
from jattn.attention.multi_head_params import MultiHeadParams, check_heads


@named_axes
@at_least_float32
def clip_query_key(
    params: MultiHeadParams, largest: Float[Array, " h"], *, threshold: Positive = 100.0
) -> MultiHeadParams:
    """Shrinks the queries and keys of each head whose largest score exceeds a threshold.

        ratio[h]        = min(1, threshold / largest[h])
        shared[g]       = the smallest ratio of the heads of group g
        key_weight[g]   = √shared[g] key_weight[g]
        query_weight[h] = ratio[h] / √shared[h // r] query_weight[h]

    Biases shrink alike, so every score of head h is multiplied by ratio[h]. It follows a step of
    the optimizer, and changes no gradient of it. The paper names ratio, largest and threshold γ,
    S_max and τ. It multiplies queries and keys by √γ, as here without groups of heads.

    Args:
        largest: the largest score of each head over a batch, after the scale.
        threshold: the largest score that is left as it is.

    Raises:
        ValueError: if arguments disagree about an axis, heads do not divide among groups, or
            threshold is not above 0 or not finite.
    """
    heads, groups = len(params.query_weight), len(params.key_weight)
    check_heads("clip_query_key", heads, groups)
    ratio = _ratio(largest, threshold)
    ones = jnp.ones((groups, 1), ratio.dtype)
    shared = jnp.concatenate([ratio.reshape(groups, heads // groups), ones], 1).min(1)
    of_key = jnp.sqrt(shared)
    of_query = ratio / jnp.repeat(of_key, heads // groups)
    scaled = lambda factor, array: (
        None if array is None else factor.reshape(-1, *(1,) * (array.ndim - 1)) * array
    )
    return params._replace(
        query_weight=scaled(of_query, params.query_weight),
        key_weight=scaled(of_key, params.key_weight),
        query_bias=scaled(of_query, params.query_bias),
        key_bias=scaled(of_key, params.key_bias),
    )


@named_axes
@at_least_float32
def clip_latent_query_key(
    params: LatentParams, largest: Float[Array, " h"], *, threshold: Positive = 100.0
) -> LatentParams:
    """Computes `clip_query_key` of multi-head latent attention.

        query_up[h]     = √ratio[h] query_up[h]
        key_up[h]       = √ratio[h] key_up[h]
        query_rotary[h] = ratio[h] query_rotary[h]

    The rotary part of a key belongs to all heads and stays as it is.

    Args:
        largest: the largest score of each head over a batch, after the scale.
        threshold: the largest score that is left as it is.

    Raises:
        ValueError: if arguments disagree about an axis, or threshold is not above 0 or not finite.
    """
    ratio = _ratio(largest, threshold)[:, None, None]
    root = jnp.sqrt(ratio)
    return params._replace(
        query_up=root * params.query_up,
        key_up=root * params.key_up,
        query_rotary=ratio * params.query_rotary,
    )


def _ratio(largest: Float[Array, " h"], threshold: float) -> Float[Array, " h"]:
    exceeds = largest > threshold
    return jnp.where(exceeds, threshold / jnp.where(exceeds, largest, 1.0), 1.0)
