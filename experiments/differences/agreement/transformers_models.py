"""Modules and configurations of Hugging Face transformers, without trained weights.

Modules of models cast to float32 where they normalize; here these casts are to float64.
"""

# pyright: reportMissingImports=false

import importlib
from typing import Any

import torch
import transformers

import jattn
from experiments.differences.agreement.entry import Entry, normal
from experiments.differences.agreement.torch_run import by_torch
from jattn import masks

LENGTH, FEATURES, HEADS, SIZE, HIDDEN = 6, 8, 2, 4, 5
X = normal(LENGTH, FEATURES)
CAUSAL = masks.causal()


def model(name: str) -> Any:
    return importlib.import_module(f"transformers.models.{name}.modeling_{name}")


def entry(mechanism, function, inputs, ours, theirs, note="", differs=""):
    run = by_torch(theirs, casts=True)
    return Entry(mechanism, "transformers", function, inputs, ours, run, note, differs)


def config(name: str, **options) -> Any:
    made = getattr(transformers, f"{name}Config")(**options)
    made._attn_implementation = "eager"
    return made


def causal(length: int) -> torch.Tensor:
    """Returns what is added to the scores."""
    return torch.full((length, length), -torch.inf, dtype=torch.float64).triu(1)[None, None]


def angles(length: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns cosines and sines of rotary positions, of halves, as the modules take them."""
    frequencies = torch.tensor(jattn.rotary_frequencies(size))
    turned = torch.arange(length)[:, None] * frequencies
    both = torch.cat([turned, turned], -1)[None]
    return both.cos(), both.sin()


def flat(weight):
    """Joins the axes of heads and of their features."""
    return weight.reshape(-1, weight.shape[-1])
