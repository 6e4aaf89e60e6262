"""The schemes of context parallelism, with formulas for work and traffic of a layer's attention.

A layer's attention is causal and counted forward and backward. With n devices and T tokens a
device holds t = T / n of them.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from experiments.scaling.collectives import Traffic, sent
from experiments.scaling.cost_model import Costs
from jattn import sharded

# Of a pair, a head and a feature: two products forward, and five backward, which computes the
# scores again. A product is a multiplication and an addition.
OPERATIONS = 2 * (2 + 5)


class Layer(NamedTuple):
    """Sizes of a layer's attention."""

    heads: int
    key_value_heads: int
    head_size: int
    bytes: int = 4  # Of a number.


class Scheme(NamedTuple):
    """A way to attend with a sequence that is sharded over devices.

    attend: the function of `jattn.sharded`.
    order: returns an array in the order in which it is sharded, from its natural one.
    pairs: pairs of a query and a key whose scores each of n devices computes for T tokens, as an
        average over all heads.
    traffic: what a device sends forward and backward.
    most_devices: the largest number of devices.
    """

    title: str
    attend: Callable[..., Any]
    order: Callable[[Any, int], Any]
    pairs: Callable[[int, int], np.ndarray]
    traffic: Callable[[int, int, Layer], Traffic]
    most_devices: Callable[[Layer], float]


def pairs_of_rows(first: np.ndarray, count: float) -> np.ndarray:
    """Returns the pairs of `count` queries from position `first` on with all keys up to each."""
    return count * first + count * (count + 1) / 2


def contiguous_pairs(devices: int, tokens: int) -> np.ndarray:
    part = tokens / devices
    return pairs_of_rows(part * np.arange(devices), part)


def zigzag_pairs(devices: int, tokens: int) -> np.ndarray:
    """Device i has chunks i and 2 n - 1 - i of 2 n."""
    chunk, index = tokens / devices / 2, np.arange(devices)
    both = (pairs_of_rows(chunk * i, chunk) for i in (index, 2 * devices - 1 - index))
    return sum(both, np.zeros(devices))


def equal_pairs(devices: int, tokens: int) -> np.ndarray:
    """All devices have all pairs, of as many heads each."""
    return np.full(devices, tokens * (tokens + 1) / 2 / devices)


def needed(tokens: int, layer: Layer) -> float:
    """Returns the operations of causal attention on one device."""
    return OPERATIONS * layer.heads * layer.head_size * tokens * (tokens + 1) / 2


def costs(
    scheme: Scheme, devices: int, tokens: int, layer: Layer, processors: float = np.inf
) -> Costs:
    """Returns what the busiest device does.

    Args:
        processors: number of processors that the devices share, at least one each by default.
    """
    pairs = scheme.pairs(devices, tokens)
    computed = max(pairs.max(), pairs.sum() / processors)
    operations = OPERATIONS * layer.heads * layer.head_size * computed
    return Costs(float(operations), *scheme.traffic(devices, tokens, layer))
