"""Functions of jattn, measured as those of other libraries are."""

import jattn
from experiments.differences.measures import by_jax, of_scores


def attention(query, key, value, mask):
    return jattn.scaled_dot_product_attention(query, key, value, mask=mask).context


def gru(params, inputs, initial, length):
    return tuple(jattn.gru(params, inputs, initial=initial, length=length))


ATTENTION = {"jattn.scaled_dot_product_attention": by_jax(attention)}
NORMALIZERS = {
    "jattn.softmax": of_scores(jattn.softmax),
    "jattn.off_by_one_softmax": of_scores(jattn.off_by_one_softmax),
    "jattn.sparsemax": of_scores(jattn.sparsemax),
    "jattn.entmax15": of_scores(jattn.entmax15),
}
GRU = {"jattn.gru": by_jax(gru)}
