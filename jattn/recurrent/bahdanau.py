"""A decoder that attends before its step: Bahdanau, Cho & Bengio (2015), arXiv:1409.0473."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from jattn._axes import named_arguments
from jattn._options import check_dropout
from jattn._precision import at_least_float32
from jattn._varying import scan
from jattn.layers import dropout, embedding, linear
from jattn.recurrent.cells import Cell, reset_before_gru_cell
from jattn.recurrent.decoder_params import BahdanauDecoderParams
from jattn.recurrent.reading import Attention, Memory, Reader, by_addition


class BahdanauState(NamedTuple):
    """The state between two steps, and the weights of the step before it."""

    hidden: Float[Array, " n"]
    position: Int[Array, ""]
    weights: Float[Array, "*h s"]


class DecoderOutput(NamedTuple):
    """Unnormalised log-probabilities of the next token after each one, and the weights used."""

    logits: Float[Array, "t w"]
    weights: Float[Array, "t *h s"]


@named_arguments
@at_least_float32
def bahdanau_start(params: BahdanauDecoderParams, memory: Memory, read: Reader) -> BahdanauState:
    """The state before the first step: hidden = tanh(start(memory.summary)).

    The paper's s_0 reads the backward state alone: here the weights decide. `read` is what
    `attention(params.attention, memory)` returned.
    """
    hidden = jnp.tanh(linear(params.start, memory.summary))
    shape = jax.eval_shape(lambda query: read(query, 0).weights[..., 0, :], hidden[None])
    return BahdanauState(hidden, jnp.asarray(0), jnp.zeros(shape.shape, shape.dtype))


@named_arguments
@at_least_float32
def bahdanau_step(
    params: BahdanauDecoderParams,
    state: BahdanauState,
    token: Int[Array, ""],
    read: Reader,
    *,
    cell: Cell = reset_before_gru_cell,
) -> tuple[Float[Array, " w"], BahdanauState]:
    """Attends with the state before the step, and steps with what it found.

        context = read(hidden)
        hidden  = cell(hidden, [embedding(token); context])
        logits  = readout([hidden; embedding(token); context])

    The paper's appendix A.2.2 names these c_i, s_i and, for what follows the readout, t_i. Its
    readout is a maxout layer that reads the state before the step; this one is linear and has the
    arguments of the paper's equation 4: the previous word, the new state, the context.

    Args:
        token: the previous token of the target.
        read: what `attention(params.attention, memory)` returned.
        cell: the paper's by default.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, or the token is not a row
            of the embedding.
    """
    embedded = embedding(params.embedding, token)
    state, context = _advance(params, state, embedded, read, cell)
    return _read_out(params, state.hidden, embedded, context), state


@named_arguments
@at_least_float32
def bahdanau_decode(
    params: BahdanauDecoderParams,
    memory: Memory,
    tokens: Int[Array, " t"],
    *,
    attention: Attention = by_addition,
    cell: Cell = reset_before_gru_cell,
    dropout_rate: float = 0.0,
    rng: Key[Array, ""] | None = None,
) -> DecoderOutput:
    """`bahdanau_step` over a whole target: `logits[t]` are of the token after `tokens[t]`.

    Start `tokens` with the token that begins every target. Padding after the target changes
    nothing before it.

    Args:
        dropout_rate: share that is dropped of the embedded tokens and of the states and contexts
            before the readout; what the recurrence carries is left alone.
        rng: what dropout is drawn from.

    Raises:
        ValueError: as `bahdanau_step` does, or if dropout_rate is not in [0, 1) or comes without
            rng.
    """
    check_dropout("bahdanau_decode", "dropout_rate", dropout_rate, rng)
    read = attention(params.attention, memory)

    def drop(index, values):
        return dropout(
            None if rng is None else jax.random.fold_in(rng, index), values, dropout_rate
        )

    embedded = drop(0, embedding(params.embedding, tokens))

    def step(state, embedded):
        state, context = _advance(params, state, embedded, read, cell)
        return state, (state.hidden, context, state.weights)

    start = bahdanau_start(params, memory, read)
    _, (hidden, context, weights) = scan(step, start, embedded)
    hidden, context = drop(1, hidden), drop(2, context)
    return DecoderOutput(_read_out(params, hidden, embedded, context), weights)


def _advance(params, state, embedded, read, cell):
    context, weights = read(state.hidden[None], state.position)
    hidden = cell(params.cell, state.hidden, jnp.concatenate([embedded, context[0]]))
    return BahdanauState(hidden, state.position + 1, weights[..., 0, :]), context[0]


def _read_out(params, hidden, embedded, context):
    return linear(params.readout, jnp.concatenate([hidden, embedded, context], axis=-1))
