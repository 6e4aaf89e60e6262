"""Checks of the functions that a caller gives to the engine."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.experimental import checkify

from jattn._sizes import are_known
from jattn.chunks.row_by_row import complaint_of
from jattn.engine.arguments import Call
from jattn.engine.operands import At
from jattn.engine.scores import freely
from jattn.masks.algebra import Mask

FEW = 4, 6  # Rows and keys of the block that a function is traced with.
# Functions that were tried, each with the shapes of its parameters and the sizes of a call: other
# calls, which may not be compiled, are not slowed down.
TRIED: set[Any] = set()
MOST = 256


def check_functions(call: Call) -> None:
    """Raises ValueError for a function whose result the engine could not use, or would lose."""
    if call.params is not None and call.score is call.weight is None:
        raise ValueError("params are given, expected score or weight, which take them")
    for leaf in jax.tree.leaves(call.params):
        dtype = getattr(leaf, "dtype", None)
        if dtype is None and not isinstance(leaf, bool | int | float):
            raise ValueError(f"params hold {type(leaf).__name__}, expected arrays or numbers")
    dtype = call.inner_dtype
    for name in ("score", "weight"):
        function = getattr(call, name)
        if function is not None:
            _check_function(name, function)
            leaves, structure = jax.tree.flatten(call.params)
            kinds = tuple(_kind(x) for x in leaves)
            _check_form(name, function, structure, kinds, dtype)
            traced = tuple(isinstance(x, Tracer) for x in leaves)
            trial = name, function, structure, kinds, traced, dtype, call.sizes
            trial += (jax.tree.structure(call.mask),)
            if are_known(*call.sizes) and trial not in TRIED:
                with jax.ensure_compile_time_eval():
                    _try(name, function, call)
                if len(TRIED) == MOST:
                    TRIED.clear()
                TRIED.add(trial)
    if call.normalizer is not None:
        _check_function("normalizer", call.normalizer)
        _check_normalizer(call.normalizer, dtype)


def _check_function(name: str, function: Any) -> None:
    if not callable(function):
        raise ValueError(f"{name} is {function!r}, expected a function")
    try:
        hash(function)
    except TypeError:
        kind = type(function).__name__
        raise ValueError(f"{name} is a {kind}, which has no hash: JAX compiles by it") from None


def _kind(leaf: Any) -> jax.ShapeDtypeStruct:
    array = leaf if hasattr(leaf, "dtype") else jnp.asarray(leaf)
    return jax.ShapeDtypeStruct(array.shape, array.dtype)


@lru_cache(maxsize=256)
def _check_form(
    name: str, function: Callable[..., Any], structure: Any, kinds: tuple[Any, ...], dtype: Any
) -> None:
    """Traces a function with queries down and with keys down."""
    rows, keys = FEW
    number: Any = lambda *shape: jax.ShapeDtypeStruct(shape, jnp.arange(0).dtype)
    for keys_down in (False, True):
        row, key = ((1, rows), (keys, 1)) if keys_down else ((rows, 1), (1, keys))
        at = At(number(*row), number(*row), number(*row), number(*key))
        shape = (keys, rows) if keys_down else (rows, keys)
        scores = jax.ShapeDtypeStruct(shape, dtype)
        traced = _traced(name, function, scores, at, structure.unflatten(kinds))
        _check_result(name, traced, shape, dtype)


@lru_cache(maxsize=256)
def _check_normalizer(function: Callable[..., Any], dtype: Any) -> None:
    given = jax.ShapeDtypeStruct(FEW, dtype), jax.ShapeDtypeStruct(FEW, bool)
    _check_result("normalizer", _traced("normalizer", function, *given), FEW, dtype)
    shapes: dict[str, Any] = {"scores": given[0], "mask": given[1]}
    of_rows = lambda arrays, _: function(arrays["scores"], arrays["mask"])
    if complaint := complaint_of(of_rows, shapes, dict.fromkeys(shapes, 0), {}, trusts=True):
        raise ValueError(f"normalizer {complaint}")


def _traced(name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """The program of a function.

    Raises:
        ValueError: it closes over a traced array, or reads a place that `at` has not.
    """
    try:
        program = jax.make_jaxpr(freely(function))(*arguments)
    except AttributeError as error:
        if getattr(error, "obj", None).__class__ is At:
            wanted = ", ".join(f"at.{field}" for field in At._fields)
            raise ValueError(f"{name} reads at.{error.name}, expected {wanted}") from error
        raise
    if any(isinstance(x, Tracer) for x in program.consts):
        raise ValueError(
            f"{name} closes over a traced array, whose derivative would be lost: pass it in params"
        )
    return program


def _check_result(name: str, program: Any, shape: tuple[int, ...], dtype: Any) -> None:
    found = [(x.shape, str(x.dtype)) for x in program.out_avals]
    if found != [(shape, str(dtype))]:
        given = ", ".join(f"{kind}{list(size)}" for size, kind in found) or "nothing"
        raise ValueError(
            f"{name} returns {given} of {dtype}{list(shape)}, expected the same shape and dtype"
        )


def _try(name: str, function: Callable[..., Any], call: Call) -> None:
    """Tries a function with the first and last pairs of the call; each pair has to be alone.

    Parameters that are traced are drawn, since their numbers are not known.
    """
    function = freely(function)
    batch, t, s, groups, heads, *_ = call.sizes
    if not (batch and t and s):
        return
    some = lambda size: np.unique([0, min(1, size - 1), size // 2, size - 1])
    numbers = [x.reshape(-1) for x in np.meshgrid(
        np.unique([0, batch - 1]), np.unique([0, groups * heads - 1]), some(t), indexing="ij"
    )]  # fmt: skip
    keys, offset = some(s), call.query_offset
    offset = 0 if isinstance(offset, Tracer) or np.ndim(offset) else np.asarray(offset)
    places = [jnp.asarray(x)[:, None] for x in numbers]
    at = At(places[0], places[1], places[2] + offset, jnp.asarray(keys)[None])
    rng = np.random.default_rng(0)
    shape = len(numbers[0]), len(keys)
    scores = jnp.asarray(rng.uniform(0.1, 0.9, shape), call.inner_dtype)
    traced = [isinstance(x, Tracer) for x in jax.tree.leaves(call.params)]
    draw = lambda x: rng.uniform(0.1, 0.9, x.shape)
    known = lambda x: jnp.asarray(draw(x), x.dtype) if isinstance(x, Tracer) else jnp.asarray(x)
    params = jax.tree.map(known, call.params)
    checked = jax.jit(checkify.checkify(function, errors=checkify.index_checks))
    error, whole = checked(scores, at, params)
    down = function(scores.T, At(*(x.T for x in at)), params).T
    half = len(numbers[0]) // 2 + 1
    part = function(scores[:half, 1:], At(*(x[:half] for x in at[:3]), key=at.key[:, 1:]), params)
    whole, down, part = (np.asarray(x, float) for x in (whole, down, part))
    same = lambda x, y: np.allclose(x, y, rtol=1e-2, atol=1e-3, equal_nan=True)
    if not (same(whole, down) and same(whole[:half, 1:], part)):
        raise ValueError(
            f"{name} mixes pairs: a pair's result depends on others of its block, expected one of"
            " its own pair alone; a function of whole rows is a normalizer"
        )
    seen = _seen(call.mask, numbers[2], keys)
    if seen is None:
        return
    if error.get() is not None and not any(traced) and seen.all():
        raise ValueError(f"{name} reads an index that is not there: {error.get()}")
    hidden = np.isnan(whole) & ~seen
    if hidden.any() and not any(traced):
        row, key = (x[0] for x in hidden.nonzero())
        raise ValueError(
            f"{name} is NaN at query {numbers[2][row]} and key {keys[key]}, which the mask hides,"
            " expected a number: a derivative of NaN is NaN"
        )


def _seen(mask: Any, queries: np.ndarray, keys: np.ndarray) -> np.ndarray | None:
    """The pairs that the mask shows; None if they are not known, or differ between elements."""
    if mask is None:
        return np.ones((len(queries), len(keys)), bool)
    if not isinstance(mask, Mask) or any(isinstance(x, Tracer) for x in jax.tree.leaves(mask)):
        return None
    try:
        seen = mask.at(jnp.asarray(queries)[:, None], jnp.asarray(keys)[None])
    except (IndexError, TypeError, ValueError):  # A mask whose arrays have the axes of a batch.
        return None
    return np.broadcast_to(np.asarray(seen), (len(queries), len(keys)))
