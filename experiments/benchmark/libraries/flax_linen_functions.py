"""Flax, its older interface."""

# pyright: reportMissingImports=false

from flax import linen

from experiments.benchmark.inputs import Arrays
from experiments.benchmark.libraries import jax_calls
from experiments.benchmark.prepared import Prepared, Unsupported
from experiments.benchmark.rows import Row


def attention(row: Row, inputs: Arrays, direction: str) -> Prepared:
    if row.soft_cap is not None:
        raise Unsupported("has no soft cap")
    return jax_calls.attention(
        linen.dot_product_attention, row, inputs, direction, keeps_causal=False
    )


def gru(row: Row, inputs: Arrays, direction: str) -> Prepared:
    module = linen.RNN(linen.GRUCell(row.shape[3]))

    def called(params, inputs, initial, _lengths):
        return module.apply({"params": {"cell": params[0]}}, inputs, initial_carry=initial)

    return jax_calls.gru(called, row, inputs, direction, library="linen")


def bidirectional(row: Row, inputs: Arrays, direction: str) -> Prepared:
    units = row.shape[3]
    module = linen.Bidirectional(
        linen.RNN(linen.GRUCell(units), name="forward"),
        linen.RNN(linen.GRUCell(units), name="backward"),
    )

    def called(params, inputs, _initial, lengths):
        params = {"forward_rnn": {"cell": params[0]}, "backward_rnn": {"cell": params[1]}}
        return module.apply({"params": params}, inputs, seq_lengths=lengths)

    return jax_calls.gru(called, row, inputs, direction, library="linen")
