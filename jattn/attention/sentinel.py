"""Adaptive attention with a sentinel: Lu et al. (2017), arXiv:1612.01887."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Key

from jattn._axes import named_axes
from jattn._naming import named_value
from jattn._options import Size
from jattn._precision import at_least_float32
from jattn.masks.visible import only
from jattn.normalizers import Normalizer, softmax


class SentinelParams(NamedTuple):
    """Maps of queries, keys and sentinels to `p` units, and the weights of these."""

    query_weight: Float[Array, "p q"]
    key_weight: Float[Array, "p k"]
    sentinel_weight: Float[Array, "p v"]
    score_weight: Float[Array, " p"]


class SentinelAttended(NamedTuple):
    """Contexts, the weights of the keys, and the weight of each query's sentinel."""

    context: Float[Array, "t v"]
    weights: Float[Array, "t s"]
    sentinel_weights: Float[Array, " t"]


@named_axes
def init_sentinel(
    rng: Key[Array, ""],
    *,
    query_size: Size,
    key_size: Size,
    value_size: Size,
    units: Size,
    dtype: DTypeLike = float,
) -> SentinelParams:
    """Draws every weight from a normal with variance 1 / fan-in."""
    shapes = ((units, query_size), (units, key_size), (units, value_size), (units,))
    parts = zip(jax.random.split(rng, 4), shapes, strict=True)
    return SentinelParams(*(jax.random.normal(k, x, dtype) * x[-1] ** -0.5 for k, x in parts))


@named_axes
@at_least_float32
def sentinel_attention(
    params: SentinelParams,
    query: Float[Array, "t q"],
    key: Float[Array, "s k"],
    value: Float[Array, "s v"],
    sentinel: Float[Array, "t v"],
    *,
    valid: Bool[Array, " s"] | None = None,
    normalizer: Normalizer = softmax,
) -> SentinelAttended:
    """Lets each query attend to the keys or to a sentinel of its own, which is its value too.

        scores[t, s] = score_weight · tanh(key_weight key[s] + query_weight query[t])
        last[t]      = score_weight · tanh(sentinel_weight sentinel[t] + query_weight query[t])
        weights[t], sentinel_weights[t] = softmax of [scores[t]; last[t]]
        context[t]   = Σ_s weights[t, s] value[s] + sentinel_weights[t] sentinel[t]

    The paper names the sentinel's weight β, and writes the context as β s + (1 - β) c with a c
    that is normalized over the keys alone, which is the same. Its keys and values are the regions
    of an image. The query is a decoder's state h, and the sentinel is σ(W_x x + W_h h') ∘ tanh(m)
    of its memory cell m, the last state h' and the input x.

    Args:
        valid: True for keys that are no padding. A query without a key has its sentinel alone.
        normalizer: maps each row of scores, the sentinel's last, to a row of weights.

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    key, value = only(valid, key), only(valid, value)
    of_query = jnp.einsum("pq,tq->tp", params.query_weight, query)
    of_key = jnp.einsum("pk,sk->sp", params.key_weight, key)
    of_sentinel = jnp.einsum("pv,tv->tp", params.sentinel_weight, sentinel)
    hidden = named_value(jnp.tanh(of_key[None] + of_query[:, None]), "encode/hidden")
    scores = jnp.einsum("p,tsp->ts", params.score_weight, hidden)
    last = jnp.einsum("p,tp->t", params.score_weight, jnp.tanh(of_sentinel + of_query))[:, None]
    allowed = None
    if valid is not None:
        kept = jnp.concatenate([jnp.asarray(valid), jnp.ones(1, bool)])[None]
        allowed = jnp.broadcast_to(kept, (scores.shape[0], scores.shape[1] + 1))
    weights = named_value(normalizer(jnp.concatenate([scores, last], 1), allowed), "weight/weights")
    of_keys, of_last = weights[:, :-1], weights[:, -1]
    context = jnp.einsum("ts,sv->tv", of_keys, value) + of_last[:, None] * sentinel
    return SentinelAttended(named_value(context, "decode/context"), of_keys, of_last)
