"""The arguments of a call of the engine, checked and brought to one form."""

import math
from collections.abc import Iterable
from typing import Any, NamedTuple, get_type_hints

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int

from jattn._options import (
    Positive,
    check_array,
    check_known,
    check_length,
    check_options,
    floating,
    is_old_key,
    mask_hint,
)
from jattn._sharding import check_whole
from jattn.biases.algebra import Bias
from jattn.engine.forms import as_array, as_known, sides, without_batch
from jattn.masks.algebra import Mask


class Origin(NamedTuple):
    """Numbers that positions, and heads for dropout, start from in a call that is part of another.

    Attributes:
        heads: number of each head [*b h], batch × heads + head; None counts the heads of the call.
        query: number of the first query.
        key: number of the first key.
    """

    heads: Any = None
    query: Any = 0
    key: Any = 0


class Call(NamedTuple):
    """Arguments of `dot_product_attention`."""

    query: Any
    key: Any
    value: Any
    bias: Any = None
    mask: Any = None
    scale: Float[Array, ""] | float | None = None
    is_causal: bool = False
    query_seq_lengths: Any = None
    key_value_seq_lengths: Any = None
    local_window_size: Any = None
    query_offset: int | Int[Array, "*b"] = 0
    logits_soft_cap: Positive | None = None
    sinks: Any = None
    dropout_rate: float = 0.0
    dropout_rng: Any = None
    chunk_size: int | None = None
    precision: Any = None  # Of products, as in `jax.lax.dot_general`.
    rows: Any = None  # Where the queries stand among all, if they are not all.
    origin: Origin | None = None
    params: Any = None  # Of the functions that follow.
    score: Any = None
    weight: Any = None
    normalizer: Any = None  # None is softmax.

    @property
    def lead(self) -> tuple[int, ...]:
        return tuple(np.shape(self.query)[:-3])

    @property
    def sizes(self) -> tuple[int, int, int, int, int, int, int]:
        """Batch, queries, keys, groups, heads of a group, features of keys and of values."""
        (t, h, k), (s, g, v) = np.shape(self.query)[-3:], np.shape(self.value)[-3:]
        return math.prod(self.lead), t, s, g, h // g, k, v

    @property
    def inner_dtype(self) -> np.dtype:
        """The dtype of the computation: the promoted one of the arrays, at least float32."""
        dtypes = (self.query.dtype, self.key.dtype, self.value.dtype)
        with jax.numpy_dtype_promotion("standard"):
            return jnp.promote_types(jnp.result_type(*dtypes), jnp.float32)


# Options of `dot_product_attention` that say how pairs are scored.
SCORING = (
    "bias",
    "mask",
    "scale",
    "is_causal",
    "query_seq_lengths",
    "key_value_seq_lengths",
    "local_window_size",
    "query_offset",
    "logits_soft_cap",
    "sinks",
    "chunk_size",
    "precision",
)


def check_names(options: Iterable[str], allowed: Iterable[str]) -> None:
    """Raises ValueError for an option that is none of those allowed."""
    for name in options:
        _require(name in allowed, f"{name} is unknown, expected options {', '.join(allowed)}")


def check(call: Call, *, shapes_alone: bool = False) -> Call:
    """Raises ValueError for what does not fit; a window becomes a pair, arrays arrays.

    `shapes_alone` allows arrays that are given as `jax.ShapeDtypeStruct`s.
    """
    for name, value in call._asdict().items():
        check_array(name, value, shapes_alone=shapes_alone)
    for name in ("query", "key", "value"):
        call = call._replace(**{name: (array := as_array(name, getattr(call, name)))})
        shape = tuple(array.shape)
        _require(len(shape) >= 3, f"{name} has shape {shape}, expected (*b, length, heads, size)")
        _floating(name, array)
        check_whole(name, array, len(shape) - 3, "t" if name == "query" else "s")
    call = _simplified(call)
    lead, (t, h, k) = call.lead, call.query.shape[-3:]
    (s, g), v = call.key.shape[-3:-1], call.value.shape[-1]
    _shape("key", call.key, (*lead, s, g, k), "(*b, s, g, k)", "b and k from query")
    _shape("value", call.value, (*lead, s, g, v), "(*b, s, g, v)", "b, s and g from key")
    _require(h > 0, "query has no heads (h), expected at least 1")
    _require(g > 0 and h % g == 0, f"{h} heads do not divide among {g} key-value heads")
    pairs = (*lead, h, t, s)
    if isinstance(call.bias, Bias):
        heads = call.bias.heads
        _require(heads in (1, h), f"bias has {heads} heads, expected 1 or h={h} (from query)")
    else:
        check_pairs("bias", call.bias, pairs)
    if isinstance(call.mask, Mask):
        call.mask.check(t, s, lead)
    else:
        check_pairs("mask", call.mask, pairs)
    if call.sinks is not None:
        _shape("sinks", call.sinks, (h,), "(h)", "h from query")
        _floating("sinks", call.sinks)
    for name, longest, axis in (("query_seq_lengths", t, "t"), ("key_value_seq_lengths", s, "s")):
        lengths = getattr(call, name)
        if lengths is not None:
            _lead(name, lengths, lead)
            check_length(name, lengths, longest, axis)
    _lead("query_offset", call.query_offset, lead)
    check_options(get_type_hints(Call, include_extras=True), call._asdict())
    inner = call.inner_dtype
    check_scale(call.scale, inner)
    for name in ("dropout_rate", "logits_soft_cap"):
        check_known(name, getattr(call, name))
    rate = call.dropout_rate
    _require(0.0 <= rate < 1.0, f"dropout_rate is {rate}, expected [0, 1)")
    if rate:
        _require(call.dropout_rng is not None, f"dropout_rate is {rate}, but dropout_rng is None")
        check_rng(call.dropout_rng)
    size = None if call.chunk_size is None else int(call.chunk_size)
    _require(size is None or size > 0, f"chunk_size is {size}, expected more than 0")
    check_cap(call.logits_soft_cap, inner)
    _check_precision(call.precision)
    return call._replace(chunk_size=size)


def _simplified(call: Call) -> Call:
    """Returns the call with lists as arrays, without a batch of one if queries have no batch."""
    pairs, rows = ("bias", "mask"), ("query_seq_lengths", "key_value_seq_lengths", "query_offset")
    found = {name: as_known(getattr(call, name)) for name in (*pairs, *rows, "sinks")}
    if not call.lead:
        found |= {name: without_batch(found[name], 3) for name in pairs}
        found |= {name: without_batch(found[name], 0) for name in rows}
    return call._replace(local_window_size=sides(call.local_window_size), **found)


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
    asked = "a bool array or a mask of jattn.masks"
    asked = asked if name == "mask" else "an array or a bias of jattn.biases"
    is_array = isinstance(array, jax.Array | np.ndarray | np.generic | jax.ShapeDtypeStruct)
    is_array &= not isinstance(array, np.ma.MaskedArray)
    _require(is_array, f"{name} is a {type(array).__name__}, expected {asked}")
    _require(
        fits,
        f"{name} has shape {given}, expected one that broadcasts to (*b, h, t, s) = {wanted}",
    )
    if name == "mask":
        right = jnp.issubdtype(array.dtype, jnp.bool_)
        _require(right, f"mask has dtype {array.dtype}, expected bool{mask_hint(array)}")
    else:
        _floating(name, array, "; pass booleans as mask")


def _floating(name: str, array: Any, hint: str = "") -> None:
    right = jnp.issubdtype(array.dtype, jnp.floating) and array.dtype.itemsize in (2, 4, 8)
    _require(right, f"{name} has dtype {array.dtype}, expected {floating(array.dtype)}{hint}")


def _lead(name: str, array: Any, lead: tuple[int, ...]) -> None:
    given = tuple(np.shape(array))
    dtype = getattr(array, "dtype", None)
    whole = isinstance(array, int) if dtype is None else jnp.issubdtype(dtype, jnp.integer)
    described = f"has shape {given}" if given else f"is {array}"
    described = described if whole or dtype is None else f"has dtype {dtype}"
    _require(
        given in ((), lead) and whole and not isinstance(array, bool),
        f"{name} {described}, expected integers of shape {lead} (b from query)",
    )


def check_rng(rng: Any) -> None:
    """Raises ValueError unless it is one PRNG key, of the new kind or the old."""
    dtype = getattr(rng, "dtype", None)
    if is_old_key(rng) or (np.ndim(rng) == 0 and str(dtype).startswith("key<")):
        return
    given = type(rng).__name__ if dtype is None else f"{dtype}{list(np.shape(rng))}"
    raise ValueError(f"dropout_rng is {given}, expected one key of jax.random.key")


def check_scale(scale: Any, inner: np.dtype) -> None:
    """Raises ValueError unless an array is one real number, and a number is finite in `inner`."""
    dtype = getattr(scale, "dtype", np.dtype(float))
    if np.ndim(scale):
        raise ValueError(f"scale has shape {np.shape(scale)}, expected one number, ()")
    if not any(jnp.issubdtype(dtype, kind) for kind in (jnp.floating, jnp.integer)):
        raise ValueError(f"scale has dtype {dtype}, expected a number")
    known = not isinstance(scale, Tracer | jax.Array | jax.ShapeDtypeStruct) and scale is not None
    if known and not np.isfinite(in_dtype(scale, inner)):
        raise ValueError(f"scale is {scale}, expected a finite number in {inner}")


def _check_precision(precision: Any) -> None:
    """Raises ValueError unless `jax.lax.dot_general` knows it."""
    one = jax.ShapeDtypeStruct((1,), "float32")
    product = lambda x, y: jax.lax.dot(x, y, precision=precision)
    try:
        if precision is not None:
            hash(precision)
            jax.eval_shape(product, one, one)
    except (TypeError, ValueError):
        expected = "one of jax.lax.Precision or jax.lax.DotAlgorithmPreset, or its name"
        raise ValueError(f"precision is {precision!r}, expected {expected}") from None


def check_cap(cap: Any, inner: np.dtype) -> None:
    """Raises ValueError unless the cap is a positive number that `inner` holds."""
    if cap is not None and not 0.0 < in_dtype(cap, inner) < np.inf:
        raise ValueError(f"logits_soft_cap is {cap}, expected a finite number above 0 in {inner}")


def in_dtype(number: Any, inner: np.dtype) -> float:
    """Returns a number as `inner` holds it; below the least normal number it is zero."""
    with np.errstate(all="ignore"):
        held = np.asarray(number).astype(inner)[()]
    return 0.0 if abs(held) < np.finfo(inner).tiny else float(held)
