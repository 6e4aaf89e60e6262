"""Functions of PyTorch, not compiled, with or without their gradient."""

# pyright: reportMissingImports=false

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from experiments.benchmark.prepared import Prepared, gradients
from experiments.benchmark.rows import FORWARD

torch.set_num_threads(2)

Tensors = dict[str, torch.Tensor]


def tensors(arrays: Mapping[str, np.ndarray]) -> Tensors:
    return {name: torch.tensor(np.ascontiguousarray(array)) for name, array in arrays.items()}


def prepared(
    function: Callable[[Tensors], torch.Tensor],
    arrays: Tensors,
    cotangent: np.ndarray | None,
    direction: str,
    *,
    finished: Callable[[str, np.ndarray], np.ndarray] = lambda name, array: array,
    held: int = 0,
) -> Prepared:
    """Runs `function(arrays)`; `finished` gives a result, by its name, the form of the inputs."""

    def forward():
        with torch.no_grad():
            return function(arrays), ()

    def with_gradient():
        output = function(arrays)
        return output, torch.autograd.grad(output, list(arrays.values()), against)

    def result(returned):
        output, slopes = returned
        named = {"output": output.detach().numpy()}
        named |= gradients(dict(zip(arrays, slopes, strict=False)))
        return {name: finished(name, array) for name, array in named.items()}

    if direction == FORWARD:
        return Prepared(forward, result, held=held)
    against = torch.tensor(np.array(cotangent, order="C"))
    for array in arrays.values():
        array.requires_grad_()
    return Prepared(with_gradient, result, held=held)


def heads_first(inputs: Mapping[str, Any]) -> Tensors:
    """Returns query, key, value and bias in PyTorch's layout `b h t k`."""
    arrays = {name: inputs[name].swapaxes(1, 2) for name in ("query", "key", "value")}
    return tensors(arrays | ({"bias": inputs["bias"]} if "bias" in inputs else {}))


def heads_second(name: str, array: np.ndarray) -> np.ndarray:
    return array if name == "d_bias" else array.swapaxes(1, 2)
