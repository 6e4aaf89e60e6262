"""A decoder that attends after its step: Luong, Pham & Manning (2015), arXiv:1508.04025."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from jattn._axes import named_arguments
from jattn._options import check_dropout
from jattn._precision import at_least_float32
from jattn._varying import scan
from jattn.layers import affine, dropout, embedding
from jattn.recurrent.bahdanau import DecoderOutput, decoder_output
from jattn.recurrent.cells import Cell, gru_cell
from jattn.recurrent.decoder_params import LuongDecoderParams
from jattn.recurrent.outputs import output_of, state_with
from jattn.recurrent.reading import Attention, Memory, Reader, by_addition
from jattn.recurrent.reading_in_order import first_state, read_one
from jattn.recurrent.tokens import check_token, valid_tokens
from jattn.recurrent.unroll import unroll


class LuongState(NamedTuple):
    """The state between two steps, and the previous step's attentional vector and weights.

    `hidden` is the state of the cell: an array for a GRU, an `LSTMState` for an LSTM.
    `alignment` is the state of attention with memory, from `read_in_order`; () for other attention.
    """

    hidden: Any
    attentional: Float[Array, " a"]
    position: Int[Array, ""]
    weights: Float[Array, "*h s"]
    alignment: Any = ()


@named_arguments
@at_least_float32
def luong_start(params: LuongDecoderParams, memory: Memory, read: Reader) -> LuongState:
    """Returns the state before the first step: hidden = tanh(start(memory.summary)), others zero.

    This is the output of the cell's state; other parts, such as an LSTM's memory cell, are zero.
    The paper copies the encoder's last state; the layer `start` allows for other sizes.

    Args:
        read: the result of `attention(params.attention, memory)`.

    Raises:
        ValueError: if an argument is of another type, or the summary has not the size that
            `params.start` reads.
    """
    hidden = jnp.tanh(affine(params.start, memory.summary))
    shape = jax.eval_shape(lambda query: read(query, 0).weights[..., 0, :], hidden[None])
    attentional = jnp.zeros(len(params.combine.weight), hidden.dtype)
    weights = jnp.zeros(shape.shape, shape.dtype)
    state = state_with(params.cell, hidden)
    return LuongState(state, attentional, jnp.asarray(0), weights, first_state(read, hidden))


@named_arguments
@at_least_float32
def luong_step(
    params: LuongDecoderParams,
    state: LuongState,
    token: Int[Array, ""],
    read: Reader,
    *,
    input_feeding: bool = False,
    cell: Cell = gru_cell,
) -> tuple[Float[Array, " w"], LuongState]:
    """Updates the state, then attends with the new state.

        hidden      = cell(hidden, embedding(token)), with input feeding [embedding; attentional]
        context     = read(hidden)
        attentional = tanh(combine([context; hidden]))
        logits      = readout(attentional)

    The paper names these h_t, c_t and h̃_t (equations 5 and 6); its cell is an LSTM. Input feeding
    (section 3.3) passes the attentional vector, and so the past alignment, to the next step.

    Args:
        token: the previous token of the target.
        read: the result of `attention(params.attention, memory)`.
        input_feeding: whether the cell also reads the attentional vector of the step before.
        cell: `gru_cell` or another cell, whose parameters are `params.cell`.

    Raises:
        ValueError: if an argument is of another type, two arguments disagree about the size of an
            axis, or the token is not a row of the embedding.
    """
    check_token("luong_step", token, len(params.embedding.weight))
    state = _advance(params, state, embedding(params.embedding, token), read, input_feeding, cell)
    return affine(params.readout, state.attentional), state


@named_arguments
@at_least_float32
def luong_decode(
    params: LuongDecoderParams,
    memory: Memory,
    tokens: Int[Array, " t"],
    *,
    length: int | Int[Array, ""] | None = None,
    attention: Attention = by_addition,
    input_feeding: bool = False,
    cell: Cell = gru_cell,
    dropout_rate: float = 0.0,
    rng: Key[Array, ""] | None = None,
) -> DecoderOutput:
    """Runs `luong_step` over a whole target: `logits[t]` predict the token after `tokens[t]`.

    `tokens` begin with the token that begins every target. Padding after the target changes
    nothing before it. Without input feeding no step depends on attention, so all states attend at
    once, which is much faster.

    Args:
        length: number of valid tokens, all of them by default. Tokens past it may be any number;
            their logits and weights are zero and give no gradient.
        attention: how the decoder reads the memory, from `read_by` or `read_in_order`; additive
            attention by default.
        input_feeding: as in `luong_step`.
        cell: as in `luong_step`.
        dropout_rate: share that is dropped of the embedded tokens, of the attentional vectors
            before the readout and, without input feeding, of the states that attend.
        rng: the key that dropout is drawn from.

    Raises:
        ValueError: as `luong_step` does, or if length is negative or more than the number of
            tokens, or dropout_rate is not in [0, 1) or comes without rng.
    """
    tokens = valid_tokens("luong_decode", tokens, len(params.embedding.weight), length)
    check_dropout("luong_decode", "dropout_rate", dropout_rate, rng)
    read = attention(params.attention, memory)
    start = luong_start(params, memory, read)

    def drop(index, values):
        return dropout(
            None if rng is None else jax.random.fold_in(rng, index), values, dropout_rate
        )

    embedded = drop(0, embedding(params.embedding, tokens))
    if not input_feeding:
        hidden = unroll(cell, params.cell, embedded, initial=start.hidden).outputs
        hidden = drop(1, hidden)
        context, weights = read(hidden, 0)
        attentional = drop(2, _combine(params, context, hidden))
        logits = affine(params.readout, attentional)
        return decoder_output(logits, jnp.moveaxis(weights, -2, 0), length)

    def step(state, embedded):
        state = _advance(params, state, embedded, read, input_feeding, cell)
        return state, (state.attentional, state.weights)

    _, (attentional, weights) = scan(step, start, embedded)
    return decoder_output(affine(params.readout, drop(2, attentional)), weights, length)


def _advance(params, state, embedded, read, input_feeding, cell):
    inputs = jnp.concatenate([embedded, state.attentional]) if input_feeding else embedded
    new = cell(params.cell, state.hidden, inputs)
    hidden = output_of(new)
    context, weights, alignment = read_one(read, hidden, state.position, state.alignment)
    attentional = _combine(params, context, hidden)
    return LuongState(new, attentional, state.position + 1, weights, alignment)


def _combine(params, context, hidden):
    return jnp.tanh(affine(params.combine, jnp.concatenate([context, hidden], axis=-1)))
