"""Talking-heads attention: Shazeer et al. (2020), arXiv:2003.02436."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, Key

from jattn._axes import named_axes
from jattn._naming import named_value
from jattn._options import Size
from jattn._precision import at_least_float32
from jattn.attention.attend import MaskLike, allowed_pairs, attend
from jattn.attention.multi_head import MultiHeadAttended
from jattn.attention.multi_head_parts import Turn, project, rotated
from jattn.masks.visible import only, visible
from jattn.normalizers import Normalizer, softmax


class TalkingHeadsParams(NamedTuple):
    """Projections, and the maps from `n` heads of logits to `h` of weights to `m` of values."""

    query_weight: Float[Array, "n e q"]
    key_weight: Float[Array, "n e k"]
    value_weight: Float[Array, "m u v"]
    output_weight: Float[Array, "d m u"]
    logits_weight: Float[Array, "h n"]
    weights_weight: Float[Array, "m h"]


@named_axes
def init_talking_heads(
    rng: Key[Array, ""], *, heads: Size, query_size: Size, head_size: Size, dtype: DTypeLike = float
) -> TalkingHeadsParams:
    """Draws projections from a normal with variance 1 / fan-in; heads are not mixed at first.

    Logits, weights and values have as many heads each, and both maps are the identity.

    Raises:
        ValueError: if a size is below 1, or dtype is not a floating-point dtype.
    """
    into, out = (heads, head_size, query_size), (query_size, heads, head_size)
    fan_ins = (query_size, query_size, query_size, heads * head_size)
    parts = zip(jax.random.split(rng, 4), (into, into, into, out), fan_ins, strict=True)
    weights = (jax.random.normal(key, shape, dtype) * fan**-0.5 for key, shape, fan in parts)
    one = jnp.eye(heads, dtype=dtype)
    return TalkingHeadsParams(*weights, logits_weight=one, weights_weight=one)


@named_axes
@at_least_float32
def talking_heads_attention(
    params: TalkingHeadsParams,
    query: Float[Array, "t q"],
    key: Float[Array, "s k"],
    value: Float[Array, "s v"],
    *,
    mask: MaskLike = None,
    bias: Float[Array, "t s"] | Float[Array, "h t s"] | None = None,
    scale: Float[Array, ""] | float | None = None,
    turn: Turn | None = None,
    query_offset: Int[Array, ""] | int = 0,
    normalizer: Normalizer = softmax,
) -> MultiHeadAttended:
    """Mixes the heads of multi-head attention before and after the softmax.

        logits[n]  = scale query_weight[n] query[t] · key_weight[n] key[s]
        mixed[h]   = softmax(Σ_n logits_weight[h, n] logits[n])
        weights[m] = Σ_h weights_weight[m, h] mixed[h]
        context[t] = Σ_m output_weight[:, m] weights[m] (value_weight[m] value)

    The paper names the maps P_l and P_w and has no scale, which the weights can absorb. Bias and
    mask act on the mixed logits: a mask before the mixing would reach every head with its fill.

    Args:
        mask: True where a query may attend to a key, for every head.
        bias: added to the mixed logits of all heads or of each; -inf is the same as a mask.
        scale: a number or a scalar array, which is differentiable; 1 / √e if None.
        turn: rotates queries and keys, as for `multi_head_attention`.
        query_offset: the position of the first query, for `turn`.
        normalizer: a function from scores to weights, a row at a time.

    Raises:
        ValueError: if arguments disagree about an axis, or scale is not finite.
    """
    t, s = query.shape[0], key.shape[0]
    seen = visible(mask, bias, t, s)
    reads, is_read = (None, None) if seen is None else seen
    allowed, bias = allowed_pairs(mask, bias, t, s)
    query, key, value = only(reads, query), only(is_read, key), only(is_read, value)
    queries = rotated(turn, project(params.query_weight, None, query, "query_heads"), query_offset)
    keys = rotated(turn, project(params.key_weight, None, key, "key_heads"), 0)
    values = project(params.value_weight, None, value, "value_heads")
    factor = max(queries.shape[-1], 1) ** -0.5 if scale is None else scale
    logits = jnp.einsum("nte,nse->nts", queries * factor, keys)
    mixed = jnp.einsum("hn,nts->hts", params.logits_weight, logits)
    of_head = [None if x is None or x.ndim == 2 else 0 for x in (allowed, bias)]
    weights_of = lambda *scored: (
        attend(scored[0], value, *scored[1:], normalizer=normalizer).weights
    )
    weights = jax.vmap(weights_of, (0, *of_head))(mixed, allowed, bias)
    weights = jnp.einsum("mh,hts->mts", params.weights_weight, weights)
    context = jnp.einsum("mts,msu->mtu", named_value(weights, "weight/mixed"), values)
    output = jnp.einsum("dmu,mtu->td", params.output_weight, context)
    return MultiHeadAttended(named_value(output, "decode/output"), weights)
