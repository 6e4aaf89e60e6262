"""The models: each maps an image to the scores of digits, and most weigh its patches.

All have nearly as many parameters. An image of the form is a square grid of patches; the features
of a convolutional net that ends with a place for each patch are called places.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

import jattn
from experiments.convolutions import (
    ConvolutionParams,
    convolution,
    init_convolutions,
)
from experiments.handwritten_digits import DIGITS
from experiments.vision.config import Config
from experiments.vision.form import Form, Prediction, draw_linear, draw_normal
from experiments.vision.gates import cbam, init_cbam, init_channel_gate, squeeze_excitation
from experiments.vision.patches import (
    init_patches,
    init_separate_patches,
    patches,
    separate_patches,
)


class GlimpsesParams(NamedTuple):
    """Convolutions, the positions of places, and a recurrent cell that attends to them."""

    layers: tuple[ConvolutionParams, ...]
    positions: Float[Array, "p d"]
    initial: Float[Array, " n"]
    attention: jattn.AdditiveParams | None
    cell: jattn.GRUParams
    readout: jattn.AffineParams


class ConvolutionalParams(NamedTuple):
    """Convolutions, and a gate after each; None without gates."""

    layers: tuple[ConvolutionParams, ...]
    gates: tuple[Any, ...] | None
    readout: jattn.AffineParams


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
        draw_normal(keys[1], form.grid**2, size),
        draw_normal(keys[2], units),
        attention if attends else None,
        jattn.init_gru(keys[4], input_size=size, units=units, dtype=jnp.float32),
        draw_linear(keys[5], units, DIGITS),
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
    return Prediction(jattn.affine(params.readout, hidden), jnp.stack(rows) if rows else None)


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
    return ConvolutionalParams(layers, gates, draw_linear(keys[2], channels[-1], DIGITS))


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
    return Prediction(jattn.affine(params.readout, features.mean((0, 1))), weights)


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
