"""The arguments of a call of the engine, checked and brought to one form."""

import contextlib
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jattn._axes import check_length
from jattn.masks.algebra import Mask


class Call(NamedTuple):
    """What `dot_product_attention` was given."""

    query: Any
    key: Any
    value: Any
    bias: Any = None
    mask: Any = None
    scale: Any = None
    is_causal: bool = False
    query_seq_lengths: Any = None
    key_value_seq_lengths: Any = None
    local_window_size: Any = None
    query_offset: Any = 0
    logits_soft_cap: float | None = None
    sinks: Any = None
    dropout_rate: float = 0.0
    dropout_rng: Any = None
    chunk_size: int | None = None
    rows: Any = None  # Where the queries stand among all, if they are not all.

    @property
    def lead(self) -> tuple[int, ...]:
        return tuple(np.shape(self.query)[:-3])

    @property
    def sizes(self) -> tuple[int, int, int, int, int, int, int]:
        """Batch, queries, keys, groups, heads of a group, features of keys and of values."""
        (t, h, k), (s, g, v) = np.shape(self.query)[-3:], np.shape(self.value)[-3:]
        return math.prod(self.lead), t, s, g, h // g, k, v


@contextlib.contextmanager
def named(function: str) -> Iterator[None]:
    """Puts the name of the function that was called before what is wrong with its arguments."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{function}: {error}") from None


def check(call: Call) -> Call:
    """Raises ValueError for what does not fit; a window becomes a pair, arrays arrays."""
    for name in ("query", "key", "value"):
        array = getattr(call, name)
        if not isinstance(array, jax.Array | jax.ShapeDtypeStruct):
            call = call._replace(**{name: (array := jnp.asarray(array))})
        shape, dtype = tuple(array.shape), array.dtype
        _require(len(shape) >= 3, f"{name} has shape {shape}, expected (*b, length, heads, size)")
        floating = jnp.issubdtype(dtype, jnp.floating)
        _require(floating, f"{name} has dtype {dtype}, expected a floating-point dtype")
    lead, (t, h, k) = call.lead, call.query.shape[-3:]
    (s, g), v = call.key.shape[-3:-1], call.value.shape[-1]
    _shape("key", call.key, (*lead, s, g, k), "(*b, s, g, k)", "b and k from query")
    _shape("value", call.value, (*lead, s, g, v), "(*b, s, g, v)", "b, s and g from key")
    _require(g > 0 and h % g == 0, f"{h} heads do not divide among {g} key-value heads")
    pairs = (*lead, h, t, s)
    check_pairs("bias", call.bias, pairs)
    if isinstance(call.mask, Mask):
        call.mask.check(t, s)
    else:
        check_pairs("mask", call.mask, pairs)
    if call.sinks is not None:
        _shape("sinks", call.sinks, (h,), "(h)", "h from query")
    for name, longest, axis in (("query_seq_lengths", t, "t"), ("key_value_seq_lengths", s, "s")):
        lengths = getattr(call, name)
        if lengths is not None:
            _lead(name, lengths, lead)
            check_length(name, lengths, longest, axis)
    if np.ndim(call.query_offset):
        _lead("query_offset", call.query_offset, lead)
    rate = call.dropout_rate
    _require(0.0 <= rate < 1.0, f"dropout_rate is {rate}, expected [0, 1)")
    given = not rate or call.dropout_rng is not None
    _require(given, f"dropout_rate is {rate}, but dropout_rng is None")
    for name in ("chunk_size", "logits_soft_cap"):
        given = getattr(call, name)
        _require(given is None or given > 0, f"{name} is {given}, expected more than 0")
    return call._replace(local_window_size=_window(call.local_window_size))


def _window(size: Any) -> tuple[int | None, int | None] | None:
    if size is None:
        return None
    left, right = size if isinstance(size, tuple | list) else (size, size)
    for side in (left, right):
        _require(side is None or side >= 0, f"local_window_size is {size}, expected at least 0")
    return left, right


def _require(holds: bool, complaint: str) -> None:
    if not holds:
        raise ValueError(complaint)


def _shape(name: str, array: Any, wanted: tuple, axes: str, source: str) -> None:
    given = tuple(np.shape(array))
    _require(given == wanted, f"{name} has shape {given}, expected {axes} = {wanted} ({source})")


def check_pairs(name: str, array: Any, wanted: tuple[int, ...]) -> None:
    """Raises ValueError unless bias or mask broadcasts to `wanted` and has its dtype."""
    if array is None:
        return
    given = tuple(np.shape(array))
    padded = (1,) * (len(wanted) - len(given)) + given
    fits = len(padded) == len(wanted) and all(
        one in (1, other) for one, other in zip(padded, wanted, strict=True)
    )
    _require(
        fits and hasattr(array, "dtype"),
        f"{name} has shape {given}, expected one that broadcasts to (*b, h, t, s) = {wanted}",
    )
    kind: Any = jnp.bool_ if name == "mask" else jnp.floating
    hint = "bool; pass an additive mask as bias"
    hint = hint if name == "mask" else "a floating-point dtype; pass booleans as mask"
    right = jnp.issubdtype(array.dtype, kind)
    _require(right, f"{name} has dtype {array.dtype}, expected {hint}")


def _lead(name: str, array: Any, lead: tuple[int, ...]) -> None:
    given = tuple(np.shape(array))
    _require(
        given in ((), lead)
        and (not hasattr(array, "dtype") or jnp.issubdtype(array.dtype, jnp.integer)),
        f"{name} has shape {given}, expected integers of shape {lead} (b from query)",
    )
