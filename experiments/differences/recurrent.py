"""Measurements of GRUs over a padded sequence: float64, lengths, NaN in padding, biases."""

import numpy as np

from experiments.differences.measures import (
    Runner,
    errors,
    scaled_error,
    what_poison_reaches,
)
from jattn import GRUParams
from jattn.oracle.recurrent.gru import gru as oracle

STEPS, INPUTS, UNITS = 7, 3, 5
LENGTH = 4  # Of the steps, where there is padding.


def draw(candidate_bias: bool) -> tuple:
    """Returns parameters, inputs, initial state, and cotangents of outputs and final state."""
    rng = np.random.default_rng(0)
    normal = rng.standard_normal
    shapes = (3, UNITS, INPUTS), (3, UNITS, UNITS), (3, UNITS), (3, UNITS)
    params = GRUParams._make(map(normal, shapes))
    if not candidate_bias:
        params.hidden_bias[2] = 0
    return params, normal((STEPS, INPUTS)), normal(UNITS), (normal((STEPS, UNITS)), normal(UNITS))


def compared(result: tuple) -> tuple:
    """Returns outputs and gradients, except of the biases, which not every library has."""
    output, gradients = result
    if gradients is None:
        return output, None
    d_params, *others = gradients
    return output, (d_params.input_weight, d_params.hidden_weight, *others)


def float64_errors(runner: Runner, candidate_bias: bool) -> tuple[tuple, tuple]:
    """Returns the library's result without padding, and the oracle's in the longest float."""
    params, inputs, initial, cotangent = draw(candidate_bias)
    exact = lambda array: array.astype(np.longdouble)
    output, pullback = oracle(GRUParams(*map(exact, params)), exact(inputs), initial=exact(initial))
    expected = compared((output, pullback(tuple(map(exact, cotangent)))))
    return compared(runner.run(params, inputs, initial, STEPS, cotangent=cotangent)), expected


def float64_error(runner: Runner) -> str:
    return errors(*float64_errors(runner, candidate_bias=False))


def candidate_bias(runner: Runner) -> str:
    """Returns whether the library has a bias inside the product that the reset gate multiplies."""
    actual, expected = float64_errors(runner, candidate_bias=True)
    error = scaled_error(actual[0], expected[0])
    return "yes" if error < 1e-5 else f"none, output off by {error:.1g}"


def length_zero(runner: Runner) -> str:
    params, inputs, initial, cotangent = draw(candidate_bias=False)
    (_, final), _ = runner.run(params, inputs, initial, 0, cotangent=cotangent)
    return "the initial state" if np.allclose(final, initial) else "another state"


def past_the_length(runner: Runner) -> str:
    params, inputs, initial, cotangent = draw(candidate_bias=False)
    (outputs, _), _ = runner.run(params, inputs, initial, LENGTH, cotangent=cotangent)
    padding, last = np.asarray(outputs)[LENGTH:], np.asarray(outputs)[LENGTH - 1]
    if not padding.any():
        return "zeros"
    return "the last one again" if np.allclose(padding, last) else "computed from padding"


def nan_in_padding(runner: Runner) -> str:
    """Returns whether NaN in padded inputs reaches valid outputs or their gradients."""
    params, inputs, initial, (d_outputs, d_final) = draw(candidate_bias=False)
    d_outputs[LENGTH:] = 0
    poisoned = inputs.copy()
    poisoned[LENGTH:] = np.nan

    def valid_part(padded: np.ndarray) -> tuple:
        (outputs, final), gradients = runner.run(
            params, padded, initial, LENGTH, cotangent=(d_outputs, d_final)
        )
        return (np.asarray(outputs)[:LENGTH], final), gradients

    return what_poison_reaches(valid_part(inputs), valid_part(poisoned))


COLUMNS = {
    "float64 error": float64_error,
    "final state at length 0": length_zero,
    "outputs past the length": past_the_length,
    "NaN in padding reaches": nan_in_padding,
    "hidden bias of the candidate": candidate_bias,
}
