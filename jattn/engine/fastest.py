"""The fastest exact implementation of a call: a kernel that keeps the contract, or jattn's own."""

import dataclasses
import importlib.util
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jattn._sizes import are_known
from jattn.engine.arguments import Call
from jattn.engine.attention import attend_all, planned
from jattn.engine.handed import Handed, value
from jattn.engine.kernels import HALF, hand_over, refusal
from jattn.engine.structure import structure_of
from jattn.masks.algebra import Mask

OWN = "jattn"
KERNELS = ("cudnn", "tokamax")  # In this order; `xla` is what jattn's own code runs on already.
# Head sizes of cuDNN on every GPU that has its attention, as `jax.nn` checks them.
LARGEST_HEAD, HEAD_STEP, LEAST_CAPABILITY = 128, 8, 8.0


class Choice(NamedTuple):
    """The implementation that `fastest` runs, and why those before it are not taken."""

    name: str
    reasons: dict[str, str]

    def __str__(self) -> str:
        lines = [f"fastest: {self.name}"]
        return "\n".join([*lines, *(f"  not {name}: {why}" for name, why in self.reasons.items())])


def choose(call: Call, **results: Any) -> Choice:
    """Returns the choice for a call, from what is known before it runs.

    That is the backend and its device, what is installed, dtypes, sizes and options. No value of an
    array decides.
    """
    reasons: dict[str, str] = {}
    for name in KERNELS:
        why = absence(name) or unknown(call)
        why = why or refusal(name, call, {**call._asdict(), **results}) or inexactness(name, call)
        if not why:
            return Choice(name, reasons)
        reasons[name] = why
    return Choice(OWN, reasons)


def absence(kernel: str) -> str:
    """Why the kernel cannot run in this process; empty if it can."""
    backend, device = jax.default_backend(), jax.devices()[0]
    if kernel == "cudnn":
        capability = float(getattr(device, "compute_capability", None) or 0.0)
        if backend != "gpu" or "NVIDIA" not in device.device_kind:
            return f"the backend is {backend}, expected an NVIDIA GPU"
        return "" if capability >= LEAST_CAPABILITY else f"the GPU has capability {capability}"
    if backend not in ("gpu", "tpu"):
        return f"the backend is {backend}, expected gpu or tpu"
    if importlib.util.find_spec("tokamax") is None:
        return "it is not installed, see the extra `jattn[kernels]`"
    # JAX does not partition a kernel of Pallas: every device would compute the whole batch.
    return "" if jax.device_count() == 1 else f"there are {jax.device_count()} devices"


def unknown(call: Call) -> str:
    """Why no kernel can be told what it needs to know; empty if it can."""
    *sizes, k, _ = call.sizes
    if not are_known(*sizes, k) or 0 in sizes:
        return "sizes are symbolic or zero"
    arrays = [x for x in (call.query, call.key, call.value) if isinstance(x, jax.Array)]
    sharded = any(axis is not None for x in arrays for axis in jax.typeof(x).sharding.spec)
    return "arrays are sharded by their types, which kernels have no rule for" if sharded else ""


def inexactness(kernel: str, call: Call) -> str:
    """Why the kernel would not keep the contract, or not pay; empty if it does."""
    k, dtype = call.query.shape[-1], str(call.query.dtype)
    structure = structure_of(kernel, call)
    has_array = call.mask is not None and not isinstance(call.mask, Mask)
    if dtype not in HALF:
        return f"{dtype}: it rounds products to TF32 or bfloat16"
    if structure.rest is not None:
        return "the masks: it would need an array of all pairs"
    if kernel == "cudnn":
        if has_array or call.bias is not None:
            return "mask as an array, or bias: it adds them, rounded, to scores of any size"
        if k % HEAD_STEP or k > LARGEST_HEAD:
            return f"heads of {k}, expected multiples of {HEAD_STEP} up to {LARGEST_HEAD}"
    elif jax.default_backend() == "tpu":
        told = structure.key_lengths or structure.sides is not None
        if dtype != "bfloat16" or has_array or call.bias is not None or told:
            return "on a TPU its kernel takes bfloat16 and causal masks alone"
    return ""


def attend_fastest(choice: Choice, call: Call) -> Float[Array, "*b t h v"]:
    """Attention by the chosen kernel, with every derivative.

    The kernel computes the value and its gradient. Forward mode, second derivatives and Taylor
    series are jattn's own.
    """
    leaves, structure = jax.tree.flatten(call)
    is_array = [hasattr(x, "dtype") for x in leaves]
    arrays = [jnp.asarray(x) for x, taken in zip(leaves, is_array, strict=True) if taken]
    static = tuple(None if taken else x for x, taken in zip(leaves, is_array, strict=True))
    moves = tuple(jnp.issubdtype(x.dtype, jnp.floating) for x in arrays)
    kernel, own = (OfArrays(name, structure, static) for name in (choice.name, OWN))
    return _run(Handed(kernel, own, moves, value), *arrays)


@dataclasses.dataclass(frozen=True, repr=False)
class OfArrays:
    """Attention by an implementation, as a function of the arrays of a call alone."""

    implementation: str
    structure: Any
    static: tuple[Any, ...]  # The other leaves; None where an array belongs.

    def __call__(self, *arrays: Any) -> Float[Array, "*b t h v"]:
        remaining = iter(arrays)
        leaves = [next(remaining) if x is None else x for x in self.static]
        call = self.structure.unflatten(leaves)
        if self.implementation == OWN:
            return attend_all(*planned(call)).output
        return hand_over(self.implementation, call)


@partial(jax.jit, static_argnums=0)
def _run(of: Handed, *arrays: Any) -> Any:
    return of(*arrays)[0]
