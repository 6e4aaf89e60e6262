"""The algebra of position biases: a rule, its operands, and `+`."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.dtypes import canonicalize_dtype
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from jattn._options import Length, check_array, check_dtype, check_options, named
from jattn._precision import inner_dtype
from jattn._sizes import as_number

FAR = 2**30  # Two numbers up to it add up to an int32.
_LEAF = "leaf"


@dataclasses.dataclass(frozen=True)
class Bias:
    """A position bias [h], added to the score of a pair: `rule(distance, *operands)`.

    `distance` is the key's position minus the query's, so a key before the query has a negative
    one. The rule gets integers [n] and returns [h n], or [1 n] for a bias that all heads share. It
    must be a pure function of JAX, defined once and not at every call, since biases with another
    rule are compiled anew. Operands are biases, numbers, None, or arrays. Python numbers are
    static; arrays are traced, differentiated, and batch under `jax.vmap`. Floating-point arrays
    come to the rule in their promoted dtype, and at least in float32.

        >>> def prefer_the_past(distances, weight):
        ...     return weight[:, None] * jnp.where(distances < 0, 1.0, 0.0)[None]
        >>> print(Bias(prefer_the_past, (jnp.array([2.0], "float32"),)).dense(2, 3))
        [[[0. 0. 0.]
          [2. 0. 0.]]]
    """

    rule: Callable[..., Float[Array, "h n"]]
    operands: tuple[Any, ...] = ()

    @property
    def dtype(self) -> Any:
        """The promoted dtype of the floating-point arrays; JAX's default float if it has none."""
        dtypes = [x.dtype for x in jax.tree.leaves(self) if _is_floating(x)]
        with jax.numpy_dtype_promotion("standard"):
            return canonicalize_dtype(jnp.result_type(*dtypes) if dtypes else float)

    @property
    def heads(self) -> int:
        """The number of heads; 1 for a bias that all heads share."""
        distance = jax.ShapeDtypeStruct((1,), jnp.int32)
        return jax.eval_shape(self.of_distances, distance).shape[0]

    def of_distances(self, distances: Int[Array, "*n"]) -> Float[Array, "h *n"]:
        """Returns the bias of each head at each distance, in at least float32.

        Args:
            distances: key position minus query position, of any shape and integer dtype.

        Raises:
            ValueError: if the distances are not integers.
        """
        with named("of_distances"):
            check_array("distances", distances)
            check_dtype("distances", ["int32"], distances)
        dtype = inner_dtype(self.dtype)
        cast = lambda x: jnp.asarray(x, dtype) if _is_floating(x) else jnp.asarray(x)
        flat = jnp.asarray(distances).reshape(-1).astype(int)
        values = self.rule(flat, *jax.tree.map(cast, self).operands)
        return values.reshape(values.shape[0], *np.shape(distances))

    def dense(
        self,
        t: int,
        s: int,
        *,
        offset: Int[Array, ""] | int = 0,
        dtype: DTypeLike | None = None,
    ) -> Float[Array, "h t s"]:
        """Returns the bias of `t` queries and `s` keys as an array.

        Args:
            t: number of queries.
            s: number of keys, whose positions count from 0.
            offset: position of the first query; it may be traced.
            dtype: of the result; by default that of the computation, which is at least float32.

        Raises:
            ValueError: if t or s is negative, or the offset is no integer of at most 2³⁰.
        """
        offset = as_number(offset)
        with named("dense"):
            check_options({"t": Length, "s": Length}, {"t": t, "s": s})
            if dtype is not None:
                check_options({"dtype": DTypeLike}, {"dtype": dtype})
            check_dtype("offset", ["int32"], offset)
            if np.ndim(offset):
                raise ValueError(f"offset has shape {np.shape(offset)}, expected one integer")
            if not isinstance(offset, Tracer) and abs(int(offset)) > FAR:
                raise ValueError(f"offset is {offset}, expected at most 2**30 from zero")
        queries, keys = jnp.arange(t) + jnp.asarray(offset).astype(int), jnp.arange(s)
        values = self.of_distances(keys[None, :] - queries[:, None])
        return values if dtype is None else values.astype(canonicalize_dtype(dtype))

    def __add__(self, other: "Bias") -> "Bias":
        if not isinstance(other, Bias):
            kind = type(other).__name__
            raise ValueError(
                f"biases: cannot add a {kind} to a bias, expected a bias; an array is added to"
                " .dense(t, s)"
            )
        if 1 not in (self.heads, other.heads) and self.heads != other.heads:
            raise ValueError(f"biases: cannot add biases of h={self.heads} and h={other.heads}")
        return Bias(sum_of, (self, other))

    __radd__ = __add__
    __array_ufunc__ = None  # Or NumPy would compute `array + bias` entry by entry.


def _flatten(bias: Bias) -> tuple[list[Any], tuple[Any, ...]]:
    static = tuple(x if isinstance(x, int | float | None) else _LEAF for x in bias.operands)
    leaves = [x for x in bias.operands if not isinstance(x, int | float | None)]
    return leaves, (bias.rule, static)


def _unflatten(structure: tuple[Any, ...], leaves: list[Any]) -> Bias:
    rule, static = structure
    remaining = iter(leaves)
    return Bias(rule, tuple(next(remaining) if x is _LEAF else x for x in static))


jax.tree_util.register_pytree_node(Bias, _flatten, _unflatten)


def sum_of(distances: Int[Array, " n"], left: Bias, right: Bias) -> Float[Array, "h n"]:
    """Adds two biases; one of a single head is that of all heads of the other."""
    both = left.of_distances(distances), right.of_distances(distances)
    heads = max(x.shape[0] for x in both)
    one, other = (jnp.broadcast_to(x, (heads, *x.shape[1:])) for x in both)
    return one + other


def column(numbers: Float[Array, " h"]) -> Float[Array, "h 1"]:
    """Returns a number for each head, to be combined with a row of distances."""
    return numbers[:, None]


def sizes_of(distances: Int[Array, " n"], dtype: Any) -> Float[Array, "1 n"]:
    """Returns the distances without their signs, as a row of `dtype`."""
    return jnp.abs(distances).astype(dtype)[None, :]


def _is_floating(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jnp.floating)
