"""A decoder that attends before its step: Bahdanau, Cho & Bengio (2015), arXiv:1409.0473."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from jattn._axes import named_arguments
from jattn._options import check_dropout
from jattn._precision import at_least_float32
from jattn._varying import scan
from jattn.layers import affine, dropout, embedding
from jattn.recurrent.cells import Cell, reset_before_gru_cell
from jattn.recurrent.decoder_params import BahdanauDecoderParams
from jattn.recurrent.outputs import output_of, state_with
from jattn.recurrent.padding import zero_padding
from jattn.recurrent.reading import Attention, Memory, Reader, by_addition
from jattn.recurrent.reading_in_order import first_state, read_one
from jattn.recurrent.tokens import check_token, valid_tokens


class BahdanauState(NamedTuple):
    """The state between two steps, and the attention weights of the previous step.

    `hidden` is the state of the cell: an array for a GRU, an `LSTMState` for an LSTM.
    `alignment` is the state of attention with memory, from `read_in_order`; () for other attention.
    """

    hidden: Any
    position: Int[Array, ""]
    weights: Float[Array, "*h s"]
    alignment: Any = ()


class DecoderOutput(NamedTuple):
    """Unnormalized log-probabilities of the next token after each token, and the weights used."""

    logits: Float[Array, "t w"]
    weights: Float[Array, "t *h s"]


@named_arguments
@at_least_float32
def bahdanau_start(params: BahdanauDecoderParams, memory: Memory, read: Reader) -> BahdanauState:
    """Returns the state before the first step: hidden = tanh(start(memory.summary)).

    This is the output of the cell's state; other parts, such as an LSTM's memory cell, are zero.
    In the paper, s_0 reads the backward state alone; here the weights of `start` decide.

    Args:
        read: the result of `attention(params.attention, memory)`.

    Raises:
        ValueError: if an argument is of another type, or the summary has not the size that
            `params.start` reads.
    """
    hidden = jnp.tanh(affine(params.start, memory.summary))
    shape = jax.eval_shape(lambda query: read(query, 0).weights[..., 0, :], hidden[None])
    weights = jnp.zeros(shape.shape, shape.dtype)
    state = state_with(params.cell, hidden)
    return BahdanauState(state, jnp.asarray(0), weights, first_state(read, hidden))


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
    """Attends with the state before the step, then updates the state with the context.

        context = read(hidden)
        hidden  = cell(hidden, [embedding(token); context])
        logits  = readout([hidden; embedding(token); context])

    The paper's appendix A.2.2 names these c_i, s_i and, for the readout's result, t_i. Its
    readout is a maxout layer that reads the state before the step. This one is linear and has the
    arguments of the paper's equation 4: the previous word, the new state, the context.

    Args:
        token: the previous token of the target.
        read: the result of `attention(params.attention, memory)`.
        cell: `reset_before_gru_cell`, the paper's, or another cell, whose parameters are
            `params.cell`.

    Raises:
        ValueError: if an argument is of another type, two arguments disagree about the size of an
            axis, or the token is not a row of the embedding.
    """
    check_token("bahdanau_step", token, len(params.embedding.weight))
    embedded = embedding(params.embedding, token)
    state, context = _advance(params, state, embedded, read, cell)
    return _read_out(params, output_of(state.hidden), embedded, context), state


@named_arguments
@at_least_float32
def bahdanau_decode(
    params: BahdanauDecoderParams,
    memory: Memory,
    tokens: Int[Array, " t"],
    *,
    length: int | Int[Array, ""] | None = None,
    attention: Attention = by_addition,
    cell: Cell = reset_before_gru_cell,
    dropout_rate: float = 0.0,
    rng: Key[Array, ""] | None = None,
) -> DecoderOutput:
    """Runs `bahdanau_step` over a whole target: `logits[t]` predict the token after `tokens[t]`.

    `tokens` begin with the token that begins every target. Padding after the target changes
    nothing before it.

    Args:
        length: number of valid tokens, all of them by default. Tokens past it may be any number;
            their logits and weights are zero and give no gradient.
        attention: how the decoder reads the memory, from `read_by` or `read_in_order`; additive
            attention by default.
        cell: as in `bahdanau_step`.
        dropout_rate: share that is dropped of the embedded tokens, and of the states and contexts
            before the readout. The state that the recurrence carries is whole.
        rng: the key that dropout is drawn from.

    Raises:
        ValueError: as `bahdanau_step` does, or if length is negative or more than the number of
            tokens, or dropout_rate is not in [0, 1) or comes without rng.
    """
    tokens = valid_tokens("bahdanau_decode", tokens, len(params.embedding.weight), length)
    check_dropout("bahdanau_decode", "dropout_rate", dropout_rate, rng)
    read = attention(params.attention, memory)

    def drop(index, values):
        return dropout(
            None if rng is None else jax.random.fold_in(rng, index), values, dropout_rate
        )

    embedded = drop(0, embedding(params.embedding, tokens))

    def step(state, embedded):
        state, context = _advance(params, state, embedded, read, cell)
        return state, (output_of(state.hidden), context, state.weights)

    start = bahdanau_start(params, memory, read)
    _, (hidden, context, weights) = scan(step, start, embedded)
    hidden, context = drop(1, hidden), drop(2, context)
    return decoder_output(_read_out(params, hidden, embedded, context), weights, length)


def decoder_output(
    logits: Float[Array, "t w"],
    weights: Float[Array, "t *h s"],
    length: int | Int[Array, ""] | None,
) -> DecoderOutput:
    """Returns logits and weights, zero past `length`."""
    return DecoderOutput(*(zero_padding(rows, length)[0] for rows in (logits, weights)))


def _advance(params, state, embedded, read, cell):
    query = output_of(state.hidden)
    context, weights, alignment = read_one(read, query, state.position, state.alignment)
    hidden = cell(params.cell, state.hidden, jnp.concatenate([embedded, context]))
    return BahdanauState(hidden, state.position + 1, weights, alignment), context


def _read_out(params, hidden, embedded, context):
    return affine(params.readout, jnp.concatenate([hidden, embedded, context], axis=-1))
