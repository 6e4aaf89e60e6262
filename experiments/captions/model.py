"""Models that caption a canvas: a GRU with soft or hard attention, and a transformer."""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key

import jattn
from experiments.captions import places, words
from experiments.captions.config import Config
from experiments.captions.grid import SummaryParams, grid, init_grid, init_summary, summarize
from experiments.captions.words import STOP, starts
from experiments.optimizer import adam, clipped
from jattn import training
from jattn.layers import (
    AffineParams,
    EmbeddingParams,
    affine,
    dropout,
    embedding,
    init_affine,
    init_embedding,
)

LONGEST = 20  # Steps of the longest caption, its end included.
EMBEDDING = 32  # Features of a word that the GRU reads.
BASELINE_RATE = 0.1  # The paper's moving average keeps 0.9 of itself.


class TransformerParams(NamedTuple):
    """A transformer's decoder, the words below it, and the readout above."""

    words: EmbeddingParams
    blocks: jattn.TransformerDecoderParams
    readout: AffineParams


class Params(NamedTuple):
    """Weights of the grid's layer and the decoder; the baseline of hard attention's reward.

    `summary` is None in the transformer.
    """

    grid: AffineParams
    summary: SummaryParams | None
    decoder: Any
    baseline: Float[Array, ""]


class Output(NamedTuple):
    """Scores of the next word, and the weights of the grid's places behind them.

    `chosen` holds the places of hard attention, and is None in other models.
    """

    logits: Float[Array, "t w"]
    weights: Float[Array, "t s"]
    chosen: Float[Array, "t s"] | None


def init(rng: Key[Array, ""], config: Config, model: str) -> Params:
    """Draws the weights of a model."""
    grid_rng, summary_rng, decoder_rng, attention_rng = jax.random.split(rng, 4)
    count = words.word_count(config.languages)
    if model == "transformer":
        rngs = jax.random.split(decoder_rng, 3)
        size = config.units
        narrow = init_embedding(rngs[0], words=count, size=size).weight * size**-0.5
        decoder: Any = TransformerParams(
            EmbeddingParams(narrow),
            jattn.init_transformer_decoder(
                rngs[1], layers=config.layers, size=size, heads=config.heads, hidden_size=2 * size
            ),
            init_affine(rngs[2], input_size=size, output_size=count),
        )
    else:
        attention = places.init(
            attention_rng,
            query_size=config.units,
            key_size=config.features,
            units=config.score_units,
            coverage=config.coverage == "yes",
        )
        decoder = jattn.init_bahdanau_decoder(
            decoder_rng,
            words=count,
            embedding_size=EMBEDDING,
            units=config.units,
            value_size=config.features,
            summary_size=config.units,
            attention=attention,
        )
    size = config.units if model == "transformer" else config.features
    summary = None
    if model != "transformer":
        summary = init_summary(summary_rng, seen=size, size=config.units)
    return Params(init_grid(grid_rng, config.channels[-1], size), summary, decoder, jnp.zeros(()))


def remember(params: Params, seen: Float[Array, "s v"]) -> jattn.Memory:
    """Returns the grid's features and their summary, which is empty for the transformer."""
    rows = grid(params.grid, seen)
    if params.summary is None:
        return jattn.Memory(rows, jnp.zeros(0, rows.dtype))
    return jattn.Memory(rows, summarize(params.summary, rows))


def decode(
    params: Params, memory: jattn.Memory, inputs: Int[Array, " t"], choose: Any = None
) -> Output:
    """Returns scores of the word after each of `inputs`, from what `remember` returns.

    Args:
        choose: how hard attention chooses its places; None in other models.
    """
    decoder = params.decoder
    if isinstance(decoder, TransformerParams):
        decoded = jattn.transformer_decoder(decoder.blocks, _placed(decoder, inputs), memory.values)
        return Output(affine(decoder.readout, decoded.outputs), _mean(decoded.cross_weights), None)
    state, step = _recurrence(params, memory, choose)

    def next_word(state, token):
        logits, state = step(state, token)
        return state, (logits, state.decoder.weights)

    _, (logits, weights) = jax.lax.scan(next_word, state, inputs)
    return Output(logits, weights[:, 0], None if choose is None else weights[:, 1])


def loss(
    params: Params, batch: Mapping[str, Any], rng: Key[Array, ""], *, config: Config, model: str
) -> tuple[Float[Array, ""], dict[str, Array]]:
    """Returns the loss of a batch of canvases, each with a caption in a language that is drawn.

    It is the mean cross entropy of words. Hard attention adds the terms that make its gradient the
    paper's learning rule, and moves its baseline.
    """
    dropout_rng, summary_rng, draw_rng, mean_rng, language_rng = jax.random.split(rng, 5)
    memory = jax.vmap(partial(remember, params))(batch["seen"])
    memory = memory._replace(
        values=dropout(dropout_rng, memory.values, config.dropout),
        summary=dropout(summary_rng, memory.summary, config.summary_dropout),
    )
    rows = memory.values
    count = len(rows)
    tokens, lengths = words.in_one_language(language_rng, batch["tokens"], batch["lengths"])
    inputs, labels = tokens[:, :-1], tokens[:, 1:]
    mask = training.length_mask(lengths, labels.shape[1])
    takes_mean = jax.random.uniform(mean_rng, (count,)) < config.expected_share
    shape = (count, inputs.shape[1], rows.shape[1])
    noise = jax.random.gumbel(draw_rng, shape, rows.dtype) if model == "hard" else takes_mean

    def of_caption(memory, inputs, noise, takes_mean):
        choose = places.drawn(noise, takes_mean) if model == "hard" else None
        return decode(params, memory, inputs, choose)

    output: Output = jax.vmap(of_caption)(memory, inputs, noise, takes_mean)
    total = training.token_cross_entropy(output.logits, labels, mask)
    measured = {"accuracy": training.token_accuracy(output.logits, labels, mask)}
    counts = mask[..., None].astype(output.weights.dtype)
    weights = output.weights * counts
    if config.doubly_stochastic:
        penalties = jax.vmap(places.doubly_stochastic_penalty)(weights)
        total = total + config.doubly_stochastic * penalties.mean()
    if output.chosen is not None:
        each = optax.losses.softmax_cross_entropy_with_integer_labels(output.logits, labels)
        likelihoods = -jnp.where(mask, each, 0.0).sum(-1)
        objective = partial(
            places.hard_objective,
            baseline=jax.lax.stop_gradient(params.baseline),
            reward_weight=config.reward_weight,
            entropy_weight=config.entropy_weight,
        )
        gained = jax.vmap(objective)(likelihoods, weights, output.chosen * counts)
        # The cross entropy has the likelihoods already, per word: so come the other terms.
        total = total + (likelihoods - gained).sum() / counts.sum()
        reward = jax.lax.stop_gradient(likelihoods.mean())
        total = total + 0.5 * (params.baseline - reward) ** 2
        measured["likelihood"] = reward
    return total, measured


def optimizer(config: Config, model: str) -> optax.GradientTransformation:
    """Returns Adam, and for the baseline the step that makes it a moving average."""
    average = optax.sgd(BASELINE_RATE)
    rate = config.transformer_rate if model == "transformer" else config.learning_rate
    chosen = clipped(adam(rate, config.warmup, config.steps, decay=0.99))
    labels = lambda params: training.label(params, {"average": ["baseline"]}, default="others")
    return optax.partition({"average": average, "others": chosen}, labels)


@partial(jax.jit, static_argnames=("languages", "model"))
def caption(
    params: Params, seen: Float[Array, "b s v"], *, languages: tuple[str, ...], model: str
) -> Any:
    """Returns the caption of each canvas in each language: tokens [b l t], and weights [b l t s].

    Words are taken greedily. Hard attention reads the most probable place.
    """
    memory = jax.vmap(partial(remember, params))(seen)

    def said(memory, start):
        state, step = _stepping(params, memory, model)
        found = jattn.greedy_search(
            step, state, start=start, stop=STOP, max_steps=LONGEST, collect=_weights_of
        )
        return found.tokens, found.collected

    return jax.vmap(jax.vmap(said, (None, 0)), (0, None))(memory, starts(languages))


@partial(jax.jit, static_argnames="model")
def attended(
    params: Params, seen: Float[Array, "b s v"], tokens: Int[Array, "b l t"], *, model: str
) -> Array:
    """Returns the weights behind each word of given captions, [b l t s]."""
    memory = jax.vmap(partial(remember, params))(seen)
    choose = places.likeliest if model == "hard" else None
    of_caption = lambda memory, inputs: decode(params, memory, inputs, choose).weights
    return jax.vmap(jax.vmap(of_caption, (None, 0)))(memory, tokens[..., :-1])


def _stepping(params: Params, memory: jattn.Memory, model: str) -> tuple[Any, Any]:
    """Returns the decoder's first state and its step for a search."""
    decoder = params.decoder
    if isinstance(decoder, TransformerParams):
        read = jattn.transformer_memory(decoder.blocks, memory.values)
        in_time = _times(decoder, LONGEST)

        def step(state, token):
            inputs = _wide(decoder, token) + in_time[state.position]
            outputs, state = jattn.transformer_step(decoder.blocks, state, inputs, read)
            return jax.nn.log_softmax(affine(decoder.readout, outputs)), state

        return jattn.transformer_start(decoder.blocks, read, capacity=LONGEST), step
    state, step = _recurrence(params, memory, places.likeliest if model == "hard" else None)

    def gru_step(state, token):
        logits, state = step(state, token)
        return jax.nn.log_softmax(logits), state

    return state, gru_step


class RecurrentState(NamedTuple):
    """The decoder's state, and the weights of all words so far."""

    decoder: jattn.BahdanauState
    past: places.Past


def _recurrence(params: Params, memory: jattn.Memory, choose: Any) -> tuple[Any, Any]:
    """Returns the first state of the GRU with attention, and its step."""
    decoder, rows = params.decoder, memory.values
    attention: places.PlaceParams = decoder.attention
    key_part = places.prepared(attention, rows)
    read_after = lambda past: places.reader(attention, rows, key_part, past, choose)
    unread = jnp.zeros(len(rows), rows.dtype)
    nothing = places.Past(unread, unread)

    def step(state, token):
        logits, after = jattn.bahdanau_step(
            decoder, state.decoder, token, read_after(state.past), cell=jattn.gru_cell
        )
        last = after.weights[1]
        return logits, RecurrentState(after, places.Past(state.past.sum + last, last))

    return RecurrentState(jattn.bahdanau_start(decoder, memory, read_after(nothing)), nothing), step


def _weights_of(state: Any) -> Array:
    if isinstance(state, RecurrentState):
        return state.decoder.weights[0]
    return _mean(state.weights)


def _mean(weights: Any) -> Array:
    """Returns the mean of all heads of the last block."""
    return weights[-1].mean(0)


def _wide(params: TransformerParams, tokens: Array) -> Array:
    return embedding(params.words, tokens) * params.words.weight.shape[1] ** 0.5


def _times(params: TransformerParams, count: int) -> Array:
    weight = params.words.weight
    return jattn.sinusoidal_positions(count, weight.shape[1], dtype=weight.dtype)


def _placed(params: TransformerParams, tokens: Array) -> Array:
    return _wide(params, tokens) + _times(params, len(tokens))
