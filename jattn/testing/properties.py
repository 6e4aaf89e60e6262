"""Checks of a function against its oracle, one property each."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jattn.testing.agreement import Oracle, agreement
from jattn.testing.compare import Finding, compare
from jattn.testing.trees import Tree, draw_like, inner, like, norm

ROUNDING = {"float64": 2.0**-53, "float32": 2.0**-24, "bfloat16": 2.0**-8, "float16": 2.0**-11}
STEP = 1e-100  # A complex step this small has no truncation error.


def first_order(
    function: Callable[..., Tree], oracle: Oracle, inputs: tuple, *, tolerance: float, seed: int = 0
) -> tuple[Finding, ...]:
    """Compares value and gradient with the oracle, and forward with reverse mode (G1 and G2).

    Args:
        function: takes the arrays `inputs`, returns a tree of arrays.
        oracle: takes the same and returns `(output, pullback)`, NumPy only.
        inputs: float64 arrays, or trees of them; all are differentiated.
        tolerance: the largest error, as a part of the largest entry of a leaf.
        seed: of cotangent and direction.

    Raises:
        ValueError: if the oracle returns no `(output, pullback)`, or if function and oracle differ
            in the number or the shapes of their arrays.
    """
    expected, oracle_pullback, shapes = agreement("first_order", function, oracle, inputs)
    cotangent, direction = draw_like(expected, seed + 1), draw_like(inputs, seed + 2)

    def run(inputs, cotangent, direction):
        output, pullback = jax.vjp(function, *inputs)
        return output, pullback(cotangent), jax.jvp(function, inputs, direction)[1]

    results = jax.jit(run)(inputs, like(shapes, cotangent), direction)
    output, gradient, tangent = jax.tree.map(np.asarray, results)
    expected_gradient = oracle_pullback(cotangent)
    forward, reverse = inner(cotangent, tangent), inner(gradient, direction)
    size = max(norm(cotangent) * norm(tangent), norm(gradient) * norm(direction), 1e-300)
    return (
        *compare("value", output, expected, tolerance),
        *compare("gradient", gradient, expected_gradient, tolerance),
        *compare(
            "oracle's gradient",
            expected_gradient,
            complex_step(oracle, inputs, cotangent),
            tolerance,
        ),
        Finding("forward = reverse", "", float(abs(forward - reverse)) / size, tolerance / 10),
    )


def second_order(
    function: Callable[..., Tree], oracle: Oracle, inputs: tuple, *, tolerance: float, seed: int = 0
) -> tuple[Finding, ...]:
    """Compares Hessian-vector products in three orders of differentiation with the oracle (G3).

    Arguments and errors are as for `first_order`.
    """
    expected, _, shapes = agreement("second_order", function, oracle, inputs)
    direction = draw_like(inputs, seed + 2)
    cotangent = like(shapes, draw_like(expected, seed + 1))

    def run(inputs, cotangent, direction):
        gradient = jax.grad(lambda inputs: inner(cotangent, function(*inputs)))
        along_direction = lambda inputs: jax.jvp(
            lambda i: inner(cotangent, function(*i)), (inputs,), (direction,)
        )[1]
        return (
            jax.jvp(gradient, (inputs,), (direction,))[1],
            jax.grad(along_direction)(inputs),
            jax.grad(lambda inputs: inner(gradient(inputs), direction))(inputs),
        )

    products = jax.jit(run)(inputs, cotangent, direction)
    stepped = jax.tree.map(lambda leaf, d: leaf + 1j * STEP * d, inputs, direction)
    gradient = oracle(*stepped)[1](draw_like(expected, seed + 1))
    wanted = jax.tree.map(lambda leaf: np.imag(leaf) / STEP, gradient)
    orders = ("forward over reverse", "reverse over forward", "reverse over reverse")
    return tuple(
        finding
        for order, product in zip(orders, products, strict=True)
        for finding in compare(order, product, wanted, tolerance)
    )


def transforms(
    function: Callable[..., Tree], inputs: tuple, *, conditioning: float = 1.0, seed: int = 0
) -> tuple[Finding, ...]:
    """Compares `jax.jit` and `jax.vmap` with one call after another (rules T1 and T2).

    Args:
        function: takes the arrays `inputs`, returns a tree of arrays.
        inputs: float64 arrays, or trees of them.
        conditioning: multiplies the bound of eight roundings.
        seed: of the second example of the batch.
    """
    other = jax.tree.map(lambda leaf, d: leaf + d / 8, inputs, draw_like(inputs, seed + 3))
    one_by_one = [function(*inputs), function(*other)]
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *one_by_one)
    batch = jax.tree.map(lambda *leaves: np.stack(leaves), inputs, other)
    bound = 8 * conditioning * ROUNDING["float64"]
    return (
        *compare("jit", jax.jit(function)(*inputs), one_by_one[0], bound),
        *compare("vmap", jax.jit(jax.vmap(function))(*batch), stacked, bound),
    )


def precision(
    function: Callable[..., Tree],
    oracle: Oracle,
    inputs: tuple,
    *,
    dtype: str,
    conditioning: float = 1.0,
    seed: int = 0,
) -> tuple[Finding, ...]:
    """Compares value and gradient in `dtype` with float64, in units of rounding (N1 and N2).

    Half precision may be off by one unit: arithmetic in float32 and one rounding at the end.

    Args:
        function: takes the arrays `inputs`, returns a tree of arrays in their dtype.
        oracle: takes the same and returns `(output, pullback)`, NumPy only.
        inputs: float64 arrays, or trees of them; they are rounded to `dtype`.
        dtype: float64, float32, bfloat16 or float16.
        conditioning: multiplies the bounds of float32 and float64.
        seed: of the cotangent.

    Raises:
        ValueError: as for `first_order`, or if `dtype` is another.
        AssertionError: if a result or a gradient has another dtype.
    """
    if dtype not in ROUNDING:
        raise ValueError(f"precision: dtype is {dtype!r}, expected one of {', '.join(ROUNDING)}")
    unit, half = ROUNDING[dtype], dtype in ("bfloat16", "float16")
    rounded = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), inputs)
    exact = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), rounded)
    expected, oracle_pullback, _ = agreement("precision", function, oracle, exact)
    cotangent = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), draw_like(expected, seed + 1))
    cotangent = like(jax.eval_shape(function, *rounded), cotangent)

    def run(inputs, cotangent):
        output, pullback = jax.vjp(function, *inputs)
        for leaf in jax.tree.leaves(output):  # Before JAX refuses a cotangent of another dtype.
            if leaf.dtype != dtype:
                raise AssertionError(f"{dtype} went in and {leaf.dtype} came out")
        return output, pullback(cotangent)

    output, gradient = jax.jit(run)(rounded, cotangent)
    for leaf in jax.tree.leaves(gradient):
        if leaf.dtype != dtype:
            raise AssertionError(f"{dtype} went in and {leaf.dtype} came out in a gradient")
    wanted = oracle_pullback(
        jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), like(expected, cotangent))
    )
    bounds = (unit, unit) if half else (8 * conditioning * unit, 32 * conditioning * unit)
    return (
        *compare(f"{dtype} value", output, expected, bounds[0]),
        *compare(f"{dtype} gradient", gradient, wanted, bounds[1]),
    )


def complex_step(oracle: Oracle, inputs: tuple, cotangent: Tree) -> tuple:
    """Returns the gradient of <cotangent, output> by a complex step in every entry of the inputs.

    Args:
        oracle: takes the inputs and returns `(output, pullback)`; its forward pass alone is used.
        inputs: float64 arrays, or trees of them.
        cotangent: a tree like the oracle's output.
    """
    leaves, structure = jax.tree.flatten(inputs)
    gradients = []
    for index, leaf in enumerate(leaves):
        gradient = np.zeros(leaf.size)
        for entry in range(leaf.size):
            moved = np.array(leaf, np.complex128)
            moved.flat[entry] += 1j * STEP
            stepped = jax.tree.unflatten(structure, [*leaves[:index], moved, *leaves[index + 1 :]])
            outputs = jax.tree.leaves(oracle(*stepped)[0])
            pairs = zip(outputs, jax.tree.leaves(cotangent), strict=True)
            gradient[entry] = sum((np.imag(o) * c).sum() for o, c in pairs) / STEP
        gradients.append(gradient.reshape(leaf.shape))
    return jax.tree.unflatten(structure, gradients)
