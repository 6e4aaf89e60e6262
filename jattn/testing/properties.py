"""What is checked of a function and its oracle, a property at a time."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jattn.testing.compare import Finding, compare
from jattn.testing.trees import Tree, draw_like, inner, like, norm, output_of

Oracle = Callable[..., tuple[Tree, Callable[[Tree], tuple[Tree, ...]]]]
ROUNDING = {"float64": 2.0**-53, "float32": 2.0**-24, "bfloat16": 2.0**-8, "float16": 2.0**-11}
STEP = 1e-100  # A complex step this small has no truncation error.


def first_order(
    function: Callable[..., Tree], oracle: Oracle, inputs: tuple, *, tolerance: float, seed: int = 0
) -> tuple[Finding, ...]:
    """Value and gradient against the oracle, forward against reverse mode (rules G1 and G2)."""
    expected, oracle_pullback = oracle(*inputs)
    cotangent, direction = draw_like(expected, seed + 1), draw_like(inputs, seed + 2)

    def run(inputs, cotangent, direction):
        output, pullback = jax.vjp(function, *inputs)
        return output, pullback(cotangent), jax.jvp(function, inputs, direction)[1]

    results = jax.jit(run)(inputs, like(output_of(function, inputs), cotangent), direction)
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
    """Hessian-vector products in three orders of differentiation, and the oracle's (rule G3)."""
    expected, _ = oracle(*inputs)
    direction = draw_like(inputs, seed + 2)
    cotangent = like(output_of(function, inputs), draw_like(expected, seed + 1))

    def run(inputs, cotangent, direction):
        gradient = jax.grad(lambda inputs: inner(cotangent, function(*inputs)))
        slope = lambda inputs: jax.jvp(
            lambda i: inner(cotangent, function(*i)), (inputs,), (direction,)
        )[1]
        return (
            jax.jvp(gradient, (inputs,), (direction,))[1],
            jax.grad(slope)(inputs),
            jax.grad(lambda inputs: inner(gradient(inputs), direction))(inputs),
        )

    ways = jax.jit(run)(inputs, cotangent, direction)
    moved = jax.tree.map(lambda leaf, d: leaf + 1j * STEP * d, inputs, direction)
    stepped = oracle(*moved)[1](draw_like(expected, seed + 1))
    wanted = jax.tree.map(lambda leaf: np.imag(leaf) / STEP, stepped)
    names = ("forward over reverse", "reverse over forward", "reverse over reverse")
    return tuple(
        finding
        for name, way in zip(names, ways, strict=True)
        for finding in compare(name, way, wanted, tolerance)
    )


def transforms(
    function: Callable[..., Tree], inputs: tuple, *, conditioning: float = 1.0, seed: int = 0
) -> tuple[Finding, ...]:
    """`jax.jit` and `jax.vmap` against one call after another (rules T1 and T2)."""
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
    """Value and gradient in `dtype`, in units of rounding, against float64 (rules N1 and N2).

    Half precision may be off by one unit: arithmetic in float32 and one rounding at the end.
    """
    unit, half = ROUNDING[dtype], dtype in ("bfloat16", "float16")
    rounded = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), inputs)
    exact = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), rounded)
    expected, oracle_pullback = oracle(*exact)
    cotangent = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), draw_like(expected, seed + 1))
    cotangent = like(output_of(function, rounded), cotangent)

    def run(inputs, cotangent):
        output, pullback = jax.vjp(function, *inputs)
        return output, pullback(cotangent)

    output, gradient = jax.jit(run)(rounded, cotangent)
    for leaf in jax.tree.leaves((output, gradient)):
        assert leaf.dtype == dtype, f"{dtype} went in and {leaf.dtype} came out"
    wanted = oracle_pullback(
        jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), like(expected, cotangent))
    )
    bounds = (unit, unit) if half else (8 * conditioning * unit, 32 * conditioning * unit)
    return (
        *compare(f"{dtype} value", output, expected, bounds[0]),
        *compare(f"{dtype} gradient", gradient, wanted, bounds[1]),
    )


def complex_step(oracle: Oracle, inputs: tuple, cotangent: Tree) -> tuple:
    """The gradient of <cotangent, output> by a complex step in every entry of every input."""
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
