"""Patches of an image: blocks of self-attention over them, or networks that read each alone."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

import jattn
from experiments.attends import ATTENDS
from experiments.handwritten_digits import DIGITS
from experiments.vision.config import Config
from experiments.vision.form import Form, Prediction, draw_linear, draw_normal

ROTARY_BASE = 100.0  # Of Heo et al. (2024), arXiv:2403.13298, for axial positions in images.
BLOCKS = 2


class PatchesParams(NamedTuple):
    """Embedded patches, blocks, and the query of the pooling attention."""

    embedding: jattn.AffineParams
    positions: Float[Array, "p d"] | None
    encoder: jattn.TransformerEncoderParams
    query: Float[Array, " d"]
    readout: jattn.AffineParams


class FeedForwardParams(NamedTuple):
    """A feed-forward network and its norm."""

    norm: jattn.LayerNormParams
    network: jattn.FeedForwardParams


class SeparatePatchesParams(NamedTuple):
    """Embedded patches, and networks that read each of them alone."""

    embedding: jattn.AffineParams
    positions: Float[Array, "p d"]
    blocks: tuple[FeedForwardParams, ...]
    norm: jattn.LayerNormParams
    readout: jattn.AffineParams


def patches_of(image: Float[Array, "h w"], grid: int) -> Float[Array, "p f"]:
    """Returns the pixels of each patch, patches counted row by row."""
    side = len(image) // grid
    return image.reshape(grid, side, grid, side).transpose(0, 2, 1, 3).reshape(grid**2, side**2)


def axial_rotary(
    inputs: Float[Array, "p e"], positions: Int[Array, " p"], *, grid: int
) -> Float[Array, "p e"]:
    """Rotates half of the pairs of features by the row of a patch, and half by its column."""
    pairs = inputs.shape[-1] // 2
    rows, columns = jnp.divmod(positions, grid)
    frequencies: Any = np.tile(ROTARY_BASE ** -(2 * np.arange(pairs // 2) / pairs), 2)
    return jattn.rotary(
        inputs,
        jnp.stack([rows, columns], axis=1).repeat(pairs // 2, axis=1),
        frequencies=frequencies,
    )


def init_patches(
    rng: Key[Array, ""], form: Form, config: Config, *, positions: str
) -> PatchesParams:
    size, keys = config.size, jax.random.split(rng, 5)
    encoder = jattn.init_transformer_encoder(
        keys[2],
        layers=BLOCKS,
        size=size,
        heads=config.heads,
        hidden_size=2 * size,
        dtype=jnp.float32,
    )
    return PatchesParams(
        draw_linear(keys[0], (form.side // form.grid) ** 2, size),
        draw_normal(keys[1], form.grid**2, size) if positions == "learned" else None,
        encoder,
        draw_normal(keys[3], size),
        draw_linear(keys[4], size, DIGITS),
    )


def patches(
    params: PatchesParams,
    image: Float[Array, "h w"],
    form: Form,
    config: Config,
    *,
    positions: str,
) -> Prediction:
    """Applies blocks of self-attention to patches; a learned query attends to the results."""
    inputs = jattn.affine(params.embedding, patches_of(image, form.grid))
    if params.positions is not None:
        inputs = inputs + params.positions
    outputs = jattn.transformer_encoder(
        params.encoder,
        inputs,
        turn=partial(axial_rotary, grid=form.grid) if positions == "axial" else None,
        attend=ATTENDS[config.attend][0],
    ).outputs
    context, weights = jattn.scaled_dot_product_attention(params.query[None], outputs, outputs)
    return Prediction(jattn.affine(params.readout, context[0]), weights)


def init_separate_patches(rng: Key[Array, ""], form: Form, config: Config) -> SeparatePatchesParams:
    """Draws networks that have the parameters of attention as further hidden units."""
    size, keys = config.size, jax.random.split(rng, 3 + BLOCKS)
    norm = jattn.init_layer_norm(size=size, dtype=jnp.float32)
    network = lambda key: jattn.init_feed_forward(
        key, size=size, hidden_size=4 * size, dtype=jnp.float32
    )
    return SeparatePatchesParams(
        draw_linear(keys[0], (form.side // form.grid) ** 2, size),
        draw_normal(keys[1], form.grid**2, size),
        tuple(FeedForwardParams(norm, network(key)) for key in keys[3:]),
        norm,
        draw_linear(keys[2], size, DIGITS),
    )


def separate_patches(
    params: SeparatePatchesParams, image: Float[Array, "h w"], form: Form, config: Config
) -> Prediction:
    """Applies networks to each patch alone, and takes the mean of the results."""
    features = jattn.affine(params.embedding, patches_of(image, form.grid)) + params.positions
    for block in params.blocks:
        normal = jattn.layer_norm(block.norm, features)
        features = features + jattn.feed_forward(block.network, normal)
    mean = jattn.layer_norm(params.norm, features).mean(0)
    return Prediction(jattn.affine(params.readout, mean), None)
