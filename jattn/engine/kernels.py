"""Kernels of other libraries for accelerators, handed what they can do exactly and nothing else."""

import functools
import importlib
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jattn.engine.arguments import NAME
from jattn.engine.broadcast import check_pairs, four_axes
from jattn.engine.rows import Scoring, allowed_pairs
from jattn.masks import causal
from jattn.masks.algebra import Mask

HALF = ("bfloat16", "float16")
DTYPES = {"xla": (*HALF, "float32"), "cudnn": HALF, "tokamax": (*HALF, "float32")}

# What asks for nothing: another value of one of these options is refused, for the reason given.
NEUTRAL = {
    "return_residual": (False, "the log-sum-exp of these kernels has no gradient"),
    "query_offset": (None, "its first query stands at the first key"),
    "sinks": (None, "it has none"),
    "dropout_rate": (0.0, "it would drop other weights"),
    "return_weights": (False, "it does not keep them"),
    "chunk_size": (None, "it has blocks of its own"),
    "planner": (None, "it has blocks of its own"),
}


def hand_over(
    implementation: str,
    query: Float[Array, "*b t h k"],
    key: Float[Array, "*b s g k"],
    value: Float[Array, "*b s g v"],
    bias: Float[Array, "*b h t s"] | None = None,
    mask: Bool[Array, "*b h t s"] | Mask | None = None,
    *,
    scale: float | Float[Array, ""] | None = None,
    is_causal: bool = False,
    query_seq_lengths: Int[Array, "*b"] | None = None,
    key_value_seq_lengths: Int[Array, "*b"] | None = None,
    local_window_size: int | tuple[int | None, int | None] | None = None,
    logits_soft_cap: float | None = None,
    **options: Any,
) -> Float[Array, "*b t h v"]:
    """Attention by a kernel: "xla" and "cudnn" of `jax.nn`, or "tokamax", which is an extra.

    What the contract says of masked keys and empty rows is kept round the kernel: keys that nobody
    reads are zeroed before it and rows that read nothing after it. Rounding is the kernel's own,
    and so is what it can differentiate; it raises where it cannot.

    Raises:
        ValueError: if the kernel would compute something else, or does not exist here.
    """
    if implementation not in DTYPES:
        wanted = f"{', '.join(map(repr, DTYPES))} or None"
        raise ValueError(f"{NAME}: implementation is {implementation!r}, expected {wanted}")
    check_pairs(NAME, query, key, bias=bias, mask=mask)
    arrays = [jnp.asarray(array) for array in (query, key, value)]
    sides: Any = local_window_size
    if sides is not None:  # An open side is one that reaches past both ends.
        longest = max(arrays[0].shape[-3], arrays[1].shape[-3])
        sides = (sides, sides) if isinstance(sides, int) else sides
        sides = tuple(longest if side is None else side for side in sides)
    reason = _refusal(implementation, arrays, bias, scale, is_causal, sides, options)
    if logits_soft_cap is not None and (implementation != "tokamax" or bias is not None):
        later = "caps scores after the bias" if implementation == "tokamax" else "has none"
        reason = reason or f"logits_soft_cap: it {later}"
    if reason:
        raise ValueError(f"{NAME}: implementation={implementation!r} cannot do {reason}")
    batch, (t, heads, _) = arrays[0].shape[:-3], arrays[0].shape[-3:]
    s, count = arrays[1].shape[-3], math.prod(batch)
    query, key, value = (x.reshape(count, *x.shape[-3:]) for x in arrays)
    if isinstance(mask, Mask):
        plain = mask.rule is causal().rule and repr(mask.operands) == "(0,)"
        is_causal, mask = is_causal or plain, None if plain else mask.dense(t, s)
    mask, bias = (four_axes(x, batch) for x in (mask, bias))
    if bias is not None:
        finite = bias != -jnp.inf
        mask = finite if mask is None else mask & finite
        bias = jnp.where(finite, bias, 0.0).astype(jnp.float32)
    as_row = lambda x: x if x is None else jnp.broadcast_to(jnp.int32(x), batch).reshape(count)
    lengths = [as_row(query_seq_lengths), as_row(key_value_seq_lengths)]
    if implementation == "cudnn" and sides is not None:  # Its windows end at a token.
        is_causal, sides = True, (sides[0], 0)
    reads = None
    if any(x is not None for x in (mask, sides, *lengths)) or (is_causal and s > t):
        how = Scoring(None, mask, None, is_causal, lengths[0], lengths[1], sides)
        allowed = allowed_pairs(how, (count,), jnp.arange(t), s)
        reads = jnp.swapaxes(allowed.any(-1), 1, 2)[..., None]
        read = allowed.any((1, 2))[:, :, None, None]
        query = jnp.where(reads, query, 0.0)
        key, value = jnp.where(read, key, 0.0), jnp.where(read, value, 0.0)
    cap = {} if logits_soft_cap is None else {"logits_soft_cap": logits_soft_cap}
    with jax.numpy_dtype_promotion("standard"):  # What they promote is their business.
        context = _kernel(implementation)(
            *(query, key, value, bias, mask),
            scale=scale,
            is_causal=is_causal,
            query_seq_lengths=lengths[0],
            key_value_seq_lengths=lengths[1],
            local_window_size=sides,
            **cap,
        )
    context = context if reads is None else jnp.where(reads, context, 0.0)
    return context.reshape(*batch, t, heads, -1)


def _refusal(implementation, arrays, bias, scale, is_causal, sides, options) -> str:
    """The option that the kernel cannot do as it is asked, and why; empty if there is none."""
    for name, given in options.items():
        if name == "dropout_rng":
            continue
        neutral, why = NEUTRAL[name]
        if given is not neutral and not (
            isinstance(given, int | float) and given == (neutral or 0)
        ):
            return f"{name}: {why}"
    query, key, value = arrays
    dtypes = {str(array.dtype) for array in arrays}
    if len(dtypes) > 1 or not dtypes <= set(DTYPES[implementation]):
        return (
            f"{' and '.join(sorted(dtypes))}, expected one of {', '.join(DTYPES[implementation])}"
        )
    if implementation != "tokamax" and value.shape[-1] != key.shape[-1]:
        return f"values of {value.shape[-1]} features with keys of {key.shape[-1]}"
    if implementation != "xla" and not isinstance(scale, int | float | None):
        return "scale as an array, expected a number"
    if sides is None:
        return ""
    if implementation == "cudnn" and sides[1] and not is_causal:
        return f"local_window_size={sides}: its windows end at the token itself"
    if implementation == "tokamax" and query.shape[-3] != key.shape[-3]:
        return "local_window_size: its windows need as many queries as keys"
    return ""


def _kernel(implementation: Any) -> Callable[..., Array]:
    if implementation != "tokamax":
        return functools.partial(jax.nn.dot_product_attention, implementation=implementation)
    try:
        tokamax = importlib.import_module("tokamax")  # An extra, which need not be here.
    except ImportError:
        needs = "implementation='tokamax' needs the extra `jattn[kernels]`"
        raise ValueError(f"{NAME}: {needs}") from None
    return tokamax.dot_product_attention
