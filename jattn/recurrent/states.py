"""All steps of a GRU as one operation, whose weight gradient is one product over all steps."""

import jax
import jax.numpy as jnp

from jattn.recurrent.steps import one_step, project, run

states = jax.custom_jvp(run, nondiff_argnums=(0,))


@states.defjvp
def _tangents(reverse, primals, tangents):
    directions, inputs, valid = primals
    d_directions, d_inputs, _ = tangents
    results = [
        _tangent(backwards, direction, d_direction, inputs, d_inputs, valid)
        for backwards, direction, d_direction in zip(reverse, directions, d_directions, strict=True)
    ]
    after, d_after = zip(*results, strict=True)
    # An axis added and removed: under `jax.vmap` the batch comes first, as in the result of `run`.
    return tuple(states[None][0] for states in after), d_after


def _tangent(reverse, direction, d_direction, inputs, d_inputs, valid):
    """Computes d_new = kept d_hidden + slopes ∘ weight d_hidden + terms without d_hidden.

    The terms without d_hidden are computed for all steps at once. So in the transpose, the gradient
    of `weight` is one product over all steps. `turned`, its copy, has no tangent of its own.
    """
    recurrent, input_weight, initial = direction
    d_recurrent, d_input_weight, d_initial = d_direction
    weight, _, _, bias, scale = recurrent
    projected, d_projected = jax.jvp(
        project, (input_weight.T, inputs), (d_input_weight.T, d_inputs)
    )
    body = one_step(recurrent, with_slopes=True)
    _, (after, before, slopes) = jax.lax.scan(body, initial, (projected, valid), reverse=reverse)
    scaled = before if scale is None else scale[None] * before
    d_scaled = None if scale is None else d_recurrent.scale[None] * before
    d_reset, d_update, d_candidate = (
        d_part + d_bias[None]
        for d_part, d_bias in zip(d_projected, d_recurrent.biases, strict=True)
    )
    units = len(d_initial)

    def product(rows, d_rows, gates):
        """Returns the terms of d_weight and of the rows' tangent d_rows, if there is one."""
        total = jnp.einsum("sm,nm->sn", rows, d_recurrent.weight[gates])
        if d_rows is not None:
            total = total + jnp.einsum("sm,nm->sn", d_rows, weight[gates])
        return total

    if bias is not None:
        parts = jnp.split(product(scaled, d_scaled, slice(None)), 3, axis=-1)
        d_product = parts[2] + d_recurrent.candidate_bias[None]
        d_apart = slopes.by_candidate * (d_candidate + slopes.reset * d_product)
        d_apart = d_apart + slopes.by_reset * (d_reset + parts[0])
        d_reset_state = None
    else:
        parts = jnp.split(product(scaled, d_scaled, slice(2 * units)), 2, axis=-1)
        d_reset_state = slopes.of_reset_state * (d_reset + parts[0])
        if d_scaled is not None:
            d_reset_state = d_reset_state + slopes.reset * d_scaled
        d_product = product(slopes.reset * scaled, None, slice(2 * units, None))
        d_apart = slopes.by_candidate * (d_candidate + d_product)
    d_apart = d_apart + slopes.by_update * (d_update + parts[1])

    def step(d_hidden, row):
        d_apart, d_reset_state, slopes = row
        d_scaled = d_hidden if scale is None else scale * d_hidden
        if bias is not None:
            parts = jnp.split(jnp.einsum("m,nm->n", d_scaled, weight), 3)
            d_gates = slopes.by_reset * parts[0] + slopes.by_candidate * (slopes.reset * parts[2])
        else:
            parts = jnp.split(jnp.einsum("m,nm->n", d_scaled, weight[: 2 * units]), 2)
            d_reset_state = (
                d_reset_state + slopes.reset * d_scaled + slopes.of_reset_state * parts[0]
            )
            d_gates = slopes.by_candidate * jnp.einsum(
                "m,nm->n", d_reset_state, weight[2 * units :]
            )
        d_new = slopes.kept * d_hidden + slopes.by_update * parts[1] + d_gates + d_apart
        return d_new, d_new

    return after, jax.lax.scan(step, d_initial, (d_apart, d_reset_state, slopes), reverse=reverse)[
        1
    ]
