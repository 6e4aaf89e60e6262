"""The whole check of one function against its oracle."""

from collections.abc import Callable, Sequence

import jax

from jattn.testing.agreement import Oracle, agreement, as_float64, check_number
from jattn.testing.compare import TOLERANCE, Report
from jattn.testing.properties import ROUNDING, first_order, precision, second_order, transforms
from jattn.testing.trees import Tree, draw_like


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
    vector-Jacobian products agree. Second derivatives agree in all three orders of
    differentiation and with the complex step of the oracle's pullback. `jax.jit` and `jax.vmap`
    change nothing. In `dtypes` the errors are at most a few units of rounding. Cotangents and
    directions are random, so that no mistake cancels.

    It works under `python -O` and in JAX's debugging modes, `jax_disable_jit` among them.

    Args:
        function: takes the arrays (or pytrees of arrays) `inputs`, returns a pytree of arrays.
        oracle: takes the same and returns `(output, pullback)`, NumPy only.
        inputs: floating-point, differentiated one and all. They are converted to float64.
        tolerance: the largest error in float64, as a part of the largest entry of a leaf.
        dtypes: precisions to check in addition to float64.
        conditioning: multiplies the bounds of float32 and float64 roundings; the largest score
            over four is a fair value for attention.
        seed: of cotangents and directions.

    Raises:
        AssertionError: with the report, if any comparison fails.
        ValueError: if the oracle returns no `(output, pullback)`, if function, oracle and inputs
            differ in the number or the shapes of their arrays, or if an option is of another kind.
    """
    check_number("check", "tolerance", tolerance)
    check_number("check", "conditioning", conditioning, above=True)
    for dtype in [dtypes] if isinstance(dtypes, str) else dtypes:
        if dtype not in ROUNDING or isinstance(dtypes, str):
            expected = f"a sequence of {', '.join(ROUNDING)}"
            raise ValueError(f"check: dtypes is {dtypes!r}, expected {expected}")
    name = getattr(function, "__name__", type(function).__name__)
    # Arrays are moved to the device on purpose, whatever the program allows elsewhere.
    with jax.enable_x64(True), jax.transfer_guard("allow"):
        arrays = as_float64("check", inputs)
        expected, pullback, _ = agreement("check", function, oracle, arrays)
        pullback(draw_like(expected, seed + 1))
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
