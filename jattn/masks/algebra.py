"""The algebra of masks: a rule, its operands, and `&`, `|`, `~`."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from jattn._options import Length, check_array, check_length, check_options, mask_hint, named
from jattn.masks.reach import numbers_like

Sizes = tuple[int | None, int | None]
# Of rules whose operands have a fixed rank: one for all, or one for each.
OPERAND_AXES: dict[Callable[..., Any], int | tuple[int, ...]] = {}
_LEAF = "leaf"


@dataclasses.dataclass(frozen=True)
class Mask:
    """A mask: query `q` may attend to key `k` where `rule(q, k, *operands)` is True.

    The rule gets integer arrays of positions that broadcast against each other, and returns
    booleans of their broadcast shape. It must be a pure function of JAX, defined once and not at
    every call, since masks with another rule are compiled anew. Operands are masks, integers,
    None, or arrays. Integers are static; arrays are traced, and batch under `jax.vmap`. A scalar
    integer array comes to the rule in the dtype of the positions.

    `sizes` are the numbers of queries and keys that the mask is made for, None where any will do.
    A mask with a rule of one's own combines with the others and works everywhere. Blocks that it
    hides are not skipped, since only the rules of this package are known to the engine.

        >>> def same_parity(queries, keys):
        ...     return (queries + keys) % 2 == 0
        >>> print((Mask(same_parity) & Mask(same_parity)).dense(2, 4).astype(int))
        [[1 0 1 0]
         [0 1 0 1]]
    """

    rule: Callable[..., Bool[Array, "..."]]
    operands: tuple[Any, ...] = ()
    sizes: Sizes = (None, None)

    def at(self, queries: Int[Array, "..."], keys: Int[Array, "..."]) -> Bool[Array, "..."]:
        """Returns the mask at positions that broadcast against each other."""
        return self.rule(queries, keys, *numbers_like(queries, self.operands))

    def dense(self, t: int, s: int) -> Bool[Array, "t s"]:
        """Returns the mask of `t` queries and `s` keys as an array.

        Raises:
            ValueError: if the mask was made for other sizes, or one of its lengths is negative or
                longer than its axis.
        """
        with named("dense"):
            check_options({"t": Length, "s": Length}, {"t": t, "s": s})
        self.check(t, s)
        with jax.numpy_rank_promotion("allow"):
            seen = self.at(jnp.arange(t)[:, None], jnp.arange(s)[None, :])
        return jnp.broadcast_to(seen, (t, s))

    def check(self, t: int, s: int, batch: tuple[int, ...] = ()) -> None:
        """Raises ValueError unless the mask can be one of `t` queries and `s` keys.

        Arrays of ids or of pairs may have the axes of `batch` in front.
        """
        for made, asked, axis in zip(self.sizes, (t, s), "ts", strict=True):
            if made not in (None, asked):
                raise ValueError(f"mask has {axis}={made}, expected {asked}")
        self._check_operands(t, s, batch)

    def _check_operands(self, t: int, s: int, batch: tuple[int, ...]) -> None:
        if self.rule is first_positions:
            check_length("masks.lengths: key_lengths", self.operands[0], s, "s")
            check_length("masks.lengths: query_lengths", self.operands[1], t, "t")
        for operand, axes in zip(self.operands, self.operand_axes(), strict=True):
            if isinstance(operand, Mask):
                operand._check_operands(t, s, batch)
            elif axes is not None and operand is not None and np.ndim(operand) != axes:
                kind, expected = _DESCRIBED[axes]
                if batch and axes:
                    if np.shape(operand)[:-axes] == batch:
                        continue
                    expected += f", for all or for each of the batch {batch}"
                raise ValueError(
                    f"mask has {kind} of shape {np.shape(operand)}, expected {expected}; a batch of"
                    " masks is mapped by jax.vmap"
                )

    def operand_axes(self) -> tuple[int | None, ...]:
        """Returns the number of axes of each operand; None if the rule takes any number."""
        axes = OPERAND_AXES.get(self.rule)
        return axes if isinstance(axes, tuple) else (axes,) * len(self.operands)

    def __and__(self, other: "Mask | Array") -> "Mask":
        return _combine(all_of, self, other)

    def __or__(self, other: "Mask | Array") -> "Mask":
        return _combine(any_of, self, other)

    def __invert__(self) -> "Mask":
        return Mask(inverse, (self,), self.sizes)

    __rand__, __ror__ = __and__, __or__
    __array_ufunc__ = None  # Or NumPy would compute `array & mask` entry by entry.


def _flatten(mask: Mask) -> tuple[list[Any], tuple[Any, ...]]:
    static = tuple(x if isinstance(x, int | None) else _LEAF for x in mask.operands)
    leaves = [x for x in mask.operands if not isinstance(x, int | None)]
    return leaves, (mask.rule, static, mask.sizes)


def _unflatten(structure: tuple[Any, ...], leaves: list[Any]) -> Mask:
    rule, static, sizes = structure
    remaining = iter(leaves)
    return Mask(rule, tuple(next(remaining) if x is _LEAF else x for x in static), sizes)


jax.tree_util.register_pytree_node(Mask, _flatten, _unflatten)


def dense(array: Bool[Array, "t s"]) -> Mask:
    """Returns the mask given by an array of booleans.

    Args:
        array: True where a query may attend to a key. More axes in front are those of `jax.vmap`,
            or in `dot_product_attention` those of the batch.
    """
    check_array("masks.dense: array", array)
    dtype = getattr(array, "dtype", None)
    if str(dtype) != "bool" or array.ndim < 2:
        described = f"{dtype or type(array).__name__}{list(np.shape(array))}"
        hint = "" if dtype is None else mask_hint(array)
        raise ValueError(f"masks.dense: array is {described}, expected bool[t, s]{hint}")
    return Mask(array_rule, (array,), (array.shape[-2], array.shape[-1]))


def as_array(mask: "Mask | Array | None", t: int, s: int) -> Bool[Array, "t s"] | None:
    """Returns `mask` as an array of booleans; None stays None."""
    return mask.dense(t, s) if isinstance(mask, Mask) else mask


def _combine(rule: Callable[..., Any], left: Mask, right: Any) -> Mask:
    right = right if isinstance(right, Mask) else dense(right)
    sizes: list[int | None] = []
    for of_left, of_right, axis in zip(left.sizes, right.sizes, "ts", strict=True):
        if None not in (of_left, of_right) and of_left != of_right:
            raise ValueError(
                f"masks: cannot combine masks for {axis}={of_left} and {axis}={of_right}"
            )
        sizes.append(of_left if of_right is None else of_right)
    return Mask(rule, (left, right), (sizes[0], sizes[1]))


def first_positions(queries, keys, key_lengths, query_lengths):
    """Keeps the first keys and queries; here, since `Mask.check` looks for this rule."""
    valid = keys < key_lengths
    return valid if query_lengths is None else valid & (queries < query_lengths)


def array_rule(queries, keys, array):
    return jnp.asarray(array)[queries, keys]


def inverse(queries, keys, mask):
    return ~mask.at(queries, keys)


def all_of(queries, keys, left, right):
    return left.at(queries, keys) & right.at(queries, keys)


def any_of(queries, keys, left, right):
    return left.at(queries, keys) | right.at(queries, keys)


OPERAND_AXES |= {first_positions: 0, array_rule: 2}
_DESCRIBED = {
    0: ("a length or an offset", "one number"),
    1: ("ids", "one for each position"),
    2: ("an array", "(t, s)"),
}
