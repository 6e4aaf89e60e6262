"""Measurements of weights that `jattn.convert` converts, run by each library's own modules."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

import jattn
from experiments.differences.measures import scaled_error
from jattn import BidirectionalGRUParams, GRUParams, MultiHeadParams, convert

STEPS, INPUTS, UNITS = 7, 3, 5
QUERIES, KEYS = 5, 7
SIZES = {"h": 2, "g": 2, "e": 3, "u": 3, "q": 6, "k": 11, "v": 11, "d": 6}  # All libraries can.


class Converted(NamedTuple):
    """A module: `run(weights, *inputs)` returns its outputs for weights in its library's form.

    Args:
        what: its name in jattn, as in `<what>_to_<library>`.
        options: keyword arguments of both conversions, such as the cell.
        reading: keyword arguments of the conversion to jattn alone, such as the number of heads.
        sizes: sizes of its heads that differ from `SIZES`.
        candidate_bias: whether the candidate has a hidden bias.
    """

    what: str
    library: str
    run: Callable[..., Any]
    options: Mapping[str, Any] = {}
    reading: Mapping[str, Any] = {}
    sizes: Mapping[str, int] = {}
    candidate_bias: bool = True

    def to(self, params: Any) -> Any:
        return getattr(convert, f"{self.what}_to_{self.library}")(params, **self.options)

    def back(self, weights: Any) -> Any:
        read = getattr(convert, f"{self.what}_from_{self.library}")
        return read(weights, **self.options, **self.reading)


def draw(module: Converted) -> tuple[Any, tuple]:
    """Returns parameters of jattn and inputs."""
    normal = np.random.default_rng(0).standard_normal

    def one(inputs):
        shapes = (3, UNITS, inputs), (3, UNITS, UNITS), (3, UNITS), (3, UNITS)
        params = GRUParams._make(map(normal, shapes))
        if not module.candidate_bias:
            params.hidden_bias[2] = 0
        return params

    both = lambda inputs: BidirectionalGRUParams(one(inputs), one(inputs))
    if module.what == "multi_head":
        size = {**SIZES, **module.sizes}
        axes = "heq", "gek", "guv", "dhu", "he", "ge", "gu", "d"
        params = MultiHeadParams._make(normal([size[letter] for letter in one]) for one in axes)
        inputs = ((QUERIES, size["q"]), (KEYS, size["k"]), (KEYS, size["v"]))
        return params, tuple(map(normal, inputs))
    layers = {"gru": one, "bidirectional_gru": both}
    if module.what == "stacked_gru":
        return (both(INPUTS), both(2 * UNITS)), (normal((STEPS, INPUTS)),)
    return layers[module.what](INPUTS), (normal((STEPS, INPUTS)),)


def of_jattn(module: Converted, params: Any, inputs: tuple) -> Any:
    """Returns the outputs of jattn."""
    if module.what == "multi_head":
        return jattn.multi_head_attention(params, *inputs).context
    return getattr(jattn, module.what)(params, *inputs, **module.options).outputs


def to_the_library(module: Converted) -> str:
    params, inputs = draw(module)
    outputs = module.run(module.to(params), *inputs)
    return f"{scaled_error(outputs, of_jattn(module, params, inputs)):.0e}"


def from_the_library(module: Converted) -> str:
    """Returns the error for new weights of the library's names and shapes."""
    params, inputs = draw(module)
    rng = np.random.default_rng(1)
    weights = jax.tree.map(lambda array: rng.standard_normal(array.shape), module.to(params))
    expected = of_jattn(module, module.back(weights), inputs)
    return f"{scaled_error(module.run(weights, *inputs), expected):.0e}"


def there_and_back(module: Converted) -> str:
    """Returns whether weights of the library come back bit for bit."""
    weights = module.to(draw(module)[0])
    again = module.to(module.back(weights))
    same = jax.tree.map(lambda one, other: one.tobytes() == other.tobytes(), weights, again)
    return "bit for bit" if all(jax.tree.leaves(same)) else "changed"


COLUMNS = {
    "jattn's weights in it": to_the_library,
    "its weights in jattn": from_the_library,
    "there and back": there_and_back,
}
