"""A GRU encoder over Greek pieces and a GRU decoder over English ones that attends to it, or not.

With `--attention transformer` the same functions run that model instead.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

import jattn
from experiments.translation.attentions import ATTENTIONS
from experiments.translation.config import Config
from experiments.translation.pieces import START, STOP
from jattn import training
from jattn.layers import dropout

LEAST = 1e-6  # A weight below counts as this one: local attention has zeros outside its window.


class Params(NamedTuple):
    """Weights of the encoder and the decoder; the decoder's hold the mechanism's own."""

    encoder: jattn.EncoderParams
    decoder: jattn.BahdanauDecoderParams | jattn.LuongDecoderParams


def init(rng: Key[Array, ""], config: Config, greek: int, english: int) -> Params:
    """Draws the weights of a model of so many Greek and English pieces."""
    encoder_rng, decoder_rng, attention_rng = jax.random.split(rng, 3)
    choice = ATTENTIONS[config.attention]
    encoder = jattn.init_encoder(
        encoder_rng,
        words=greek,
        embedding_size=config.embedding_size,
        units=config.units,
        bidirectional=True,
    )
    sizes: dict[str, Any] = {
        "words": english,
        "embedding_size": config.embedding_size,
        "units": config.decoder_units,
        "value_size": 2 * config.units,
        "summary_size": 2 * config.units,
        "attention": choice.init(attention_rng, config),
    }
    if choice.is_before_step:
        return Params(encoder, jattn.init_bahdanau_decoder(decoder_rng, **sizes))
    feeding = bool(config.input_feeding)
    return Params(encoder, jattn.init_luong_decoder(decoder_rng, input_feeding=feeding, **sizes))


def decode(
    params: Params,
    greek: Int[Array, " s"],
    length: Int[Array, ""],
    before: Int[Array, " t"],
    config: Config,
    rng: Key[Array, ""] | None = None,
) -> jattn.Decoded:
    """Scores of the piece after each one of `before`, and the attention that they were made with.

    Row t is of the attention that predicts the piece after `before[t]`: as `before` begins with
    the start, row t belongs to the target's own piece t, in both decoders.

    Args:
        rng: what dropout is drawn from; there is none without.
    """
    rate = config.dropout if rng is not None else 0.0
    rngs = [None] * 3 if rng is None else list(jax.random.split(rng, 3))
    memory = jattn.encode(params.encoder, greek, length=length, dropout_rate=rate, rng=rngs[0])
    memory = memory._replace(values=dropout(rngs[1], memory.values, rate))
    choice = ATTENTIONS[config.attention]
    options: dict[str, Any] = {
        "attention": choice.attention(config),
        "dropout_rate": rate,
        "rng": rngs[2],
    }
    if isinstance(params.decoder, jattn.BahdanauDecoderParams):
        return jattn.bahdanau_decode(params.decoder, memory, before, **options)
    feeding = bool(config.input_feeding)
    return jattn.luong_decode(params.decoder, memory, before, input_feeding=feeding, **options)


def loss(
    params: Params,
    batch: Mapping[str, Array | np.ndarray],
    rng: Key[Array, ""],
    *,
    config: Config,
) -> tuple[Float[Array, ""], dict[str, Array]]:
    """Cross entropy of each piece given those before it, and of the attention given human links."""
    before, labels, mask = targets(batch)
    found = jax.vmap(lambda *one: decode(params, *one[:3], config, one[3]))(
        batch["greek"], batch["greek_length"], before, jax.random.split(rng, len(before))
    )
    entropy = training.token_cross_entropy(
        found.logits, labels, mask, label_smoothing=config.label_smoothing
    )
    metrics = {"accuracy": training.token_accuracy(found.logits, labels, mask)}
    if config.guided:
        strayed = guidance(found.weights[:, :-1], batch)
        return entropy + config.guided * strayed, {**metrics, "guidance": strayed}
    return entropy, metrics


def targets(batch: Mapping[str, Any]) -> tuple[Array, Array, Array]:
    """What the decoder reads, what it should say, and which of that counts."""
    english = jnp.asarray(batch["english"])
    start, stop = jnp.full_like(english[:, :1], START), jnp.full_like(english[:, :1], STOP)
    labels = jnp.concatenate([english, stop], axis=1)
    lengths = (batch["english_length"] + 1) * (batch["greek_length"] > 0)
    mask = training.length_mask(lengths, labels.shape[1])
    return jnp.concatenate([start, english], axis=1), labels, mask


def guidance(weights: Float[Array, "b t s"], batch: Mapping[str, Any]) -> Float[Array, ""]:
    """Mean over the linked pieces of -Σ gold log(weights), gold the same for all linked pieces.

    Liu et al. (2016), arXiv:1609.04186, compare supervised losses of attention; this is their
    cross entropy, and that of Garg et al. (2019), arXiv:1909.02074, section 4.1.2.
    """
    wanted = batch["links"][:, :, None, :] == batch["greek_words"][:, None, :, None]
    within = training.length_mask(batch["greek_length"], weights.shape[2])[:, None]
    linked = jnp.any(wanted & (batch["links"] > 0)[:, :, None], axis=-1) & within
    counts = jnp.sum(linked, axis=-1)
    logs = jnp.where(linked, jnp.log(jnp.maximum(weights, LEAST)), 0.0)
    strayed = -jnp.sum(logs, axis=-1) / jnp.maximum(counts, 1).astype(weights.dtype)
    kept = (counts > 0).astype(weights.dtype)
    return jnp.sum(strayed * kept) / jnp.maximum(jnp.sum(kept), 1.0)


@partial(jax.jit, static_argnames=("config",))
def forced(
    params: Params, batch: Mapping[str, Array | np.ndarray], *, config: Config
) -> tuple[Float[Array, ""], Float[Array, "b t s"]]:
    """The plain loss of given translations, and the attention that predicts each of their pieces."""
    before, labels, mask = targets(batch)
    found = jax.vmap(lambda *one: decode(params, *one, config))(
        batch["greek"], batch["greek_length"], before
    )
    return training.token_cross_entropy(found.logits, labels, mask), found.weights


@partial(jax.jit, static_argnames=("config", "max_steps"))
def translate(
    params: Params,
    greek: Int[Array, "b s"],
    lengths: Int[Array, " b"],
    *,
    config: Config,
    max_steps: int,
) -> tuple[Int[Array, "b m"], Int[Array, " b"]]:
    """The likeliest English pieces of each sentence, and how many they are."""

    def one(greek, length):
        start, step = stepping(params, greek, length, config)
        found = jattn.beam_search(
            step,
            start,
            start=START,
            stop=STOP,
            max_steps=max_steps,
            beam_size=config.beam_size,
            length_penalty=1.0 if config.beam_size > 1 else 0.0,
        )
        return found.tokens[0], found.lengths[0]

    return jax.vmap(one)(greek, lengths)


def stepping(params: Params, greek: Array, length: Array, config: Config) -> tuple[Any, Any]:
    """The decoder's first state, and its step for a search."""
    memory = jattn.encode(params.encoder, greek, length=length)
    decoder = params.decoder
    read = ATTENTIONS[config.attention].attention(config)(decoder.attention, memory)
    if isinstance(decoder, jattn.BahdanauDecoderParams):
        start, step = jattn.bahdanau_start(decoder, memory, read), jattn.bahdanau_step
    else:
        start = jattn.luong_start(decoder, memory, read)
        step = partial(jattn.luong_step, input_feeding=bool(config.input_feeding))

    def scored(state, token):
        logits, state = step(decoder, state, token, read)
        return jax.nn.log_softmax(logits), state

    return start, scored
