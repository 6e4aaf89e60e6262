"""Relative positions of Transformer-XL: Dai et al. (2019), arXiv:1901.02860."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, Key

from jattn._axes import named_axes
from jattn._naming import named_value
from jattn._options import Positive, Size, check_known
from jattn._precision import at_least_float32
from jattn._sizes import as_number
from jattn.attention.attend import Attended, Bias, MaskLike, attend, readable
from jattn.normalizers import Normalizer, softmax
from jattn.positions.angles import cosines_and_sines, frequencies_of


class TransformerXLParams(NamedTuple):
    """Weights of a head: of the `d` sinusoids of a distance, and two queries of all positions."""

    position_weight: Float[Array, "k d"]
    content_bias: Float[Array, " k"]
    position_bias: Float[Array, " k"]


@named_axes
def init_transformer_xl(
    rng: Key[Array, ""], *, key_size: Size, features: Size, dtype: DTypeLike = float
) -> TransformerXLParams:
    """Draws the weight from a normal with variance 1 / fan-in; both biases start at zero."""
    weight = jax.random.normal(rng, (key_size, features), dtype) * features**-0.5
    return TransformerXLParams(weight, jnp.zeros(key_size, dtype), jnp.zeros(key_size, dtype))


@named_axes
@at_least_float32
def transformer_xl_attention(
    params: TransformerXLParams,
    query: Float[Array, "t k"],
    key: Float[Array, "s k"],
    value: Float[Array, "s v"],
    *,
    offset: Int[Array, ""] | int = 0,
    base: Positive = 10000.0,
    mask: MaskLike = None,
    bias: Bias = None,
    normalizer: Normalizer = softmax,
) -> Attended:
    """Scores each pair by the key, by the distance, and by both for all queries alike.

        relative[n]  = position_weight [sin(n frequencies); cos(n frequencies)]
        scores[t, s] = ((query[t] + content_bias) · key[s]
                        + (query[t] + position_bias) · relative[t + offset - s]) / √k

    The paper names the biases u and v, the weight W_{k,R}, the sinusoids R_{i-j} and the four
    products (a) to (d). The product with all t + s - 1 distances is computed once, and the row of
    a query is read from it at its own distances: keys after the query have negative ones. Code
    that shifts the product instead needs as many distances, and not s of them, where keys after
    the query are not masked.

    Args:
        offset: position of the first query, where keys count from 0: the length of the memory of
            earlier segments.
        base: sets the frequencies, as in `sinusoidal_positions`.
        mask: True where a query may attend to a key. A query with no key gets context zero.
        bias: added to the scores; -inf is the same as a mask.
        normalizer: maps each row of scores to a row of weights.

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    check_known("transformer_xl_attention: base", base)
    query, key, value, bias, allowed = readable(query, key, value, mask, bias)
    t, s, d = query.shape[0], key.shape[0], params.position_weight.shape[1]
    distances = jnp.arange(t + s) - (s - jnp.asarray(as_number(offset)).astype(int))
    cosines, sines = cosines_and_sines(distances, frequencies_of(d, base), query.dtype)
    sinusoids = jnp.concatenate([sines, cosines[:, : d // 2]], axis=1)
    relative = named_value(jnp.einsum("kd,nd->nk", params.position_weight, sinusoids), "encode/far")

    scale = max(query.shape[-1], 1) ** -0.5
    by_content = jnp.einsum("tk,sk->ts", (query + params.content_bias[None]) * scale, key)
    by_any = jnp.einsum("tk,nk->tn", (query + params.position_bias[None]) * scale, relative)
    places = jnp.arange(t)[:, None] - jnp.arange(s)[None] + s
    by_distance = named_value(by_any[jnp.arange(t)[:, None], places], "score/by_distance")
    return attend(by_content + by_distance, value, allowed, bias, normalizer)
