"""The models: each maps an image to the scores of digits, and most weigh its patches.

All have nearly as many parameters. An image of the form is a square grid of patches; the features
of a convolutional net that ends with a place for each patch are called places.
"""

from collections.abc import Callable
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
from experiments.vision.convolutions import (
    ConvolutionParams,
    convolution,
    init_convolutions,
)
from experiments.vision.gates import cbam, init_cbam, init_channel_gate, squeeze_excitation

ROTARY_BASE = 100.0  # Of Heo et al. (2024), arXiv:2403.13298, for axial positions in images.
BLOCKS = 2


class Form(NamedTuple):
    """The size of images and of the grid of their patches, and the strides of convolutions."""

    side: int
    grid: int
    strides: tuple[int, ...]


FORMS = {"digits": Form(8, 4, (1, 1, 2, 1)), "mnist": Form(28, 7, (2, 1, 2, 1))}


class Prediction(NamedTuple):
    """Scores of digits before softmax, and weights of patches, one row a look; None without.

    Patches are counted row by row. Rows are weights that sum to 1, or the factors of a gate.
    """

    logits: Float[Array, " c"]
    weights: Float[Array, "g p"] | None


class PatchesParams(NamedTuple):
    """Embedded patches, blocks, and the query of the pooling attention."""

    embedding: jattn.LinearParams
    positions: Float[Array, "p d"] | None
    encoder: jattn.TransformerEncoderParams
    query: Float[Array, " d"]
    readout: jattn.LinearParams


class FeedForwardParams(NamedTuple):
    """A feed-forward network and its norm."""

    norm: jattn.LayerNormParams
    network: jattn.FeedForwardParams


class SeparatePatchesParams(NamedTuple):
    """Embedded patches, and networks that read each of them alone."""

    embedding: jattn.LinearParams
    positions: Float[Array, "p d"]
    blocks: tuple[FeedForwardParams, ...]
    norm: jattn.LayerNormParams
    readout: jattn.LinearParams


class GlimpsesParams(NamedTuple):
    """Convolutions, the positions of places, and a recurrent cell that attends to them."""

    layers: tuple[ConvolutionParams, ...]
    positions: Float[Array, "p d"]
    initial: Float[Array, " n"]
    attention: jattn.AdditiveParams | None
    cell: jattn.GRUParams
    readout: jattn.LinearParams


class ConvolutionalParams(NamedTuple):
    """Convolutions, and a gate after each; None without gates."""

    layers: tuple[ConvolutionParams, ...]
    gates: tuple[Any, ...] | None
    readout: jattn.LinearParams


class Model(NamedTuple):
    """The functions of a model: `init(rng, form, config)`, `apply(params, image, form, config)`."""

    init: Callable[[Key[Array, ""], Form, Config], Any]
    apply: Callable[[Any, Float[Array, "h w"], Form, Config], Prediction]


def check(config: Config) -> None:
    """Refuses sizes that do not fit together.

    Raises:
        ValueError: naming the option.
    """
    if config.size % 16:
        raise ValueError(f"--size is {config.size}, expected a multiple of 16")
    if config.size % (4 * config.heads):
        raise ValueError(
            f"--heads is {config.heads}, expected a divisor of a quarter of --size, {config.size}:"
            " axial positions turn pairs of features by rows and by columns"
        )


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
        _linear(keys[0], (form.side // form.grid) ** 2, size),
        _normal(keys[1], form.grid**2, size) if positions == "learned" else None,
        encoder,
        _normal(keys[3], size),
        _linear(keys[4], size, DIGITS),
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
    inputs = jattn.linear(params.embedding, patches_of(image, form.grid))
    if params.positions is not None:
        inputs = inputs + params.positions
    outputs = jattn.transformer_encoder(
        params.encoder,
        inputs,
        turn=partial(axial_rotary, grid=form.grid) if positions == "axial" else None,
        attend=ATTENDS[config.attend][0],
    ).outputs
    context, weights = jattn.scaled_dot_product_attention(params.query[None], outputs, outputs)
    return Prediction(jattn.linear(params.readout, context[0]), weights)


def init_separate_patches(rng: Key[Array, ""], form: Form, config: Config) -> SeparatePatchesParams:
    """Draws networks that have the parameters of attention as further hidden units."""
    size, keys = config.size, jax.random.split(rng, 3 + BLOCKS)
    norm = jattn.init_layer_norm(size=size, dtype=jnp.float32)
    network = lambda key: jattn.init_feed_forward(
        key, size=size, hidden_size=4 * size, dtype=jnp.float32
    )
    return SeparatePatchesParams(
        _linear(keys[0], (form.side // form.grid) ** 2, size),
        _normal(keys[1], form.grid**2, size),
        tuple(FeedForwardParams(norm, network(key)) for key in keys[3:]),
        norm,
        _linear(keys[2], size, DIGITS),
    )


def separate_patches(
    params: SeparatePatchesParams, image: Float[Array, "h w"], form: Form, config: Config
) -> Prediction:
    """Applies networks to each patch alone, and takes the mean of the results."""
    features = jattn.linear(params.embedding, patches_of(image, form.grid)) + params.positions
    for block in params.blocks:
        normal = jattn.layer_norm(block.norm, features)
        features = features + jattn.feed_forward(block.network, normal)
    mean = jattn.layer_norm(params.norm, features).mean(0)
    return Prediction(jattn.linear(params.readout, mean), None)


def init_glimpses(
    rng: Key[Array, ""], form: Form, config: Config, *, attends: bool
) -> GlimpsesParams:
    size, keys = config.size, jax.random.split(rng, 6)
    # Without attention its parameters go to the recurrent cell.
    units = 5 * size // 4 if attends else 23 * size // 16
    attention = jattn.init_additive(
        keys[3], query_size=units, key_size=size, units=size, bias=True, dtype=jnp.float32
    )
    return GlimpsesParams(
        init_convolutions(keys[0], (1, size // 4, size // 2, size)),
        _normal(keys[1], form.grid**2, size),
        _normal(keys[2], units),
        attention if attends else None,
        jattn.init_gru(keys[4], input_size=size, units=units, dtype=jnp.float32),
        _linear(keys[5], units, DIGITS),
    )


def glimpses(
    params: GlimpsesParams, image: Float[Array, "h w"], form: Form, config: Config
) -> Prediction:
    """Attends to places with the state of a GRU, which reads the result, several times.

    Without attention the GRU reads the mean of all places each time.
    """
    features = image[:, :, None]
    for layer, stride in zip(params.layers, form.strides, strict=False):
        features = convolution(layer, features, stride)
    features = features.reshape(form.grid**2, -1) + params.positions
    hidden, rows = params.initial, []
    for _ in range(config.glimpses):
        if params.attention is None:
            context = features.mean(0)
        else:
            attended = jattn.additive_attention(params.attention, hidden[None], features, features)
            context = attended.context[0]
            rows.append(attended.weights[0])
        hidden = jattn.gru_cell(params.cell, hidden, context)
    return Prediction(jattn.linear(params.readout, hidden), jnp.stack(rows) if rows else None)


def init_convolutional(
    rng: Key[Array, ""],
    form: Form,
    config: Config,
    *,
    init_gate: Callable[[Key[Array, ""], int], Any] | None = None,
) -> ConvolutionalParams:
    size, keys = config.size, jax.random.split(rng, 3)
    channels = (1, size // 4, size // 2, size, 5 * size // 4)
    gates = None
    if init_gate is not None:
        rngs = jax.random.split(keys[1], len(channels) - 1)
        gates = tuple(init_gate(*each) for each in zip(rngs, channels[1:], strict=True))
    layers = init_convolutions(keys[0], channels)
    return ConvolutionalParams(layers, gates, _linear(keys[2], channels[-1], DIGITS))


def convolutional(
    params: ConvolutionalParams,
    image: Float[Array, "h w"],
    form: Form,
    config: Config,
    *,
    gate: Callable[[Any, Any], Any] | None = None,
) -> Prediction:
    """Applies convolutions, with a gate after each, and takes the mean of all places."""
    features, places = image[:, :, None], None
    for index, (layer, stride) in enumerate(zip(params.layers, form.strides, strict=True)):
        features = convolution(layer, features, stride)
        if gate is not None and params.gates is not None:
            features, places = gate(params.gates[index], features)
    weights = None if places is None else places.reshape(1, -1)
    return Prediction(jattn.linear(params.readout, features.mean((0, 1))), weights)


def _linear(rng: Key[Array, ""], inputs: int, outputs: int) -> jattn.LinearParams:
    return jattn.init_linear(rng, input_size=inputs, output_size=outputs, dtype=jnp.float32)


def _normal(rng: Key[Array, ""], *shape: int) -> Array:
    return 0.02 * jax.random.normal(rng, shape, jnp.float32)


POSITIONS = ("learned", "axial", "none")
MODELS = {
    **{
        f"patches, {positions} positions": Model(
            partial(init_patches, positions=positions), partial(patches, positions=positions)
        )
        for positions in POSITIONS
    },
    "glimpses": Model(partial(init_glimpses, attends=True), glimpses),
    "CBAM": Model(
        partial(init_convolutional, init_gate=init_cbam), partial(convolutional, gate=cbam)
    ),
    "squeeze-and-excitation": Model(
        partial(init_convolutional, init_gate=init_channel_gate),
        partial(convolutional, gate=squeeze_excitation),
    ),
    "patches, no attention": Model(init_separate_patches, separate_patches),
    "glimpses, no attention": Model(partial(init_glimpses, attends=False), glimpses),
    "convolutions, no gates": Model(init_convolutional, convolutional),
}
KINDS = {
    "glimpses": ("glimpses",),
    "gates": ("CBAM", "squeeze-and-excitation"),
    "none": ("patches, no attention", "glimpses, no attention", "convolutions, no gates"),
}
