"""Arithmetic in at least float32, for inputs of any floating-point dtype."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax.dtypes import canonicalize_dtype
from jax.typing import DTypeLike

Function = TypeVar("Function", bound=Callable[..., Any])


def at_least_float32(function: Function) -> Function:
    """Runs `function` in `promote_types(dtype, float32)` and rounds its results once, to `dtype`.

    `dtype` is the promoted dtype of the floating-point positional arrays, including those inside
    parameters. Keyword arrays are cast to the same dtype as positional ones. Float64 inputs are
    computed in float64 throughout, and Python numbers do not promote.
    """

    @functools.wraps(function)
    def promoted(*args, **kwargs):
        dtypes = [leaf.dtype for leaf in jax.tree.leaves(args) if _is_floating(leaf)]
        if not dtypes:
            return function(*args, **kwargs)
        with jax.numpy_dtype_promotion("standard"):  # Promotion is intended here.
            dtype = canonicalize_dtype(functools.reduce(jnp.promote_types, dtypes))
        inner = inner_dtype(dtype)
        args, kwargs = _cast((args, kwargs), inner)
        return _cast(function(*args, **kwargs), dtype)

    return promoted  # type: ignore[return-value]


def inner_dtype(dtype: DTypeLike) -> Any:
    """Returns `promote_types(dtype, float32)`, also in strict promotion mode.

    Python's `float` is the default dtype here, and no weak type that float32 would win over.
    """
    with jax.numpy_dtype_promotion("standard"):
        return jnp.promote_types(jax.dtypes.canonicalize_dtype(dtype), jnp.float32)


def _is_floating(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.floating)


def _cast(tree: Any, dtype: Any) -> Any:
    def cast(leaf: Any) -> Any:
        if not _is_floating(leaf):
            return leaf
        # A conversion to the same dtype is still an operation, which `jax_debug_nans` inspects.
        unchanged = isinstance(leaf, jax.Array) and leaf.dtype == dtype and not leaf.weak_type
        return leaf if unchanged else jnp.asarray(leaf, dtype)

    return jax.tree.map(cast, tree)
