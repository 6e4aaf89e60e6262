"""The steps of a GRU: one after the other, alone or with their slopes."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

BLOCK = 8  # Steps whose inputs are projected in one product; their code is written out.


class Recurrent(NamedTuple):
    """The weights that meet the hidden state, and what multiplies it where it enters them.

    `turned` is the transpose of `weight`: steps run faster on the one, their gradient on the other.
    """

    weight: Float[Array, "3n n"]
    turned: Float[Array, "n 3n"]
    biases: Float[Array, "3 n"]
    candidate_bias: Float[Array, " n"] | None
    scale: Float[Array, " n"] | None


class Direction(NamedTuple):
    """What one direction of a GRU reads its inputs with, and the state that it starts from.

    The reset acts after the product with the hidden state if `recurrent` has a `candidate_bias`,
    which it meets too; otherwise before it. All other biases are sums of both, in `biases`.
    """

    recurrent: Recurrent
    input_weight: Float[Array, "3n i"]
    initial: Float[Array, " n"]


class Slopes(NamedTuple):
    """The derivative of each new state by the state it keeps and by its gates' arguments.

    `met` is the derivative of what the candidate's weights meet, if the reset comes before them.
    """

    kept: Float[Array, "s n"]
    by_reset: Float[Array, "s n"] | None
    by_update: Float[Array, "s n"]
    by_candidate: Float[Array, "s n"]
    reset: Float[Array, "s n"]
    met: Float[Array, "s n"] | None


Projected = tuple[Float[Array, "*s n"], Float[Array, "*s n"], Float[Array, "*s n"]]


def project(turned: Float[Array, "i 3n"], inputs: Float[Array, "*s i"]) -> Projected:
    """The part of the gates' arguments that the inputs of some steps, or of all of them, give."""
    reset, update, candidate = jnp.split(inputs @ turned, 3, axis=-1)
    return reset, update, candidate


def one_step(recurrent: Recurrent, *, with_slopes: bool = False):
    """The body of a scan over the projected inputs, and over what says which steps are valid.

    Its second result is the new state; `with_slopes`, the new one, the old one and the slopes.
    """
    _, turned, biases, bias, scale = recurrent
    units, gates = len(turned), 2 if bias is None else 3
    biases = tuple(biases)

    def step(hidden, here):
        parts, valid = here
        # Added here and not before, the biases cost no pass through memory.
        to_reset, to_update, to_candidate = map(jnp.add, parts, biases)
        seen = hidden if scale is None else scale * hidden
        parts = jnp.split(seen @ turned[:, : gates * units], gates)
        reset = jax.nn.sigmoid(to_reset + parts[0])
        update = jax.nn.sigmoid(to_update + parts[1])
        if bias is None:
            candidate = jnp.tanh(to_candidate + (reset * seen) @ turned[:, 2 * units :])
        else:
            product = parts[2] + bias
            candidate = jnp.tanh(to_candidate + reset * product)
        new = (1.0 - update) * candidate + update * hidden
        if valid is not None:
            new = jnp.where(valid, new, hidden)
        if not with_slopes:
            return new, new
        where_valid = lambda slope, other: (
            slope if valid is None else jnp.where(valid, slope, other)
        )
        by_candidate = where_valid((1.0 - update) * (1.0 - candidate * candidate), 0.0)
        of_reset = reset * (1.0 - reset)
        slopes = Slopes(
            kept=where_valid(update, 1.0),
            by_reset=None if bias is None else by_candidate * product * of_reset,
            by_update=where_valid((hidden - candidate) * update * (1.0 - update), 0.0),
            by_candidate=by_candidate,
            reset=reset,
            met=seen * of_reset if bias is None else None,
        )
        return new, (new, hidden, slopes)

    return step


def run(
    reverse: tuple[bool, ...],
    directions: tuple[Direction, ...],
    inputs: Float[Array, "s i"],
    valid: Bool[Array, " s"] | None,
) -> tuple[Float[Array, "s n"], ...]:
    """The states of each direction after each step; a step that is not valid leaves them.

    The inputs of a few steps are projected in one product when it is their turn, and are in cache
    then: one product for all steps would go through memory twice, and one for each step would read
    the weight as often. Directions share the body of the scan, as two scans would wait for each
    other.
    """
    total = len(inputs)
    blocks, rest = divmod(total, BLOCK)
    steps = [one_step(direction.recurrent) for direction in directions]
    turned = [direction.input_weight.T for direction in directions]

    def advance(carry, done, count):
        """Takes `count` more steps in each direction."""
        after = []
        for index, (hidden, outputs) in enumerate(carry):
            start = total - done - count if reverse[index] else done
            part = lambda array, start=start: jax.lax.dynamic_slice_in_dim(array, start, count)
            here = project(turned[index], part(inputs)), None if valid is None else part(valid)
            hidden, states = jax.lax.scan(
                steps[index], hidden, here, reverse=reverse[index], unroll=True
            )
            outputs = jax.lax.dynamic_update_slice_in_dim(outputs, states, start, 0)
            after.append((hidden, outputs))
        return after

    # Not zeros: so the batch of `jax.vmap` comes first always. All of it is overwritten.
    begin = lambda initial: (initial, jnp.broadcast_to(initial, (total, len(initial))))
    carry = [begin(direction.initial) for direction in directions]
    if blocks:
        body = lambda carry, block: (advance(carry, block * BLOCK, BLOCK), None)
        carry, _ = jax.lax.scan(body, carry, jnp.arange(blocks))
    if rest:
        carry = advance(carry, blocks * BLOCK, rest)
    return tuple(outputs for _, outputs in carry)
