"""Haiku. Its attention comes with projections, which are set to the identity.

Its GRU puts the reset gate before the product, so it computes another function than the rest.
"""

# pyright: reportMissingImports=false

import haiku
import jax.numpy as jnp

from experiments.differences.conversion import Converted
from experiments.differences.measures import by_jax, identity
from jattn import convert, reset_before_gru_cell

constant = haiku.initializers.Constant(0.0)  # Required by the module, though weights replace it.


def run_heads(weights, heads, sizes, with_bias, *inputs, **options):
    def called():
        module = haiku.MultiHeadAttention(
            heads, sizes[0], w_init=constant, with_bias=with_bias, value_size=sizes[1],
            model_size=sizes[2],
        )  # fmt: skip
        return module(*inputs, **options)

    params = {f"multi_head_attention/{name}": part for name, part in weights.items()}
    return haiku.transform(called).apply(params, None)


def attention(query, key, value, mask):
    size = query.shape[-1]
    weights = convert.multi_head_to_haiku(identity(size, query.dtype))
    return run_heads(weights, 1, [size] * 3, False, query, key, value, mask=mask[None])


def heads(weights, *inputs):
    return run_heads(weights, 2, (3, 5, 13), True, *inputs)


def unrolled(weights, inputs):
    units = len(weights["w_h"])
    run = lambda: haiku.dynamic_unroll(haiku.GRU(units), inputs, jnp.zeros(units))[0]
    return haiku.transform(run).apply({"gru": weights}, None)


ATTENTION = {"haiku.MultiHeadAttention": by_jax(attention)}
GRU = {}
CONVERTED = {
    "haiku.GRU, reset before": Converted(
        "gru", "haiku", unrolled, options={"cell": reset_before_gru_cell}
    ),
    "haiku.MultiHeadAttention": Converted(
        "multi_head", "haiku", heads, reading={"heads": 2}, sizes={"u": 5, "v": 7, "d": 13}
    ),
}
