"""jattn itself, measured as the others are."""

import jattn
from experiments.differences.measures import by_jax


def attention(query, key, value, mask):
    return jattn.scaled_dot_product_attention(query, key, value, mask=mask).context


def gru(params, inputs, initial, length):
    return tuple(jattn.gru(params, inputs, initial=initial, length=length))


ATTENTION = {"jattn.scaled_dot_product_attention": by_jax(attention)}
GRU = {"jattn.gru": by_jax(gru)}
