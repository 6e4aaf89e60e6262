"""A transformer from source to target pieces: Vaswani et al. (2017), arXiv:1706.03762.

Blocks are pre-norm, positions are sinusoids, and the readout shares no weight with the embeddings.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

import jattn
from experiments.attends import ATTENDS
from experiments.translation.config import Config
from jattn.layers import (
    AffineParams,
    EmbeddingParams,
    affine,
    dropout,
    embedding,
    init_affine,
    init_embedding,
)


class Params(NamedTuple):
    """Weights of both stacks, of the embeddings below and of the readout above them."""

    source: EmbeddingParams
    target: EmbeddingParams
    encoder: jattn.TransformerEncoderParams
    decoder: jattn.TransformerDecoderParams
    readout: AffineParams


def init(rng: Key[Array, ""], config: Config, source: int, target: int) -> Params:
    """Draws the weights of a model of so many pieces of the source and of the target."""
    rngs = jax.random.split(rng, 5)
    size = config.decoder_units
    stack: dict[str, Any] = {
        "layers": config.layers,
        "size": size,
        "heads": config.heads,
        "hidden_size": 4 * size,
    }
    return Params(
        _narrow(init_embedding(rngs[0], words=source, size=size)),
        _narrow(init_embedding(rngs[1], words=target, size=size)),
        jattn.init_transformer_encoder(rngs[2], **stack),
        jattn.init_transformer_decoder(rngs[3], **stack),
        init_affine(rngs[4], input_size=size, output_size=target),
    )


def decode(
    params: Params,
    source: Int[Array, " s"],
    length: Int[Array, ""],
    before: Int[Array, " t"],
    config: Config,
    rng: Key[Array, ""] | None = None,
) -> jattn.DecoderOutput:
    """Computes scores as `gru.decode`, and the mean attention of the last but one block's heads.

    Garg et al. (2019), arXiv:1909.02074, guide that block. Attention that is guided or looked at
    is computed by the dense form, which returns weights; others are None on the engine.

    Args:
        rng: the key that dropout is drawn from; None means no dropout.
    """
    rate = config.dropout if rng is not None else 0.0
    rngs = [None] * 3 if rng is None else list(jax.random.split(rng, 3))
    memory = _encode(params, source, length, config, rate, rngs[0])
    needs_weights = rng is None or config.guided
    inputs = dropout(rngs[1], _placed(params.target, before), rate)
    decoded = jattn.transformer_decoder(
        params.decoder,
        inputs,
        memory,
        memory_mask=jattn.masks.lengths(length),
        dropout_rate=rate,
        rng=rngs[2],
        attend=None if needs_weights else ATTENDS[config.attend][0],
    )
    weights = decoded.cross_weights[max(0, len(decoded.cross_weights) - 2)]
    mean: Any = None if weights is None else jnp.mean(weights, axis=0)
    return jattn.DecoderOutput(affine(params.readout, decoded.outputs), mean)


def stepping(
    params: Params, source: Array, length: Array, config: Config, max_steps: int
) -> tuple[Any, Any]:
    """Returns the decoder's first state and its step for a search."""
    rows = _encode(params, source, length, config, 0.0, None)
    mask = jattn.masks.lengths(length)
    memory = jattn.transformer_memory(params.decoder, rows, memory_mask=mask)
    places = jattn.sinusoidal_positions(max_steps, config.decoder_units, dtype=rows.dtype)

    def scored(state, token):
        inputs = _widened(params.target, token) + places[state.position]
        outputs, state = jattn.transformer_step(
            params.decoder, state, inputs, memory, attend=ATTENDS[config.attend][1]
        )
        return jax.nn.log_softmax(affine(params.readout, outputs)), state

    return jattn.transformer_start(params.decoder, memory, capacity=max_steps), scored


def _encode(
    params: Params,
    source: Array,
    length: Array,
    config: Config,
    rate: float,
    rng: Key[Array, ""] | None,
) -> Float[Array, "s d"]:
    rngs = [None] * 2 if rng is None else list(jax.random.split(rng))
    inputs = dropout(rngs[0], _placed(params.source, source), rate)
    # Each position may attend to those before the padding.
    mask = jattn.masks.lengths(length)
    return jattn.transformer_encoder(
        params.encoder,
        inputs,
        self_mask=mask,
        dropout_rate=rate,
        rng=rngs[1],
        attend=ATTENDS[config.attend][0],
    ).outputs


def _narrow(params: EmbeddingParams) -> EmbeddingParams:
    return EmbeddingParams(params.weight * params.weight.shape[1] ** -0.5)


def _widened(params: EmbeddingParams, tokens: Array) -> Array:
    """Returns embeddings times the root of their size, section 3.4 of the paper."""
    return embedding(params, tokens) * params.weight.shape[1] ** 0.5


def _placed(params: EmbeddingParams, tokens: Int[Array, " s"]) -> Float[Array, "s d"]:
    rows = _widened(params, tokens)
    return rows + jattn.sinusoidal_positions(*rows.shape, dtype=rows.dtype)
