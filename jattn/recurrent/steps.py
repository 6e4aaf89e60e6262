"""The steps of a GRU in order, alone or with their derivatives."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jattn._sizes import are_known

BLOCK = 8  # Steps whose inputs are projected in one product, and whose loop is unrolled.


class Recurrent(NamedTuple):
    """The weights that multiply the hidden state, and the scale of the state where it enters them.

    `turned` is the transpose of `weight`: steps run faster with the first, gradients with the
    second.
    """

    weight: Float[Array, "3n n"]
    turned: Float[Array, "n 3n"]
    biases: Float[Array, "3 n"]
    candidate_bias: Float[Array, " n"] | None
    scale: Float[Array, " n"] | None


class Direction(NamedTuple):
    """The weights of one direction of a GRU, and its initial state.

    If `recurrent` has a `candidate_bias`, the reset gate multiplies the product with the hidden
    state plus this bias. Otherwise it multiplies the hidden state. All other biases are sums of the
    input and hidden biases, in `biases`.
    """

    recurrent: Recurrent
    input_weight: Float[Array, "3n i"]
    initial: Float[Array, " n"]


class Slopes(NamedTuple):
    """Derivatives of each new state by the state that it keeps and by its gates' arguments.

    `of_reset_state` is the derivative of reset ∘ hidden by the reset gate's argument, if the reset
    comes before the product.
    """

    kept: Float[Array, "s n"]
    by_reset: Float[Array, "s n"] | None
    by_update: Float[Array, "s n"]
    by_candidate: Float[Array, "s n"]
    reset: Float[Array, "s n"]
    of_reset_state: Float[Array, "s n"] | None


Projected = tuple[Float[Array, "*s n"], Float[Array, "*s n"], Float[Array, "*s n"]]


def project(turned: Float[Array, "i 3n"], inputs: Float[Array, "*s i"]) -> Projected:
    """Returns the part of the gates' arguments that depends on the inputs of the given steps."""
    reset, update, candidate = jnp.split(inputs @ turned, 3, axis=-1)
    return reset, update, candidate


def one_step(recurrent: Recurrent, *, with_slopes: bool = False):
    """Returns the body of a scan over the projected inputs and the valid steps.

    Its second result is the new state, or with `with_slopes` the new state, the old state and the
    slopes.
    """
    _, turned, biases, bias, scale = recurrent
    units, gates = len(turned), 2 if bias is None else 3
    biases = tuple(biases)

    def step(hidden, row):
        parts, valid = row
        # Biases are added here, which costs no further pass through memory.
        to_reset, to_update, to_candidate = map(jnp.add, parts, biases)
        scaled = hidden if scale is None else scale * hidden
        parts = jnp.split(scaled @ turned[:, : gates * units], gates)
        reset = jax.nn.sigmoid(to_reset + parts[0])
        update = jax.nn.sigmoid(to_update + parts[1])
        if bias is None:
            candidate = jnp.tanh(to_candidate + (reset * scaled) @ turned[:, 2 * units :])
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
            of_reset_state=scaled * of_reset if bias is None else None,
        )
        return new, (new, hidden, slopes)

    return step


def run(
    reverse: tuple[bool, ...],
    directions: tuple[Direction, ...],
    inputs: Float[Array, "s i"],
    valid: Bool[Array, " s"] | None,
) -> tuple[Float[Array, "s n"], ...]:
    """Returns the states of each direction after each step; a step that is not valid keeps them.

    The inputs of a block of steps are projected in one product just before these steps, so that the
    result stays in cache. One product for all steps would write the projections to memory and read
    them again; one product for each step would read the weight as many times. Directions share the
    body of the scan, because two scans would run one after the other.
    """
    total = inputs.shape[0]
    known = are_known(total)
    blocks, remainder = divmod(total, BLOCK) if known else (0, total)
    steps = [one_step(direction.recurrent) for direction in directions]
    turned = [direction.input_weight.T for direction in directions]

    def advance(carry, done, count):
        """Takes `count` more steps in each direction."""
        after = []
        for index, (hidden, outputs) in enumerate(carry):
            start = total - done - count if reverse[index] else done
            part = lambda array, start=start: jax.lax.dynamic_slice_in_dim(array, start, count)
            rows = project(turned[index], part(inputs)), None if valid is None else part(valid)
            hidden, states = jax.lax.scan(
                steps[index], hidden, rows, reverse=reverse[index], unroll=known
            )
            outputs = jax.lax.dynamic_update_slice_in_dim(outputs, states, start, 0)
            after.append((hidden, outputs))
        return after

    # All of it is overwritten. Unlike zeros, it has the batch of `jax.vmap` first.
    begin = lambda initial: (initial, jnp.broadcast_to(initial, (total, len(initial))))
    carry = [begin(direction.initial) for direction in directions]
    if blocks:
        body = lambda carry, block: (advance(carry, block * BLOCK, BLOCK), None)
        carry, _ = jax.lax.scan(body, carry, jnp.arange(blocks))
    if remainder:
        carry = advance(carry, blocks * BLOCK, remainder)
    return tuple(outputs for _, outputs in carry)
