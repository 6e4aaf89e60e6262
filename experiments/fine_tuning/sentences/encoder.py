"""BERT's encoder on jattn's layers: Devlin et al. (2018), arXiv:1810.04805.

It is post-norm, as in Vaswani et al. (2017), arXiv:1706.03762.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

import jattn

EPSILON = 1e-12  # As BERT was trained.


class LayerParams(NamedTuple):
    """Attention and two linear layers, and the normalization after each residual sum."""

    attention: jattn.MultiHeadParams
    attention_norm: jattn.LayerNormParams
    widen: jattn.AffineParams
    narrow: jattn.AffineParams
    norm: jattn.LayerNormParams


class EncoderParams(NamedTuple):
    """Three embeddings that are added, their normalization, and the layers."""

    words: jattn.EmbeddingParams
    positions: jattn.EmbeddingParams
    segments: jattn.EmbeddingParams
    norm: jattn.LayerNormParams
    layers: tuple[LayerParams, ...]


class Sizes(NamedTuple):
    """Sizes that determine the shapes of all weights."""

    words: int
    positions: int
    segments: int
    features: int
    heads: int
    inner: int
    layers: int


def init_encoder(rng: Key[Array, ""], sizes: Sizes) -> EncoderParams:
    """Draws weights with BERT's deviation of 0.02; biases are zero, scales one."""
    template = jax.eval_shape(lambda: _shaped(sizes))
    leaves, structure = jax.tree.flatten_with_path(template)

    def draw(rng, path, leaf):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        if name.endswith("weight"):
            return 0.02 * jax.random.normal(rng, leaf.shape, jnp.float32)
        return jnp.full(leaf.shape, 1.0 if name.endswith("scale") else 0.0, jnp.float32)

    rngs = jax.random.split(rng, len(leaves))
    drawn = [draw(rng, path, leaf) for rng, (path, leaf) in zip(rngs, leaves, strict=True)]
    return jax.tree.unflatten(structure, drawn)


def _shaped(sizes: Sizes) -> EncoderParams:
    rng, size, dtype = jax.random.key(0), sizes.features, jnp.float32
    rows = lambda count: jattn.init_embedding(rng, words=count, size=size, dtype=dtype)
    line = lambda i, o: jattn.init_affine(rng, input_size=i, output_size=o, dtype=dtype)
    norm = jattn.init_layer_norm(size=size, dtype=dtype)
    layer = LayerParams(
        jattn.init_multi_head(rng, heads=sizes.heads, query_size=size, bias=True, dtype=dtype),
        norm,
        line(size, sizes.inner),
        line(sizes.inner, size),
        norm,
    )
    words, positions, segments = map(rows, (sizes.words, sizes.positions, sizes.segments))
    return EncoderParams(words, positions, segments, norm, (layer,) * sizes.layers)


def attend(
    params: Any, states: Float[Array, "s d"], mask: Any, *, by: Any = None
) -> Float[Array, "s d"]:
    """Computes multi-head self-attention, whose heads attend by the function `by`."""
    attended = jattn.multi_head_attention(params, states, states, states, mask=mask, attend=by)
    return attended.context


def encode(
    params: EncoderParams,
    tokens: Int[Array, " s"],
    length: Int[Array, ""],
    *,
    attend: Callable[[Any, Any, Any], Any] = attend,
    linear: Callable[[Any, Any], Any] = jattn.affine,
    embedding: Callable[[Any, Any], Any] = jattn.embedding,
) -> Float[Array, " d"]:
    """Returns the mean of the last layer's states over the first `length` tokens, zero of none.

    Args:
        attend, linear, embedding: functions that apply weights, for weights of another form.
    """
    states = embedding(params.words, tokens) + params.positions.weight[: len(tokens)]
    states = jattn.layer_norm(params.norm, states + params.segments.weight[:1], epsilon=EPSILON)
    mask = jattn.masks.lengths(length)
    for layer in params.layers:
        attended = attend(layer.attention, states, mask)
        states = jattn.layer_norm(layer.attention_norm, states + attended, epsilon=EPSILON)
        wide = jax.nn.gelu(linear(layer.widen, states), approximate=False)
        narrow = linear(layer.narrow, wide)
        states = jattn.layer_norm(layer.norm, states + narrow, epsilon=EPSILON)
    is_token = jnp.arange(len(tokens)) < length
    total = jnp.where(is_token[:, None], states, 0.0).sum(0)
    return total / jnp.maximum(length, 1).astype(total.dtype)


def normalize(vectors: Float[Array, "b d"]) -> Float[Array, "b d"]:
    """Scales vectors to length one; the original calls these the embeddings of sentences."""
    return vectors / jnp.maximum(jnp.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
