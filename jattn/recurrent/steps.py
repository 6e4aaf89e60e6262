"""All steps of a GRU as one operation, whose derivative has one product for all of them."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


class Recurrent(NamedTuple):
    """The weights that meet the hidden state, and what multiplies it where it enters them.

    `turned` is the transpose of `weight`: steps run faster on the one, their gradient on the other.
    """

    weight: Float[Array, "3n n"]
    turned: Float[Array, "n 3n"]
    biases: Float[Array, "3 n"]
    candidate_bias: Float[Array, " n"] | None
    scale: Float[Array, " n"] | None


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


Projected = tuple[Float[Array, "s n"], Float[Array, "s n"], Float[Array, "s n"]]


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def states(
    reverse: bool,
    recurrent: Recurrent,
    initial: Float[Array, " n"],
    projected: Projected,
    valid: Bool[Array, " s"] | None,
) -> Float[Array, "s n"]:
    """The state after each step; a step that is not valid leaves it.

    The reset acts after the product with the hidden state if there is a `candidate_bias`, which it
    meets too; otherwise before it. All other biases are sums of both, in `biases`.
    """
    return _run(reverse, recurrent, initial, projected, valid)[1]


def _run(reverse, recurrent, initial, projected, valid, *, with_slopes=False):
    _, turned, biases, bias, scale = recurrent
    units, gates = len(initial), 2 if bias is None else 3
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

    return jax.lax.scan(step, initial, (projected, valid), reverse=reverse)


@states.defjvp
def _tangent(reverse, primals, tangents):
    """Steps d_new = kept d_hidden + slopes ∘ weight d_hidden + what does not need d_hidden.

    Transposed, the gradient of `weight` is a product over all steps, `turned` standing for it.
    """
    weight, _, _, bias, scale = primals[0]
    d_recurrent, d_initial, d_projected, _ = tangents
    _, (after, before, slopes) = _run(reverse, *primals, with_slopes=True)
    seen = before if scale is None else scale[None] * before
    d_seen = None if scale is None else d_recurrent.scale[None] * before
    d_reset, d_update, d_candidate = (
        d_part + d_bias[None]
        for d_part, d_bias in zip(d_projected, d_recurrent.biases, strict=True)
    )
    units = len(d_initial)

    def product(rows, d_rows, gates):
        """What d_weight adds, and the part of the state's tangent that is known beforehand."""
        total = jnp.einsum("sm,nm->sn", rows, d_recurrent.weight[gates])
        if d_rows is not None:
            total = total + jnp.einsum("sm,nm->sn", d_rows, weight[gates])
        return total

    if bias is not None:
        parts = jnp.split(product(seen, d_seen, slice(None)), 3, axis=-1)
        d_product = parts[2] + d_recurrent.candidate_bias[None]
        d_apart = slopes.by_candidate * (d_candidate + slopes.reset * d_product)
        d_apart = d_apart + slopes.by_reset * (d_reset + parts[0])
        d_met = None
    else:
        parts = jnp.split(product(seen, d_seen, slice(2 * units)), 2, axis=-1)
        d_met = slopes.met * (d_reset + parts[0])
        if d_seen is not None:
            d_met = d_met + slopes.reset * d_seen
        d_product = product(slopes.reset * seen, None, slice(2 * units, None))
        d_apart = slopes.by_candidate * (d_candidate + d_product)
    d_apart = d_apart + slopes.by_update * (d_update + parts[1])

    def step(d_hidden, here):
        d_apart, d_met, slopes = here
        d_seen = d_hidden if scale is None else scale * d_hidden
        if bias is not None:
            parts = jnp.split(jnp.einsum("m,nm->n", d_seen, weight), 3)
            d_gates = slopes.by_reset * parts[0] + slopes.by_candidate * (slopes.reset * parts[2])
        else:
            parts = jnp.split(jnp.einsum("m,nm->n", d_seen, weight[: 2 * units]), 2)
            d_met = d_met + slopes.reset * d_seen + slopes.met * parts[0]
            d_gates = slopes.by_candidate * jnp.einsum("m,nm->n", d_met, weight[2 * units :])
        d_new = slopes.kept * d_hidden + slopes.by_update * parts[1] + d_gates + d_apart
        return d_new, d_new

    return after, jax.lax.scan(step, d_initial, (d_apart, d_met, slopes), reverse=reverse)[1]
