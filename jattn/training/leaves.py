"""Leaves of a pytree as named, described arrays, and back, bit for bit."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

NUMBERS = {bool: "bool", int: "int64", float: "float64", complex: "complex128"}
# The dtypes of safetensors; any other one (float8, int4, complex128) is stored as bytes.
NATIVE = {"bool", "bfloat16", "float16", "float32", "float64", "complex64"} | {
    f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
}


class Description(NamedTuple):
    """A leaf's dtype and shape.

    `kind` is a dtype, "Python int" and the like, or "None"; `impl` names a PRNG key's generator.
    """

    kind: str
    shape: tuple[int, ...] = ()
    impl: str | None = None

    def __str__(self) -> str:
        is_array = self.kind != "None" and not self.kind.startswith("Python ")
        return f"{self.kind} {self.shape}" if is_array else self.kind


def path_name(path: tuple[Any, ...]) -> str:
    """Returns a leaf's path as text: `layers/0/bias`."""
    return jax.tree_util.keystr(path, simple=True, separator="/")


def named_leaves(function: str, tree: Any) -> dict[str, Any]:
    """Returns the leaves, None among them, by path.

    Raises:
        ValueError: if two paths are the same text, as `{"a": {"b": 1}, "a/b": 2}` has.
    """
    named = {}
    for path, leaf in jax.tree.leaves_with_path(tree, is_leaf=lambda leaf: leaf is None):
        name = path_name(path)
        if name in named:
            raise ValueError(f"{function}: two leaves are called {name}")
        named[name] = leaf
    return named


def describe(function: str, name: str, leaf: Any) -> Description:
    """Returns the description of a leaf.

    Raises:
        ValueError: if no array of NumPy or jax can hold it.
    """
    if leaf is None:
        return Description("None")
    if type(leaf) in NUMBERS:
        if type(leaf) is int and not -(2**63) <= leaf < 2**63:
            raise ValueError(f"{function}: {name} is {leaf}, which is no int64")
        return Description(f"Python {type(leaf).__name__}")
    dtype = getattr(leaf, "dtype", None)
    if dtype is not None and is_of(dtype, jax.dtypes.prng_key):
        impl = str(jax.random.key_impl(leaf)) if isinstance(leaf, jax.Array) else None
        return Description(str(dtype), leaf.shape, impl)
    if dtype is None or not (is_of(dtype, np.number) or is_of(dtype, np.bool_)):
        held = type(leaf).__name__ + ("" if dtype is None else f" of dtype {dtype}")
        raise ValueError(f"{function}: {name} is a {held}, expected an array of numbers")
    return Description(np.dtype(dtype).name, tuple(leaf.shape))


def is_of(dtype: Any, kind: type) -> bool:
    """Returns whether a dtype is of a kind; those of other libraries (torch) are of none."""
    try:
        return jnp.issubdtype(dtype, kind)
    except TypeError:
        return False


def pack(description: Description, leaf: Any) -> np.ndarray:
    """Returns the array to store for `leaf`: contiguous, little-endian, of a dtype in `NATIVE`."""
    if description.impl:
        leaf = jax.random.key_data(leaf)
    array = np.asarray(leaf, dtype=NUMBERS.get(type(leaf)), order="C")
    array = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return array if array.dtype.name in NATIVE else array.reshape(-1).view(np.uint8)


def unpack(description: Description, data: bytearray | None, like: type = np.ndarray) -> Any:
    """Returns the leaf that was packed; arrays are NumPy's where `like` is, else jax's.

    Raises:
        ValueError: if jax would hold 64 bits in 32, or if the data are no such leaf.
    """
    kind, shape, impl = description
    if data is None:
        if kind != "None":
            raise ValueError("it is missing")
        return None
    if impl:
        words = jax.random.key_data(jax.random.key(0, impl=impl)).shape
        key_data = np.frombuffer(data, np.uint32).reshape(*shape, *words)
        return jax.random.wrap_key_data(jnp.array(key_data), impl=impl)
    for number, stored in NUMBERS.items():
        if kind == f"Python {number.__name__}":
            return number(np.frombuffer(data, stored)[0])
    array = np.frombuffer(data, jnp.dtype(kind)).reshape(shape)
    return array if issubclass(like, np.ndarray | np.generic) else to_jax(array)


def placed_as(like: Any, leaf: Any) -> Any:
    """Returns a leaf with the sharding of `like`, or unchanged if `like` is no committed array."""
    sharding = getattr(like, "sharding", None)
    if sharding is None or not getattr(like, "committed", True):
        return leaf
    return jax.device_put(leaf, sharding)


def to_jax(array: np.ndarray) -> jax.Array:
    """Returns a jax array of the same dtype.

    Raises:
        ValueError: if jax has no such dtype, as for 64 bits unless `jax_enable_x64` is on.
    """
    if jax.dtypes.canonicalize_dtype(array.dtype) != array.dtype:
        raise ValueError(
            f"jax arrays hold {array.dtype} only if jax_enable_x64 is on; expected NumPy arrays"
        )
    return jnp.array(array)
