"""The cost of one equation of a jaxpr in floating-point operations and bytes, by a stated rule."""

import math
import re
from typing import Any, NamedTuple

import jax.numpy as jnp

# Kinds of primitives, each a pattern for the whole name.
MOVES = re.compile(
    "broadcast_in_dim|concatenate|convert_element_type|copy|copy_p|device_put|dynamic_slice"
    "|dynamic_update_slice|expand_dims|gather|iota|name|optimization_barrier|pad|pvary|reshape"
    "|rev|scatter|select_n|sharding_constraint|slice|split|squeeze|stop_gradient|transpose"
)
CALLS = re.compile("(closed|core|custom_jvp|custom_vjp|custom_vmap)_call|checkpoint|p?jit|remat2?")
COMBINES = re.compile("(reduce|scatter|select_and_scatter).*")  # Their jaxpr joins two elements.
UNCOUNTED = re.compile(
    "cholesky|eigh?|ffi_call|fft|geqrf|householder_product|lu|qr|schur|svd|triangular_solve"
    "|tridiagonal_solve|while"
)


class Cost(NamedTuple):
    """Floating-point operations, and bytes that are read and written."""

    operations: int
    bytes: int


def inner_jaxprs(equation: Any) -> list[Any]:
    """Returns the jaxprs of an equation: the body of a call or a loop, the branches of a `cond`."""
    groups = (x if isinstance(x, tuple) else (x,) for x in equation.params.values())
    return [x for group in groups for x in group if hasattr(x, "eqns")]


def cost(equation: Any) -> Cost:
    """Returns operations and bytes of one equation; of a loop, those of all its iterations.

    - A matrix product of (m, k) and (k, n): 2 m n k operations.
    - A convolution: 2 for each entry of the kernel at each of its places.
    - A reduction or a cumulative sum: 1 for each element that it reads.
    - A sort of n elements: n ⌈log2 n⌉.
    - An equation without floating-point numbers, or one that only moves data: none.
    - Any other, a division or a tanh too: 1 for each element that it writes.
    - A conditional: the operations of its most expensive branch.

    Bytes are those of every operand and every result, as if nothing were fused.

    Raises:
        ValueError: for an equation that this rule does not cover, such as a loop without a fixed
            number of iterations, a decomposition or a kernel in another language.
    """
    primitive = equation.primitive.name
    inner = [] if COMBINES.fullmatch(primitive) else inner_jaxprs(equation)
    covered = not inner or primitive in ("cond", "scan") or CALLS.fullmatch(primitive)
    if UNCOUNTED.fullmatch(primitive) or not covered:
        raise ValueError(f"trace: there is no rule for the operations of {primitive}")
    if not inner:
        return Cost(_operations(equation), sum(map(_bytes, (*equation.invars, *equation.outvars))))
    branches = [[cost(part) for part in jaxpr.eqns] for jaxpr in inner]
    times = equation.params["length"] if primitive == "scan" else 1
    return max(
        Cost(times * sum(c.operations for c in costs), times * sum(c.bytes for c in costs))
        for costs in branches
    )


def _operations(equation: Any) -> int:
    primitive, operands = equation.primitive.name, [atom.aval for atom in equation.invars]
    results = [variable.aval for variable in equation.outvars]
    floating = any(jnp.issubdtype(x.dtype, jnp.inexact) for x in (*operands, *results))
    if not floating or MOVES.fullmatch(primitive):
        return 0
    written, read = sum(x.size for x in results), operands[0].size if operands else 0
    if primitive == "dot_general":
        ((contracted, _), _) = equation.params["dimension_numbers"]
        return 2 * written * math.prod(operands[0].shape[axis] for axis in contracted)
    if primitive == "conv_general_dilated":
        kernel = operands[1]
        out_features = kernel.shape[equation.params["dimension_numbers"].rhs_spec[0]]
        return 2 * written * kernel.size // out_features
    if primitive == "sort":
        length = operands[0].shape[equation.params["dimension"]]
        return read * math.ceil(math.log2(length)) if length else 0
    if primitive.startswith("reduce_window"):
        return written * math.prod(equation.params["window_dimensions"])
    if primitive.startswith("scatter"):
        return operands[2].size
    if primitive.startswith(("reduce_", "arg", "cum")) and primitive != "reduce_precision":
        return read
    return written


def _bytes(atom: Any) -> int:
    return atom.aval.size * atom.aval.dtype.itemsize
