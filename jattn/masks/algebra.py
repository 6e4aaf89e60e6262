"""The algebra of masks: a rule, its operands, and `&`, `|`, `~`."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from jattn._options import Count, check_length, check_options, named
from jattn.masks.reach import numbers_like

Sizes = tuple[int | None, int | None]
_LEAF = "leaf"


@dataclasses.dataclass(frozen=True)
class Mask:
    """Which keys a query may attend to: `rule(queries, keys, *operands)`.

    `sizes` are the numbers of queries and keys that the mask is made for, None where any will do.
    """

    rule: Callable[..., Bool[Array, "..."]]
    operands: tuple[Any, ...]
    sizes: Sizes = (None, None)

    def at(self, queries: Int[Array, "..."], keys: Int[Array, "..."]) -> Bool[Array, "..."]:
        """The mask at positions that broadcast against each other."""
        return self.rule(queries, keys, *numbers_like(queries, self.operands))

    def dense(self, t: int, s: int) -> Bool[Array, "t s"]:
        """The mask of `t` queries and `s` keys as an array.

        Raises:
            ValueError: if the mask was made for other sizes, or one of its lengths is negative or
                longer than its axis.
        """
        with named("dense"):
            check_options({"t": Count, "s": Count}, {"t": t, "s": s})
        self.check(t, s)
        with jax.numpy_rank_promotion("allow"):
            seen = self.at(jnp.arange(t)[:, None], jnp.arange(s)[None, :])
        return jnp.broadcast_to(seen, (t, s))

    def check(self, t: int, s: int) -> None:
        """Raises ValueError unless the mask can be one of `t` queries and `s` keys."""
        for made, asked, axis in zip(self.sizes, (t, s), "ts", strict=True):
            if made not in (None, asked):
                raise ValueError(f"mask has {axis}={made}, expected {asked}")
        self._check_lengths(t, s)

    def _check_lengths(self, t: int, s: int) -> None:
        if self.rule is first_positions:
            check_length("masks.lengths: key_lengths", self.operands[0], s, "s")
            check_length("masks.lengths: query_lengths", self.operands[1], t, "t")
        for operand in self.operands:
            if isinstance(operand, Mask):
                operand._check_lengths(t, s)
            elif self.sizes == (None, None) and np.ndim(operand):
                raise ValueError(
                    f"mask has a length or an offset of shape {np.shape(operand)}, expected one"
                    " number; a batch of masks is mapped by jax.vmap"
                )

    def __and__(self, other: "Mask | Array") -> "Mask":
        return _combine(all_of, self, other)

    def __or__(self, other: "Mask | Array") -> "Mask":
        return _combine(any_of, self, other)

    def __invert__(self) -> "Mask":
        return Mask(_not, (self,), self.sizes)

    __rand__, __ror__ = __and__, __or__
    __array_ufunc__ = None  # So that NumPy leaves `array & mask` to us.


def _flatten(mask: Mask) -> tuple[list[Any], tuple[Any, ...]]:
    static = tuple(x if isinstance(x, int | None) else _LEAF for x in mask.operands)
    leaves = [x for x in mask.operands if not isinstance(x, int | None)]
    return leaves, (mask.rule, static, mask.sizes)


def _unflatten(structure: tuple[Any, ...], leaves: list[Any]) -> Mask:
    rule, static, sizes = structure
    rest = iter(leaves)
    return Mask(rule, tuple(next(rest) if x is _LEAF else x for x in static), sizes)


jax.tree_util.register_pytree_node(Mask, _flatten, _unflatten)


def dense(array: Bool[Array, "t s"]) -> Mask:
    """A mask given by an array of booleans."""
    if str(getattr(array, "dtype", None)) != "bool" or array.ndim < 2:
        given = f"{getattr(array, 'dtype', type(array).__name__)}{list(np.shape(array))}"
        raise ValueError(
            f"masks.dense: array is {given}, expected bool[t, s]; pass an additive mask as bias"
        )
    return Mask(array_rule, (array,), (array.shape[-2], array.shape[-1]))


def as_array(mask: "Mask | Array | None", t: int, s: int) -> Bool[Array, "t s"] | None:
    """`mask` as an array of booleans; None stays None."""
    return mask.dense(t, s) if isinstance(mask, Mask) else mask


def _combine(rule: Callable[..., Any], left: Mask, right: Any) -> Mask:
    right = right if isinstance(right, Mask) else dense(right)
    for one, other, axis in zip(left.sizes, right.sizes, "ts", strict=True):
        if None not in (one, other) and one != other:
            raise ValueError(f"masks: cannot combine masks for {axis}={one} and {axis}={other}")
    sizes = [
        one if other is None else other for one, other in zip(left.sizes, right.sizes, strict=True)
    ]
    return Mask(rule, (left, right), (sizes[0], sizes[1]))


def first_positions(queries, keys, key_lengths, query_lengths):
    """The rule of `masks.lengths`, known here because its operands must fit the axes."""
    valid = keys < key_lengths
    return valid if query_lengths is None else valid & (queries < query_lengths)


def array_rule(queries, keys, array):
    return jnp.asarray(array)[queries, keys]


def _not(queries, keys, mask):
    return ~mask.at(queries, keys)


def all_of(queries, keys, left, right):
    return left.at(queries, keys) & right.at(queries, keys)


def any_of(queries, keys, left, right):
    return left.at(queries, keys) | right.at(queries, keys)
