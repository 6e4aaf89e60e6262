"""Kernels of other libraries for accelerators, handed what they can do exactly and nothing else."""

import functools
import importlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Bool, Float

from jattn._sizes import is_certain
from jattn.biases.algebra import Bias
from jattn.engine.arguments import Call
from jattn.engine.attention import pairs_of
from jattn.engine.structure import open_sides, shortest, structure_of
from jattn.engine.visibility import mask_of, pairs_of_mask, visible_of
from jattn.masks.algebra import Mask

HALF = ("bfloat16", "float16")
DTYPES = {"xla": (*HALF, "float32"), "cudnn": HALF, "tokamax": (*HALF, "float32")}

# What asks for nothing: another value of one of these options is refused, for the reason given.
NEUTRAL = {
    "return_residual": (False, "the log-sum-exp of these kernels has no gradient"),
    "query_offset": (0, "its first query stands at the first key"),
    "sinks": (None, "it has none"),
    "dropout_rate": (0.0, "it would drop other weights"),
    "return_weights": (False, "it does not keep them"),
    "chunk_size": (None, "it has blocks of its own"),
    "precision": (None, "it chooses its own"),
    "planner": (None, "it has blocks of its own"),
}


def hand_over(implementation: str, call: Call) -> Float[Array, "*b t h v"]:
    """Attention by a kernel: "xla" and "cudnn" of `jax.nn`, or "tokamax", which is an extra.

    The contract on masked keys and empty rows is enforced around the kernel. Keys that no query may
    read are zeroed before it. A row that is empty reads some key in the kernel, and is zeroed after
    it. Rounding and the available derivatives are the kernel's own.
    """
    b, t, s, g, r, _, v = call.sizes
    batch, h = call.lead, g * r
    query, key, value = (x.reshape(b, *x.shape[-3:]) for x in (call.query, call.key, call.value))
    is_causal, sides, *lengths, rest = structure_of(implementation, call)
    mask = None if isinstance(call.mask, Mask) else call.mask
    if rest is not None:
        pairs = pairs_of_mask(rest, batch, t, s)
        mask = pairs if mask is None else mask & pairs

    def four_axes(array: Any) -> Any:
        array = jnp.asarray(array)
        array = array.reshape((1,) * (len(batch) + 3 - array.ndim) + array.shape)
        return jnp.broadcast_to(array, (*batch, *array.shape[-3:])).reshape(b, *array.shape[-3:])

    mask, bias = (x if x is None else four_axes(x) for x in (mask, call.bias))
    if bias is not None:
        finite = bias != -jnp.inf
        mask = finite if mask is None else mask & finite
        bias = jnp.where(finite, bias, 0.0).astype(jnp.float32)
    lengths = [shortest(x, batch) for x in lengths]
    lengths = [x if x is None else x.reshape(b) for x in lengths]
    reads = None
    may_be_empty = is_causal and not is_certain(lambda: s <= t)  # Keys past the last query.
    if any(x is not None for x in (mask, sides, *lengths)) or may_be_empty:
        told = Call(
            *(query, key, value, None, mask, None, is_causal, *lengths), local_window_size=sides
        )
        pairs, of_pairs = pairs_of(mask, [b], g, r, bool)
        own, of_own = mask_of(told, jnp.asarray)
        found, axes = visible_of((own, pairs, None), (of_own, of_pairs, None), 1, t, s)
        if found is not None:
            sizes = b if axes.batch[0] else 1, g if axes.group == 0 else 1
            sees = jnp.moveaxis(found.queries.reshape(*sizes, t, -1), 2, 1)  # [b t g r]
            reads = jnp.broadcast_to(sees, (b, t, g, r)).reshape(b, t, h, 1)
            mask = mask if mask is None else mask | _empty_rows(sees, g, r)
            read = found.keys.reshape(*sizes, s, 1).swapaxes(1, 2)
            query = jnp.where(reads, query, 0.0)
            key, value = jnp.where(read, key, 0.0), jnp.where(read, value, 0.0)
    cap = {} if call.logits_soft_cap is None else {"logits_soft_cap": call.logits_soft_cap}
    # These libraries rely on implicit promotion, of dtypes and of ranks.
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        context = _kernel(implementation)(
            *(query, key, value, bias, mask),
            scale=call.scale,
            is_causal=is_causal,
            # Rows of padding are zeroed, and no row is empty in the kernel.
            key_value_seq_lengths=None if lengths[1] is None else jnp.maximum(lengths[1], 1),
            local_window_size=sides,
            **cap,
        )
    context = context if reads is None else jnp.where(reads, context, 0.0)
    return context.reshape(*batch, t, h, v)


def _empty_rows(sees: Bool[Array, "#b t #g #r"], g: int, r: int) -> Bool[Array, "#b #h t 1"]:
    """True for queries that read no key, of each head if heads differ."""
    b, t, *heads = sees.shape
    heads = [1, 1] if heads == [1, 1] else [g, r]
    rows = jnp.broadcast_to(~sees, (b, t, *heads)).reshape(b, t, heads[0] * heads[1], 1)
    return rows.swapaxes(1, 2)


def check_implementation(implementation: str, call: Call, **results: Any) -> None:
    """Raises ValueError if the kernel would compute something else, or does not exist here."""
    if not isinstance(implementation, str) or implementation not in DTYPES:
        wanted = f"{', '.join(map(repr, DTYPES))}, 'fastest' or None"
        raise ValueError(f"implementation is {implementation!r}, expected {wanted}")
    reason = refusal(implementation, call, {**call._asdict(), **results})
    if reason:
        raise ValueError(f"implementation={implementation!r} cannot do {reason}")
    if implementation == "tokamax":
        _kernel(implementation)


def refusal(implementation: str, call: Call, options: dict[str, Any]) -> str:
    """The option that the kernel cannot do as it is asked, and why; empty if there is none."""
    for name, (neutral, why) in NEUTRAL.items():
        given = options[name]
        if given is not neutral and not (isinstance(given, int | float) and given == neutral):
            return f"{name}: {why}"
    if isinstance(call.bias, Bias):
        return "bias as a function of distance, expected an array: its .dense(t, s)"
    arrays, sides = (call.query, call.key, call.value), call.local_window_size
    sides = None if sides is None else open_sides(call, *sides)
    dtypes = {str(array.dtype) for array in arrays}
    if len(dtypes) > 1 or not dtypes <= set(DTYPES[implementation]):
        return (
            f"{' and '.join(sorted(dtypes))}, expected one of {', '.join(DTYPES[implementation])}"
        )
    if implementation != "tokamax" and call.value.shape[-1] != call.key.shape[-1]:
        return f"values of {call.value.shape[-1]} features with keys of {call.key.shape[-1]}"
    if implementation != "xla" and not isinstance(call.scale, int | float | None):
        return "scale as an array, expected a number"
    if implementation != "xla" and any(isinstance(side, Tracer) for side in sides or ()):
        return "local_window_size that is traced: its windows are numbers"
    if implementation == "cudnn" and sides and sides[1] and not call.is_causal:
        return f"local_window_size={sides}: its windows end at the token itself"
    if implementation == "tokamax" and sides and call.query.shape[-3] != call.key.shape[-3]:
        return "local_window_size: its windows need as many queries as keys"
    if call.logits_soft_cap is not None and implementation != "tokamax":
        return "logits_soft_cap: it has none"
    if call.logits_soft_cap is not None and call.bias is not None:
        return "logits_soft_cap: it caps scores after the bias"
    return ""


def _kernel(implementation: str) -> Callable[..., Array]:
    if implementation != "tokamax":
        kernel: Any = jax.nn.dot_product_attention
        return functools.partial(kernel, implementation=implementation)
    try:
        tokamax = importlib.import_module("tokamax")  # An extra, which need not be here.
    except ImportError:
        raise ValueError("implementation='tokamax' needs the extra `jattn[kernels]`") from None
    return tokamax.dot_product_attention
