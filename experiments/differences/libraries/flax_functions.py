"""Flax, both of its interfaces."""

# pyright: reportMissingImports=false

import jax.numpy as jnp
from flax import linen, nnx

from experiments.differences.measures import by_jax, one_head
from experiments.gru_weights import candidate_apart, side_by_side


def linen_gru(params, inputs, initial, length):
    bias, candidate_bias = candidate_apart(params)
    cell: dict[str, dict] = {
        f"i{gate}": {"kernel": params.input_weight[index].T, "bias": bias[index]}
        for index, gate in enumerate("rzn")
    }
    cell |= {
        f"h{gate}": {"kernel": params.hidden_weight[index].T} for index, gate in enumerate("rzn")
    }
    cell["hn"]["bias"] = candidate_bias
    final, outputs = linen.RNN(linen.GRUCell(initial.size), return_carry=True).apply(
        {"params": {"cell": cell}},
        inputs[None],
        initial_carry=initial[None],
        seq_lengths=jnp.array([length]),
    )
    return outputs[0], final[0]


def nnx_gru(params, inputs, initial, length):
    """Where the cell has a hidden bias, and this version's has not, it would be used."""
    cell = nnx.GRUCell(inputs.shape[1], initial.size, rngs=nnx.Rngs(0))
    bias, candidate_bias = candidate_apart(params)
    cell.dense_i.kernel = nnx.Param(side_by_side(params.input_weight))
    cell.dense_i.bias = nnx.Param(bias.reshape(-1))
    cell.dense_h.kernel = nnx.Param(side_by_side(params.hidden_weight))
    if cell.dense_h.bias is not None:
        hidden_bias = jnp.zeros_like(bias).at[2].set(candidate_bias)
        cell.dense_h.bias = nnx.Param(hidden_bias.reshape(-1))
    final, outputs = nnx.RNN(cell, return_carry=True, rngs=nnx.Rngs(0))(
        inputs[None], initial_carry=initial[None], seq_lengths=jnp.array([length])
    )
    return outputs[0], final[0]


ATTENTION = {
    "flax.linen.dot_product_attention": one_head(linen.dot_product_attention),
    "flax.nnx.dot_product_attention": one_head(nnx.dot_product_attention),
}
GRU = {"flax.linen.RNN(GRUCell)": by_jax(linen_gru), "flax.nnx.RNN(GRUCell)": by_jax(nnx_gru)}
