"""Flax, its newer interface."""

# pyright: reportMissingImports=false

import jax.numpy as jnp
from flax import nnx

from experiments.benchmark.inputs import Arrays
from experiments.benchmark.libraries import jax_calls
from experiments.benchmark.prepared import Prepared, Unsupported
from experiments.benchmark.rows import Row
from experiments.gru_weights import candidate_apart, side_by_side


def attention(row: Row, inputs: Arrays, direction: str) -> Prepared:
    if row.soft_cap is not None:
        raise Unsupported("has no soft cap")
    return jax_calls.attention(nnx.dot_product_attention, row, inputs, direction)


def native(params):
    """The candidate's hidden bias, for which not every version has a place, is zero."""
    bias, _ = candidate_apart(params)
    return side_by_side(params.input_weight), side_by_side(params.hidden_weight), bias.reshape(-1)


def unrolled(row: Row, params):
    cell = nnx.GRUCell(row.shape[2], row.shape[3], rngs=nnx.Rngs(0))
    input_weight, hidden_weight, bias = params
    cell.dense_i.kernel = nnx.Param(input_weight)
    cell.dense_h.kernel = nnx.Param(hidden_weight)
    cell.dense_i.bias = nnx.Param(bias)
    if cell.dense_h.bias is not None:
        cell.dense_h.bias = nnx.Param(jnp.zeros_like(bias))
    return nnx.RNN(cell, rngs=nnx.Rngs(0))


def gru(row: Row, inputs: Arrays, direction: str) -> Prepared:
    def called(params, inputs, initial, _lengths):
        return unrolled(row, params[0])(inputs, initial_carry=initial)

    return jax_calls.gru(called, row, inputs, direction, native=native)


def bidirectional(row: Row, inputs: Arrays, direction: str) -> Prepared:
    def called(params, inputs, _initial, lengths):
        forward, backward = (unrolled(row, one) for one in params)
        both = nnx.Bidirectional(forward, backward, rngs=nnx.Rngs(0))
        return both(inputs, seq_lengths=lengths)

    return jax_calls.gru(called, row, inputs, direction, native=native)
