"""Everything the suite does for a mechanism, in one call."""

from collections.abc import Callable, Sequence

import jax
import numpy as np

from jattn.testing.compare import TOLERANCE, Report
from jattn.testing.properties import Oracle, first_order, precision, second_order, transforms
from jattn.testing.trees import Tree


def check(
    function: Callable[..., Tree],
    oracle: Oracle,
    inputs: Sequence[Tree],
    *,
    tolerance: float = TOLERANCE,
    dtypes: Sequence[str] = ("float32", "bfloat16"),
    conditioning: float = 1.0,
    seed: int = 0,
) -> Report:
    """Compares `function` with `oracle`: value, gradient, second order, transforms and precision.

    In float64 the value and the gradient are within `tolerance` of the oracle's, and the oracle's
    gradient is proved by complex steps of its own forward pass. Jacobian-vector and
    vector-Jacobian products agree, second derivatives agree in all three orders of
    differentiation and with the complex step of the oracle's pullback; `jax.jit` and `jax.vmap`
    change nothing. In `dtypes` the errors stay within a few units of rounding. Cotangents and
    directions are random, so that no mistake cancels.

    Args:
        function: takes the arrays (or pytrees of arrays) `inputs`, returns a pytree of arrays.
        oracle: takes the same and returns `(output, pullback)`, NumPy only.
        inputs: floating-point, differentiated one and all. They are taken as float64.
        tolerance: the largest error in float64, as a part of the largest entry of a leaf.
        dtypes: precisions to check beside float64.
        conditioning: multiplies the bounds of float32 and float64 roundings; the largest score
            over four is a fair value for attention.
        seed: of cotangents and directions.

    Raises:
        AssertionError: with the report, if any comparison fails.
    """
    name = getattr(function, "__name__", type(function).__name__)
    with jax.enable_x64(True):
        arrays = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), tuple(inputs))
        findings = (
            *first_order(function, oracle, arrays, tolerance=tolerance, seed=seed),
            *second_order(function, oracle, arrays, tolerance=10 * tolerance, seed=seed),
            *transforms(function, arrays, conditioning=conditioning, seed=seed),
        )
        for dtype in dtypes:
            findings += precision(
                function, oracle, arrays, dtype=dtype, conditioning=conditioning, seed=seed
            )
    report = Report(name, findings)
    if not report.passed:
        raise AssertionError(str(report))
    return report
