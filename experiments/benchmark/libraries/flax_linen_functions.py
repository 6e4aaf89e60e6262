"""Flax, its older interface."""

# pyright: reportMissingImports=false

from flax import linen

from experiments.benchmark.inputs import Arrays
from experiments.benchmark.libraries import jax_calls
from experiments.benchmark.prepared import Prepared, Unsupported
from experiments.benchmark.rows import Row
from experiments.gru_weights import candidate_apart


def attention(row: Row, inputs: Arrays, direction: str) -> Prepared:
    if row.soft_cap is not None:
        raise Unsupported("has no soft cap")
    return jax_calls.attention(
        linen.dot_product_attention, row, inputs, direction, keeps_causal=False
    )


def native(params):
    bias, candidate_bias = candidate_apart(params)
    cell: dict[str, dict] = {
        f"i{gate}": {"kernel": params.input_weight[index].T, "bias": bias[index]}
        for index, gate in enumerate("rzn")
    }
    cell |= {
        f"h{gate}": {"kernel": params.hidden_weight[index].T} for index, gate in enumerate("rzn")
    }
    cell["hn"]["bias"] = candidate_bias
    return cell


def gru(row: Row, inputs: Arrays, direction: str) -> Prepared:
    module = linen.RNN(linen.GRUCell(row.shape[3]))

    def called(params, inputs, initial, _lengths):
        return module.apply({"params": {"cell": params[0]}}, inputs, initial_carry=initial)

    return jax_calls.gru(called, row, inputs, direction, native=native)


def bidirectional(row: Row, inputs: Arrays, direction: str) -> Prepared:
    units = row.shape[3]
    module = linen.Bidirectional(
        linen.RNN(linen.GRUCell(units), name="forward"),
        linen.RNN(linen.GRUCell(units), name="backward"),
    )

    def called(params, inputs, _initial, lengths):
        params = {"forward_rnn": {"cell": params[0]}, "backward_rnn": {"cell": params[1]}}
        return module.apply({"params": params}, inputs, seq_lengths=lengths)

    return jax_calls.gru(called, row, inputs, direction, native=native)
