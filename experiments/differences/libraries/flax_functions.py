"""Flax, both of its interfaces."""

# pyright: reportMissingImports=false

import jax.numpy as jnp
from flax import linen, nnx

from experiments.differences.conversion import Converted
from experiments.differences.measures import by_jax, converted, of_scores, one_head


def linen_gru(weights, inputs, initial, length):
    final, outputs = linen.RNN(linen.GRUCell(initial.size), return_carry=True).apply(
        {"params": {"cell": weights}},
        inputs[None],
        initial_carry=initial[None],
        seq_lengths=jnp.array([length]),
    )
    return outputs[0], final[0]


def loaded(module, weights):
    """The module with other arrays as its parameters."""
    graph, state, rest = nnx.split(module, nnx.Param, ...)
    nnx.replace_by_pure_dict(state, weights)
    return nnx.merge(graph, state, rest)


def nnx_gru(weights, inputs, initial, length):
    cell = loaded(nnx.GRUCell(inputs.shape[1], initial.size, rngs=nnx.Rngs(0)), weights)
    final, outputs = nnx.RNN(cell, return_carry=True, rngs=nnx.Rngs(0))(
        inputs[None], initial_carry=initial[None], seq_lengths=jnp.array([length])
    )
    return outputs[0], final[0]


def linen_unrolled(weights, inputs):
    return linen_gru(weights, inputs, jnp.zeros(weights["hn"]["bias"].shape), len(inputs))[0]


def nnx_unrolled(weights, inputs):
    units = len(weights["dense_h"]["kernel"])
    return nnx_gru(weights, inputs, jnp.zeros(units), len(inputs))[0]


def linen_both(weights, inputs):
    units = weights["forward_rnn"]["cell"]["hn"]["bias"].size
    one = lambda: linen.RNN(linen.GRUCell(units, param_dtype=float))  # That of its first state.
    return linen.Bidirectional(one(), one()).apply({"params": weights}, inputs[None])[0]


def nnx_both(weights, inputs):
    units, rngs = len(weights["forward_rnn"]["cell"]["dense_h"]["kernel"]), nnx.Rngs(0)
    one = lambda: nnx.RNN(
        nnx.GRUCell(inputs.shape[1], units, param_dtype=float, rngs=rngs), rngs=rngs
    )
    return loaded(nnx.Bidirectional(one(), one(), rngs=rngs), weights)(inputs[None])[0]


def linen_heads(weights, query, key, value):
    _, heads, size = weights["query"]["kernel"].shape
    module = linen.MultiHeadDotProductAttention(
        heads, qkv_features=heads * size, out_features=weights["out"]["bias"].size
    )
    return module.apply({"params": weights}, query, key, value)


def nnx_heads(weights, query, key, value):
    inputs, heads, size = weights["query"]["kernel"].shape
    module = nnx.MultiHeadAttention(
        heads,
        inputs,
        qkv_features=heads * size,
        out_features=weights["out"]["bias"].size,
        num_kv_heads=weights["key"]["kernel"].shape[1],
        in_kv_features=key.shape[1],
        decode=False,
        rngs=nnx.Rngs(0),
    )
    return loaded(module, weights)(query[None], key[None], value[None])[0]


ATTENTION = {
    "flax.linen.dot_product_attention": one_head(linen.dot_product_attention),
    "flax.nnx.dot_product_attention": one_head(nnx.dot_product_attention),
}
NORMALIZERS = {
    "flax.linen.softmax": of_scores(linen.softmax),
    "flax.nnx.softmax": of_scores(nnx.softmax),
}
GRU = {
    "flax.linen.RNN(GRUCell)": converted(by_jax(linen_gru).run, "linen"),
    "flax.nnx.RNN(GRUCell)": converted(by_jax(nnx_gru).run, "nnx"),
}
CONVERTED = {
    "flax.linen.GRUCell": Converted("gru", "linen", linen_unrolled),
    "flax.linen.Bidirectional": Converted("bidirectional_gru", "linen", linen_both),
    "flax.linen.MultiHeadDotProductAttention": Converted(
        "multi_head", "linen", linen_heads, sizes={"v": 7, "d": 13}
    ),
    "flax.nnx.GRUCell, no hidden bias": Converted("gru", "nnx", nnx_unrolled, candidate_bias=False),
    "flax.nnx.Bidirectional, no hidden bias": Converted(
        "bidirectional_gru", "nnx", nnx_both, candidate_bias=False
    ),
    "flax.nnx.MultiHeadAttention, groups of heads": Converted(
        "multi_head", "nnx", nnx_heads, sizes={"h": 6, "g": 3, "d": 13}
    ),
}
