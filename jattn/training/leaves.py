"""The leaves of a pytree as named, described arrays, and back, bit for bit."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

NUMBERS = {bool: "bool", int: "int64", float: "float64", complex: "complex128"}
# What safetensors has a name for; anything else (float8, int4, complex128) is stored as bytes.
NATIVE = {"bool", "bfloat16", "float16", "float32", "float64", "complex64"} | {
    f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
}


class Description(NamedTuple):
    """What a leaf is, apart from its values.

    `kind` is a dtype, "Python int" and the like, or "None"; `impl` names a PRNG key's generator.
    """

    kind: str
    shape: tuple[int, ...] = ()
    impl: str | None = None

    def __str__(self) -> str:
        is_array = self.kind != "None" and not self.kind.startswith("Python ")
        return f"{self.kind} {self.shape}" if is_array else self.kind


def path_name(path: tuple[Any, ...]) -> str:
    """A leaf's path as text: `layers/0/bias`."""
    return jax.tree_util.keystr(path, simple=True, separator="/")


def named_leaves(function: str, tree: Any) -> dict[str, Any]:
    """The leaves, None among them, by path; two paths that spell the same raise ValueError."""
    named = {}
    for path, leaf in jax.tree.leaves_with_path(tree, is_leaf=lambda leaf: leaf is None):
        name = path_name(path)
        if name in named:
            raise ValueError(f"{function}: two leaves are called {name}")
        named[name] = leaf
    return named


def describe(function: str, name: str, leaf: Any) -> Description:
    """Says what `leaf` is; a leaf that no array can hold raises ValueError."""
    if leaf is None:
        return Description("None")
    if type(leaf) in NUMBERS:
        if type(leaf) is int and not -(2**63) <= leaf < 2**63:
            raise ValueError(f"{function}: {name} is {leaf}, which is no int64")
        return Description(f"Python {type(leaf).__name__}")
    dtype = getattr(leaf, "dtype", None)
    if dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key):
        impl = str(jax.random.key_impl(leaf)) if isinstance(leaf, jax.Array) else None
        return Description(str(dtype), leaf.shape, impl)
    if dtype is None or not (jnp.issubdtype(dtype, np.number) or dtype == np.bool_):
        raise ValueError(f"{function}: {name} is a {type(leaf).__name__}, which is no array")
    return Description(np.dtype(dtype).name, tuple(leaf.shape))


def pack(description: Description, leaf: Any) -> np.ndarray:
    """The array that is stored for `leaf`: contiguous, little-endian, of a dtype in `NATIVE`."""
    if description.impl:
        leaf = jax.random.key_data(leaf)
    array = np.asarray(leaf, dtype=NUMBERS.get(type(leaf)), order="C")
    array = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return array if array.dtype.name in NATIVE else array.reshape(-1).view(np.uint8)


def unpack(description: Description, data: bytearray | None, like: type = np.ndarray) -> Any:
    """The leaf that was packed; arrays are NumPy's where `like` is, else jax's."""
    kind, shape, impl = description
    if data is None:
        return None
    if impl:
        words = jax.random.key_data(jax.random.key(0, impl=impl)).shape
        key_data = np.frombuffer(data, np.uint32).reshape(*shape, *words)
        return jax.random.wrap_key_data(jnp.array(key_data), impl=impl)
    for number, stored in NUMBERS.items():
        if kind == f"Python {number.__name__}":
            return number(np.frombuffer(data, stored)[0])
    array = np.frombuffer(data, jnp.dtype(kind)).reshape(shape)
    return array if issubclass(like, np.ndarray | np.generic) else jnp.array(array)
