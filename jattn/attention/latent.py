"""Multi-head latent attention: DeepSeek-AI (2024), arXiv:2405.04434."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jattn._axes import named_axes
from jattn._naming import named_value
from jattn._precision import at_least_float32
from jattn.attention.attend import MaskLike, allowed_pairs, attend
from jattn.attention.latent_params import LatentParams
from jattn.attention.multi_head import MultiHeadAttended
from jattn.attention.multi_head_parts import Turn, project, rotated
from jattn.masks.visible import only, visible
from jattn.normalizers import Normalizer, softmax


class LatentMemory(NamedTuple):
    """All that a cache keeps of a key: its latent, and its rotated features, shared by heads."""

    latent: Float[Array, "s r"]
    rotary: Float[Array, "s o"]


@named_axes
@at_least_float32
def latent_memory(
    params: LatentParams,
    key: Float[Array, "s k"],
    *,
    turn: Turn | None = None,
    offset: Int[Array, ""] | int = 0,
) -> LatentMemory:
    """Returns r + o numbers for each key, from which `absorbed_latent_attention` attends.

    Args:
        turn: rotates the rotary features, as for `latent_attention`.
        offset: the position of the first key.

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    latent = jnp.einsum("rk,sk->sr", params.key_down, key)
    features = jnp.einsum("ok,sk->so", params.key_rotary, key)
    return LatentMemory(latent, rotated(turn, features[None], offset)[0])


@named_axes
@at_least_float32
def latent_attention(
    params: LatentParams,
    query: Float[Array, "t q"],
    key: Float[Array, "s k"],
    *,
    mask: MaskLike = None,
    bias: Float[Array, "t s"] | Float[Array, "h t s"] | None = None,
    scale: Float[Array, ""] | float | None = None,
    turn: Turn | None = None,
    query_offset: Int[Array, ""] | int = 0,
    normalizer: Normalizer = softmax,
) -> MultiHeadAttended:
    """Computes multi-head attention to keys and values that are made of one small latent each.

        latent[s]       = key_down key[s]
        scores[h, t, s] = scale (query_up[h] c[t] · key_up[h] latent[s]
                                 + turn(query_rotary[h] c[t]) · turn(key_rotary key[s]))
        context[t]      = Σ_h output_weight[:, h] weights[h, t] (value_up[h] latent)

    Here c[t] = query_down query[t]. This is the expanded form, which makes the keys and values of
    every head. The paper names the latents c^Q and c^KV, the two parts of a head q^C and q^R, k^C
    and k^R, and the sizes d_c', d_c, d_h and d_h^R. DeepSeek's models also normalize both latents,
    and models with longer contexts change the scale.

    Args:
        mask: True where a query may attend to a key, for every head.
        bias: added to the scores of all heads or of each; -inf is the same as a mask.
        scale: a number or a scalar array, which is differentiable; 1 / √(e + o) if None.
        turn: rotates the rotary part of queries and keys alone, as `jattn.rotary` does.
        query_offset: the position of the first query; that of the first key is 0.
        normalizer: a function from scores to weights, a row at a time.

    Raises:
        ValueError: if arguments disagree about an axis, or scale is not finite.
    """
    seen = visible(mask, bias, query.shape[0], key.shape[0])
    memory = latent_memory(params, only(None if seen is None else seen.keys, key), turn=turn)
    latent = named_value(memory.latent, "encode/latent")
    plain, turning = _queries(params, only(None if seen is None else seen.queries, query))
    scores = jnp.einsum("hte,hse->hts", plain, project(params.key_up, None, latent, "key_heads"))
    scores += jnp.einsum("hto,so->hts", rotated(turn, turning, query_offset), memory.rotary)
    weights = _weights(params, scores, scale, mask, bias, normalizer)
    values = project(params.value_up, None, latent, "value_heads")
    heads = jnp.einsum("hts,hsu->htu", weights, values)
    output = jnp.einsum("dhu,htu->td", params.output_weight, heads)
    return MultiHeadAttended(named_value(output, "decode/output"), weights)


@named_axes
@at_least_float32
def absorbed_latent_attention(
    params: LatentParams,
    query: Float[Array, "t q"],
    latent: Float[Array, "s r"],
    rotary: Float[Array, "s o"],
    *,
    mask: MaskLike = None,
    bias: Float[Array, "t s"] | Float[Array, "h t s"] | None = None,
    scale: Float[Array, ""] | float | None = None,
    turn: Turn | None = None,
    query_offset: Int[Array, ""] | int = 0,
    normalizer: Normalizer = softmax,
) -> MultiHeadAttended:
    """Computes `latent_attention` on latents, without the keys and values of any head.

        scores[h, t, s] = scale ((key_up[h]ᵀ query_up[h] c[t]) · latent[s]
                                 + turn(query_rotary[h] c[t]) · rotary[s])
        context[t]      = Σ_h output_weight[:, h] value_up[h] (weights[h, t] latent)

    It is multi-query attention to one key and value of r features, r + o with the rotary ones, so
    a decoder keeps no more than these. Cost is O(h t s (2 r + o)).

    Args:
        latent: the latents of the keys, the first part of `latent_memory`.
        rotary: their rotated features, the second part, so pass `*latent_memory(...)`.
        mask: True where a query may attend to a key, for every head.
        bias: added to the scores of all heads or of each; -inf is the same as a mask.
        scale: a number or a scalar array, which is differentiable; 1 / √(e + o) if None.
        turn: rotates the rotary part of queries, as for `latent_memory`.
        query_offset: the position of the first query, the number of keys before it.
        normalizer: a function from scores to weights, a row at a time.

    Raises:
        ValueError: if arguments disagree about an axis, or scale is not finite.
    """
    seen = visible(mask, bias, query.shape[0], latent.shape[0])
    latent, rotary = (only(None if seen is None else seen.keys, x) for x in (latent, rotary))
    plain, turning = _queries(params, only(None if seen is None else seen.queries, query))
    absorbed = jnp.einsum("hte,her->htr", plain, params.key_up)
    scores = jnp.einsum("htr,sr->hts", named_value(absorbed, "encode/absorbed"), latent)
    scores += jnp.einsum("hto,so->hts", rotated(turn, turning, query_offset), rotary)
    weights = _weights(params, scores, scale, mask, bias, normalizer)
    read = named_value(jnp.einsum("hts,sr->htr", weights, latent), "decode/latent")
    heads = jnp.einsum("hur,htr->htu", params.value_up, read)
    output = jnp.einsum("dhu,htu->td", params.output_weight, heads)
    return MultiHeadAttended(named_value(output, "decode/output"), weights)


def _queries(
    params: LatentParams, query: Float[Array, "t q"]
) -> tuple[Float[Array, "h t e"], Float[Array, "h t o"]]:
    latent = named_value(jnp.einsum("cq,tq->tc", params.query_down, query), "encode/query_latent")
    parts = (params.query_up, "query_heads"), (params.query_rotary, "query_rotary")
    plain, turning = (project(weight, None, latent, name) for weight, name in parts)
    return plain, turning


def _weights(
    params: LatentParams,
    scores: Float[Array, "h t s"],
    scale: Float[Array, ""] | float | None,
    mask: MaskLike,
    bias: Float[Array, "*h t s"] | None,
    normalizer: Normalizer,
) -> Float[Array, "h t s"]:
    """Returns the weights of each head after the scale, bias and mask."""
    features = params.key_up.shape[1] + params.key_rotary.shape[0]
    factor = max(features, 1) ** -0.5 if scale is None else scale
    allowed, bias = allowed_pairs(mask, bias, *scores.shape[1:])
    of_head = [None if x is None or x.ndim == 2 else 0 for x in (allowed, bias)]
    nothing = jnp.zeros((scores.shape[2], 0), scores.dtype)
    attend_head = lambda scores, *pairs: (
        attend(scores, nothing, *pairs, normalizer=normalizer).weights
    )
    return jax.vmap(attend_head, (0, *of_head))(factor * scores, allowed, bias)
