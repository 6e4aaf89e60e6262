"""Measurements of attention of one head: float64, empty rows, masked NaN, float16."""

import numpy as np

from experiments.differences.measures import Runner, errors, what_poison_reaches
from jattn.oracle.attention.scaled_dot_product import scaled_dot_product_attention as oracle

QUERIES, KEYS, FEATURES = 5, 7, 11
EMPTY_QUERY, MASKED_KEY = 2, 3


def draw(dtype: type = np.float64) -> tuple[np.ndarray, ...]:
    """Returns a query, key and value, and a cotangent of the context."""
    rng = np.random.default_rng(0)
    sizes = (QUERIES, KEYS, KEYS, QUERIES)
    return tuple(rng.standard_normal((size, FEATURES)).astype(dtype) for size in sizes)


def one_key_masked() -> np.ndarray:
    mask = np.ones((QUERIES, KEYS), bool)
    mask[:, MASKED_KEY] = False
    return mask


def float64_error(runner: Runner) -> str:
    """Returns the error against the oracle in the longest floating type that NumPy has."""
    *inputs, cotangent = draw()
    mask = one_key_masked()
    exact = [array.astype(np.longdouble) for array in (*inputs, cotangent)]
    (context, weights), pullback = oracle(*exact[:3], mask=mask)
    expected = context, pullback((exact[3], np.zeros_like(weights)))
    return errors(runner.run(*inputs, mask, cotangent=cotangent), expected)


def empty_row(runner: Runner) -> str:
    """Returns the output of a query that may attend to nothing, and its own largest gradient."""
    *inputs, cotangent = draw()
    mask = np.ones((QUERIES, KEYS), bool)
    mask[EMPTY_QUERY] = False
    alone = np.zeros_like(cotangent)
    alone[EMPTY_QUERY] = cotangent[EMPTY_QUERY]
    output, gradients = runner.run(*inputs, mask, cotangent=alone)
    row = np.asarray(output)[EMPTY_QUERY]
    if np.isnan(row).any():
        value = "NaN"
    elif not row.any():
        value = "zeros"
    else:
        mean = inputs[2].mean(axis=0)
        value = "mean of all values" if np.allclose(row, mean, rtol=1e-5) else "something else"
    if gradients is None:
        return value
    largest = max(np.abs(np.asarray(gradient)).max() for gradient in gradients)
    return f"{value}, gradient {'NaN' if np.isnan(largest) else f'{largest:.2g}'}"


def large_scores(runner: Runner) -> str:
    """Returns whether float64 scores of about 1e100 give the output of their largest one."""
    query, *others, _ = draw()
    mask = one_key_masked()
    arrays = query * 1e100, *others
    (expected, _), _ = oracle(*(array.astype(np.longdouble) for array in arrays), mask=mask)
    if runner.compiled is None:
        output, _ = runner.run(*arrays, mask, cotangent=np.ones_like(expected, dtype=float))
    else:
        output = runner.compiled(*arrays, mask)
    if np.isnan(output).any():
        return "NaN"
    return "right" if np.allclose(output, expected.astype(float), rtol=1e-5) else "wrong"


def nan_in_masked_key(runner: Runner) -> str:
    return poisoned(runner, argument=1)


def nan_in_masked_value(runner: Runner) -> str:
    return poisoned(runner, argument=2)


def poisoned(runner: Runner, argument: int) -> str:
    *inputs, cotangent = draw()
    mask = one_key_masked()
    clean = runner.run(*inputs, mask, cotangent=cotangent)
    inputs[argument] = inputs[argument].copy()
    inputs[argument][MASKED_KEY] = np.nan
    return what_poison_reaches(clean, runner.run(*inputs, mask, cotangent=cotangent))


def float16(runner: Runner) -> str:
    *inputs, cotangent = draw(np.float16)
    if runner.compiled is None:
        runner.run(*inputs, one_key_masked(), cotangent=cotangent)
        return "runs, not compiled"
    np.asarray(runner.compiled(*inputs, one_key_masked()))
    return "runs"


COLUMNS = {
    "float64 error": float64_error,
    "fully masked row": empty_row,
    "float64 scores of 1e100": large_scores,
    "NaN in a masked key reaches": nan_in_masked_key,
    "NaN in a masked value reaches": nan_in_masked_value,
    "float16, compiled, CPU": float16,
}
