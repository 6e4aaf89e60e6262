"""Runs functions of PyTorch for a comparison, on the processor and in float64."""

# pyright: reportMissingImports=false

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

import jax
import torch

from experiments.differences.agreement.entry import Run


def by_torch(function: Callable[..., Any], *, casts: bool = False) -> Run:
    """Runs a function of tensors, which returns a tensor or a tree of tensors.

    Args:
        casts: the function casts to float32, whatever its inputs are. While it runs, these casts
            are to float64.
    """

    def run(inputs, cotangents):
        tensors = [torch.tensor(array, requires_grad=True) for array in inputs]
        with ExitStack() as stack:
            if casts:
                stack.enter_context(patch.object(torch.Tensor, "float", torch.Tensor.double))
                stack.enter_context(patch.object(torch, "float32", torch.float64))
                stack.enter_context(patch.object(torch, "float", torch.float64))
                stack.callback(torch.set_default_dtype, torch.get_default_dtype())
                torch.set_default_dtype(torch.float64)
            outputs = jax.tree.leaves(function(*tensors))
            to_numpy = lambda tensor: tensor.detach().numpy()
            if not tensors:
                return list(map(to_numpy, outputs)), None
            gradients = torch.autograd.grad(outputs, tensors, list(map(torch.tensor, cotangents)))
        return list(map(to_numpy, outputs)), list(map(to_numpy, gradients))

    return run


def load(module: Any, weights: Any, *inputs: Any, **options: Any) -> Any:
    """Calls a module with these tensors as its parameters; a name that is missing raises."""
    unknown = set(weights) ^ {name for name, _ in module.named_parameters()}
    if unknown:
        raise KeyError(f"parameters of {type(module).__name__}: {sorted(unknown)}")
    return torch.func.functional_call(module.double().eval(), weights, inputs, options)
