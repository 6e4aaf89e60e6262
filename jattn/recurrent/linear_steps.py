"""Cells whose new state is linear in the old one: all steps of a sequence as a scan."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jattn._varying import varying_as
from jattn.alignment.recurrence import recurrence
from jattn.recurrent.padding import check_steps, zero_padding


class ScannedOutput(NamedTuple):
    """The output after each step, and the state after the last one."""

    outputs: Float[Array, "s n"]
    final: Float[Array, " n"]


Linear = Callable[[Float[Array, "s i"]], tuple[Float[Array, "s n"], Float[Array, "s n"]]]


def scanned(
    function: str,
    steps: Linear,
    inputs: Float[Array, "s i"],
    initial: Float[Array, " n"],
    length: int | Int[Array, ""] | None,
    valid: Bool[Array, " s"] | None,
) -> ScannedOutput:
    """Runs a cell over a sequence, given the factors and the summands of all its steps.

    Args:
        function: the public function's name, for error messages.
        steps: returns `kept` and `added` of `linear_steps` for the inputs.
    """
    check_steps(function, length, valid, "inputs", inputs)
    inputs, usable = zero_padding(inputs, length, valid)
    kept, added = steps(inputs)
    states, final = linear_steps(initial, kept, added, usable)
    return ScannedOutput(valid_outputs(states, usable), final)


def linear_steps(
    initial: Float[Array, " n"],
    kept: Float[Array, "s n"],
    added: Float[Array, "s n"],
    valid: Bool[Array, " s"] | None,
) -> tuple[Float[Array, "s n"], Float[Array, " n"]]:
    """Computes state[s] = kept[s] ∘ state[s - 1] + added[s] for all steps, and the last state.

    The initial state is a part of what the first step adds: the scan is the same with one and
    without. Steps that are not valid keep the state.
    """
    if valid is not None:
        kept, added = jnp.where(valid[:, None], kept, 1.0), jnp.where(valid[:, None], added, 0.0)
    is_first = (jnp.arange(kept.shape[0]) == 0)[:, None]
    states = recurrence(kept, added + jnp.where(is_first, kept * initial[None], 0.0))
    start = varying_as(initial, states)[None]
    return states, jnp.concatenate([start, states])[-1]


def valid_outputs(
    outputs: Float[Array, "s n"], valid: Bool[Array, " s"] | None
) -> Float[Array, "s n"]:
    """Returns the outputs, zero at steps that are not valid."""
    return outputs if valid is None else jnp.where(valid[:, None], outputs, 0.0)
