"""A GRU encoder and a GRU decoder with attention, and what every such model is trained on.

Decoders read `[start, target]` and are trained to write `[target, stop]`, as Sutskever et al.
(2014), arXiv:1409.3215, do.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, Key

import jattn
from experiments.attentions import ATTENTIONS, Attention, Sizes
from experiments.optimizer import adam, clipped
from jattn import training
from jattn.layers import dropout

# Mechanisms whose scores are products of decoder states and encoder states.
COMPARED_DIRECTLY = ("dot", "scaled-dot-product", "sparsemax", "entmax15", "causal-window")
Start = tuple[Any, Any]  # A decoder's first state, and its step for a search.


class Model(NamedTuple):
    """The form of a model, without its weights.

    source_words, target_words: tokens of either side.
    units, decoder_units: of the encoder, in each direction, and of the decoder.
    attention: a name in `ATTENTIONS`.
    attends_first: whether the decoder attends before its step, as Bahdanau et al. (2015) do, and
        not after it, as Luong et al. (2015) do.
    input_feeding: whether the decoder reads what its last step attended to.
    positions: of the longest source, for location-based attention.
    dropout: share of encoder outputs and decoder states that is dropped in training.
    """

    source_words: int
    target_words: int
    embedding_size: int
    units: int
    decoder_units: int
    score_units: int
    attention: str
    layers: int = 1
    bidirectional: bool = True
    attends_first: bool = False
    input_feeding: bool = False
    positions: int = 0
    heads: int = 4
    half_width: int = 3
    local_scores: str = "general"
    dropout: float = 0.0

    @property
    def value_size(self) -> int:
        return self.units * (2 if self.bidirectional else 1)

    @property
    def sizes(self) -> Sizes:
        return Sizes(
            self.decoder_units,
            self.value_size,
            self.score_units,
            self.positions,
            self.heads,
            self.half_width,
            self.local_scores,
        )

    @property
    def attend(self) -> Attention:
        return ATTENTIONS[self.attention].attention(self.sizes)


class Params(NamedTuple):
    """Weights of the encoder and the decoder; the decoder's hold those of the mechanism."""

    encoder: jattn.EncoderParams
    decoder: jattn.BahdanauDecoderParams | jattn.LuongDecoderParams


class Targets(NamedTuple):
    """Tokens that a decoder reads, tokens that it should write, and True where these count."""

    inputs: Int[Array, "b t"]
    labels: Int[Array, "b t"]
    mask: Bool[Array, "b t"]


def init(rng: Key[Array, ""], model: Model, dtype: Any = float) -> Params:
    """Draws the weights; those outside of the mechanism do not depend on it.

    Raises:
        ValueError: the mechanism does not fit the sizes.
    """
    check(model)
    encoder_rng, decoder_rng, attention_rng = jax.random.split(rng, 3)
    encoder = jattn.init_encoder(
        encoder_rng,
        words=model.source_words,
        embedding_size=model.embedding_size,
        units=model.units,
        layers=model.layers,
        bidirectional=model.bidirectional,
        dtype=dtype,
    )
    sizes: dict[str, Any] = {
        "words": model.target_words,
        "embedding_size": model.embedding_size,
        "units": model.decoder_units,
        "value_size": model.value_size,
        "summary_size": model.value_size,
        "attention": ATTENTIONS[model.attention].init(attention_rng, model.sizes),
        "dtype": dtype,
    }
    if model.attends_first:
        return Params(encoder, jattn.init_bahdanau_decoder(decoder_rng, **sizes))
    feeding = model.input_feeding
    return Params(encoder, jattn.init_luong_decoder(decoder_rng, input_feeding=feeding, **sizes))


def check(model: Model) -> None:
    """Refuses sizes that the mechanism cannot have.

    Raises:
        ValueError: naming the mechanism.
    """
    name, units, wide = model.attention, model.decoder_units, model.value_size
    is_local = name.startswith("local-")
    if (model.local_scores if is_local else name) in COMPARED_DIRECTLY and units != wide:
        raise ValueError(
            f"attention {name}: the decoder has {units} units, expected {wide}, the size of the"
            " encoder's states"
        )
    if name == "multi-head" and units % model.heads:
        raise ValueError(
            f"attention {name}: the decoder has {units} units, expected a multiple of its"
            f" {model.heads} heads"
        )


def decode(
    params: Params,
    source: Int[Array, " s"],
    length: Int[Array, ""],
    inputs: Int[Array, " t"],
    model: Model,
    rng: Key[Array, ""] | None = None,
) -> jattn.DecoderOutput:
    """Returns scores of the token after each of `inputs`, and the attention behind each.

    Row t of the attention predicts the token after `inputs[t]`. As `inputs` begin with the start,
    row t belongs to token t of the target, in both decoders.

    Args:
        rng: the key that dropout is drawn from; None means no dropout.
    """
    rate = model.dropout if rng is not None else 0.0
    rngs = [None] * 3 if rng is None else list(jax.random.split(rng, 3))
    memory = jattn.encode(params.encoder, source, length=length, dropout_rate=rate, rng=rngs[0])
    memory = memory._replace(values=dropout(rngs[1], memory.values, rate))
    options: dict[str, Any] = {"attention": model.attend, "dropout_rate": rate, "rng": rngs[2]}
    if isinstance(params.decoder, jattn.BahdanauDecoderParams):
        return jattn.bahdanau_decode(params.decoder, memory, inputs, **options)
    feeding = model.input_feeding
    return jattn.luong_decode(params.decoder, memory, inputs, input_feeding=feeding, **options)


def stepping(params: Params, source: Array, length: Array, model: Model) -> Start:
    """Returns the decoder's first state and its step for a search."""
    memory = jattn.encode(params.encoder, source, length=length)
    decoder = params.decoder
    read = model.attend(decoder.attention, memory)
    if isinstance(decoder, jattn.BahdanauDecoderParams):
        start: Any = jattn.bahdanau_start(decoder, memory, read)
        step: Any = partial(jattn.bahdanau_step, decoder)
    else:
        start = jattn.luong_start(decoder, memory, read)
        step = partial(jattn.luong_step, decoder, input_feeding=model.input_feeding)

    def scored(state, token):
        logits, state = step(state, token, read)
        return jax.nn.log_softmax(logits), state

    return start, scored


def search(
    begin: Start,
    *,
    start: int,
    stop: int,
    max_steps: int,
    beam_size: int,
    collect: Callable[[Any], Any] = lambda state: None,
) -> jattn.SearchResult:
    """Searches greedily or, with `beam_size` above 1, for the best score a token."""
    state, step = begin
    return jattn.beam_search(
        step,
        state,
        start=start,
        stop=stop,
        max_steps=max_steps,
        beam_size=beam_size,
        length_penalty=1.0 if beam_size > 1 else 0.0,
        collect=collect,
    )


def targets(tokens: Any, lengths: Any, source_lengths: Any, *, start: int, stop: int) -> Targets:
    """Shifts targets by one token for teacher forcing.

    Rows whose source is empty fill up a batch, and do not count.
    """
    tokens = jnp.asarray(tokens)
    is_token = training.length_mask(lengths, tokens.shape[1])
    first, last = jnp.full_like(tokens[:, :1], start), jnp.full_like(tokens[:, :1], stop)
    labels = jnp.concatenate([jnp.where(is_token, tokens, stop), last], axis=1)
    mask = training.length_mask((lengths + 1) * (source_lengths > 0), labels.shape[1])
    return Targets(jnp.concatenate([first, tokens], axis=1), labels, mask)


def token_loss(
    logits: Float[Array, "b t w"], wanted: Targets, *, label_smoothing: float = 0.0
) -> tuple[Float[Array, ""], dict[str, Array]]:
    """Returns the mean cross entropy of the tokens that count, and how many are guessed right."""
    _, labels, mask = wanted
    entropy = training.token_cross_entropy(logits, labels, mask, label_smoothing=label_smoothing)
    return entropy, {"accuracy": training.token_accuracy(logits, labels, mask)}


def optimizer(config: Any) -> optax.GradientTransformation:
    """Adam for a configuration with `learning_rate`, `warmup` and `steps`."""
    return clipped(adam(config.learning_rate, config.warmup, config.steps))


def batches_by_width(
    lengths: Sequence[int], widths: Sequence[int], size: int
) -> Iterator[tuple[int, list[int]]]:
    """Yields widths to pad to, each with the rows of a batch of at most `size`.

    Widths are few, since each is compiled once. Longer rows get one more width, the longest's.
    """
    longest = max(lengths, default=0)
    below = 0
    for width in (*widths, *([longest] if longest > widths[-1] else [])):
        rows = [row for row, length in enumerate(lengths) if below < length <= width]
        below = width
        for first in range(0, len(rows), size):
            yield width, rows[first : first + size]
