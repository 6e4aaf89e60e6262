"""Cells whose new state is linear in the old one: all steps of a sequence as a scan."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jattn._varying import varying_as
from jattn.alignment.recurrence import recurrence


class ScannedOutput(NamedTuple):
    """The output after each step, and the state after the last one."""

    outputs: Float[Array, "s n"]
    final: Float[Array, " n"]


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
