"""JAX's own attention; it has no recurrent unit but that of one GPU library."""

import jax

from experiments.differences.measures import one_head

ATTENTION = {"jax.nn.dot_product_attention": one_head(jax.nn.dot_product_attention)}
GRU = {}
