"""JAX's own attention; its only recurrent unit is cuDNN's, for GPUs."""

import jax

from experiments.differences.measures import of_scores, one_head

ATTENTION = {"jax.nn.dot_product_attention": one_head(jax.nn.dot_product_attention)}
NORMALIZERS = {
    "jax.nn.softmax": of_scores(jax.nn.softmax),
    "jax.nn.log_softmax": of_scores(jax.nn.log_softmax),
}
GRU = {}
