"""The article's worked example, five queries and five keys, one line of algebra at a time."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

import jattn
from experiments.article.data import KEYS, QUERIES, VALUES


class Worked(NamedTuple):
    """All intermediate results of scaled dot-product attention."""

    products: np.ndarray
    scores: np.ndarray
    exponentials: np.ndarray
    normalizers: np.ndarray
    weights: np.ndarray
    output: np.ndarray


def work(queries: np.ndarray, keys: np.ndarray, values: np.ndarray) -> Worked:
    """Computes Q Kᵀ / sqrt(d_k), its exponential, Z for each row, the weights, and weights V."""
    products = queries @ keys.T
    scores = products / np.sqrt(keys.shape[1])
    exponentials = np.exp(scores)
    normalizers = exponentials.sum(axis=1, keepdims=True)
    weights = exponentials / normalizers
    return Worked(products, scores, exponentials, normalizers, weights, weights @ values)


def worked_example() -> str:
    """Returns the example as text, and its difference to `jattn.scaled_dot_product_attention`."""
    worked = work(QUERIES, KEYS, VALUES)
    attended = jattn.scaled_dot_product_attention(*map(jnp.asarray, (QUERIES, KEYS, VALUES)))
    apart = np.abs(attended.context - worked.output).max()
    steps = {
        "Q, five queries of d_k = 4": QUERIES,
        "K, five keys": KEYS,
        "V, five values of 2": VALUES,
        "Q K^T": worked.products,
        "Q K^T / sqrt(d_k), with sqrt(d_k) = 2": worked.scores,
        "exp of it": worked.exponentials,
        "Z, one for each row": worked.normalizers,
        "weights = exp / Z: (5, 5), where the article's formula ends": worked.weights,
        "weights V: the output, (5, 2)": worked.output,
    }
    with np.printoptions(precision=4, suppress=True, floatmode="maxprec"):
        lines = [f"{title}\n{array}" for title, array in steps.items()]
    lines.append(f"rows of weights sum to {worked.weights.sum(axis=1).round(12)}")
    lines.append(f"jattn.scaled_dot_product_attention differs by {apart:.1e} at most")
    return "\n".join(lines)
