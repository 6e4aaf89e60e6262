"""Set Transformer: Lee et al. (2019), arXiv:1810.00825."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Key

from jattn._axes import named_axes
from jattn._options import Size
from jattn._precision import at_least_float32
from jattn.attention.multi_head import multi_head_attention
from jattn.attention.multi_head_params import MultiHeadParams, check_heads
from jattn.layers import layer_norm
from jattn.masks.visible import only
from jattn.transformer.encoder_block import EncoderBlockParams, init_encoder_block
from jattn.transformer.feed_forward import FeedForwardParams, feed_forward, init_feed_forward
from jattn.transformer.order import post_norm


class SetAttended(NamedTuple):
    """The features after a block, and the weights of each head."""

    outputs: Float[Array, "t d"]
    weights: Float[Array, "h t s"]


class InducedParams(NamedTuple):
    """The `m` inducing points, the block that they read the set with, and the set reads them."""

    points: Float[Array, "m d"]
    into: EncoderBlockParams
    out_of: EncoderBlockParams


class SetPoolingParams(NamedTuple):
    """The `m` seeds, the network of each member, and the block that seeds read the set with."""

    seeds: Float[Array, "m d"]
    members: FeedForwardParams
    block: EncoderBlockParams


@named_axes
def init_induced(
    rng: Key[Array, ""],
    *,
    points: Size,
    size: Size,
    heads: Size,
    hidden_size: Size,
    dtype: DTypeLike = float,
) -> InducedParams:
    """Draws the points from a normal with variance 1 / size, blocks as `init_encoder_block`.

    Raises:
        ValueError: if a size is below 1, or heads exceeds size.
    """
    first, into, out_of = jax.random.split(rng, 3)
    sizes = {"size": size, "heads": heads, "hidden_size": hidden_size, "dtype": dtype}
    blocks = (init_encoder_block(key, **sizes) for key in (into, out_of))
    return InducedParams(jax.random.normal(first, (points, size), dtype) * size**-0.5, *blocks)


@named_axes
def init_set_pooling(
    rng: Key[Array, ""],
    *,
    seeds: Size,
    size: Size,
    heads: Size,
    hidden_size: Size,
    dtype: DTypeLike = float,
) -> SetPoolingParams:
    """Draws the seeds from a normal with variance 1 / size, the rest as `init_encoder_block`.

    Raises:
        ValueError: if a size is below 1, or heads exceeds size.
    """
    first, network, block = jax.random.split(rng, 3)
    sizes = {"size": size, "hidden_size": hidden_size, "dtype": dtype}
    drawn = jax.random.normal(first, (seeds, size), dtype) * size**-0.5
    members = init_feed_forward(network, **sizes)
    return SetPoolingParams(drawn, members, init_encoder_block(block, heads=heads, **sizes))


@named_axes
@at_least_float32
def set_attention_block(
    params: EncoderBlockParams,
    query: Float[Array, "t d"],
    key: Float[Array, "s d"],
    *,
    valid: Bool[Array, " s"] | None = None,
) -> SetAttended:
    """Lets the members of one set read another set, in a block without positions or dropout.

        attended = layer_norm(query + multi_head_attention(query, key, key))
        outputs  = layer_norm(attended + feed_forward(attended))

    The paper names the block MAB(X, Y), and SAB(X) where both are one set. It is `encoder_block`
    with `post_norm` and keys of its own. The order of the keys changes nothing, and that of the
    queries permutes the outputs. The authors' code adds the projected query instead, leaves the
    norms out by default, and has one layer with a rectifier for the network.

    Args:
        valid: True for keys that are no padding; None for all.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, or heads do not divide
            among groups.
    """
    _check("set_attention_block", params.attention)
    pairs = (query.shape[0], key.shape[0])
    mask = None if valid is None else jnp.broadcast_to(jnp.asarray(valid)[None], pairs)
    read = lambda rows: multi_head_attention(params.attention, rows, key, key, mask=mask)
    norm: Any = layer_norm
    network: Any = feed_forward
    transform = lambda rows: (network(params.feed_forward, rows), None)
    attended, weights = post_norm(partial(norm, params.attention_norm), read, query)
    last = partial(norm, params.feed_forward_norm)
    return SetAttended(post_norm(last, transform, attended)[0], weights)


@named_axes
@at_least_float32
def induced_set_attention(
    params: InducedParams, inputs: Float[Array, "s d"], *, valid: Bool[Array, " s"] | None = None
) -> Float[Array, "s d"]:
    """Lets a set read itself through a few inducing points, in O(s m) instead of O(s²).

        outputs = set_attention_block(inputs, set_attention_block(points, inputs))

    The paper names the block ISAB, the points I and what they have read H.

    Args:
        valid: True for members that are no padding; the outputs of others are zero.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, or heads do not divide
            among groups.
    """
    _check("induced_set_attention", params.into.attention)
    inputs = only(valid, inputs)
    summary = set_attention_block(params.into, params.points, inputs, valid=valid).outputs
    return only(valid, set_attention_block(params.out_of, inputs, summary).outputs)


@named_axes
@at_least_float32
def pooling_by_attention(
    params: SetPoolingParams, inputs: Float[Array, "s d"], *, valid: Bool[Array, " s"] | None = None
) -> Float[Array, "m d"]:
    """Reduces a set of any size to as many vectors as there are seeds.

        outputs = set_attention_block(seeds, feed_forward(inputs))

    The paper names the block PMA and the seeds S. The order of the set changes nothing.

    Args:
        valid: True for members that are no padding; None for all.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, or heads do not divide
            among groups.
    """
    _check("pooling_by_attention", params.block.attention)
    members = feed_forward(params.members, only(valid, inputs))
    return set_attention_block(params.block, params.seeds, members, valid=valid).outputs


def _check(function: str, attention: MultiHeadParams) -> None:
    check_heads(function, len(attention.query_weight), len(attention.key_weight))
