"""The schemes of context parallelism, with formulas for work and traffic of a layer's attention.

A layer's attention is causal and counted forward and backward. With n devices and T tokens a
device holds t = T / n of them.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
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
    compiled: the traffic in a program for a CPU, where that is less.
    """

    attend: Callable[..., Any]
    order: Callable[[Any, int], Any]
    pairs: Callable[[int, int], np.ndarray]
    traffic: Callable[[int, int, Layer], Traffic]
    most_devices: Callable[[Layer], float]
    compiled: Callable[[int, int, Layer], Traffic] | None = None


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


def exchanged_keys(devices: int, tokens: int, layer: Layer) -> float:
    """Returns the bytes of a device's keys, as many as of its values."""
    return tokens / devices * layer.key_value_heads * layer.head_size * layer.bytes


def gathering(devices: int, tokens: int, layer: Layer, exchanges: int = 2) -> Traffic:
    """Keys and values are gathered forward and again backward, and their cotangents added up.

    On a CPU, the XLA of jax 0.10 merges the two exchanges into one.
    """
    keys = exchanged_keys(devices, tokens, layer)
    gathered = sent("all-gather", devices * keys, devices).times(exchanges)
    return (gathered + sent("reduce-scatter", keys, devices)).times(2)


def circulating(devices: int, tokens: int, layer: Layer) -> Traffic:
    """Keys and values go around forward and again backward, with their cotangents.

    Cotangents make one step more, to their own device. Of two devices, they make this step alone,
    and XLA merges the two exchanges of keys and values on a CPU.
    """
    steps = 3 * devices - 2 if devices > 2 else 2
    keys = exchanged_keys(devices, tokens, layer)
    return sent("collective-permute", keys, devices).times(2 * steps)


def by_heads(devices: int, tokens: int, layer: Layer) -> Traffic:
    """Queries, keys, values and the output are exchanged forward, their cotangents backward.

    Key-value heads that are fewer than devices are repeated.
    """
    part = tokens / devices * layer.head_size * layer.bytes
    sizes = part * layer.heads, part * max(layer.key_value_heads, devices)
    once = [sent("all-to-all", size, devices) for size in sizes]
    return sum(once, Traffic()).times(4)


def needed(tokens: int, layer: Layer) -> float:
    """Returns the operations of causal attention on one device."""
    return OPERATIONS * layer.heads * layer.head_size * tokens * (tokens + 1) / 2


def costs(
    scheme: Scheme, devices: int, tokens: int, layer: Layer, processors: float = np.inf
) -> Costs:
    """Returns what the busiest device does.

    Args:
        processors: number of processors of one machine that the devices share; by default, each
            device is a machine.
    """
    pairs = scheme.pairs(devices, tokens)
    computed = max(pairs.max(), pairs.sum() / processors)
    operations = OPERATIONS * layer.heads * layer.head_size * computed
    traffic = scheme.traffic if np.isinf(processors) else scheme.compiled or scheme.traffic
    return Costs(float(operations), *traffic(devices, tokens, layer))


in_order: Callable[[Any, int], Any] = lambda array, devices: array
any_number: Callable[[Layer], float] = lambda layer: np.inf
SCHEMES = {
    "all gather": Scheme(
        sharded.all_gather_attention,
        in_order,
        contiguous_pairs,
        gathering,
        any_number,
        partial(gathering, exchanges=1) if jax.__version_info__ < (0, 11) else None,
    ),
    "ring": Scheme(sharded.ring_attention, in_order, contiguous_pairs, circulating, any_number),
    "zig-zag": Scheme(
        sharded.zigzag_attention,
        lambda array, devices: sharded.zigzag_order(array, devices, 0),
        zigzag_pairs,
        circulating,
        any_number,
    ),
    "Ulysses": Scheme(
        sharded.ulysses_attention, in_order, equal_pairs, by_heads, lambda layer: layer.heads
    ),
}
