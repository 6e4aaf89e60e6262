"""Flax nnx."""

# pyright: reportMissingImports=false

from functools import partial

from flax import nnx

from experiments.benchmark.inputs import Arrays
from experiments.benchmark.libraries import jax_calls
from experiments.benchmark.prepared import Prepared
from experiments.benchmark.rows import Row

attention = partial(jax_calls.attention, nnx.dot_product_attention)


def unrolled(row: Row, weights):
    cell = nnx.GRUCell(row.shape[2], row.shape[3], rngs=nnx.Rngs(0))
    graph, state, rest = nnx.split(cell, nnx.Param, ...)
    nnx.replace_by_pure_dict(state, weights)
    return nnx.RNN(nnx.merge(graph, state, rest), rngs=nnx.Rngs(0))


def gru(row: Row, inputs: Arrays, direction: str) -> Prepared:
    def called(params, inputs, initial, _lengths):
        return unrolled(row, params[0])(inputs, initial_carry=initial)

    return jax_calls.gru(called, row, inputs, direction, library="nnx")


def bidirectional(row: Row, inputs: Arrays, direction: str) -> Prepared:
    def called(params, inputs, _initial, lengths):
        forward, backward = (unrolled(row, one) for one in params)
        both = nnx.Bidirectional(forward, backward, rngs=nnx.Rngs(0))
        return both(inputs, seq_lengths=lengths)

    return jax_calls.gru(called, row, inputs, direction, library="nnx")
