"""Weights of other libraries: a flat dict of other names, as a tree."""

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import jax
import numpy as np

from jattn.training.leaves import is_of, named_leaves, to_jax
from jattn.training.patterns import check_list, wildcards

Source: TypeAlias = str | tuple[str, Callable[[Any], Any]]


def import_weights(
    flat: Mapping[str, Any],
    like: Any,
    mapping: Mapping[str, Source],
    *,
    ignore: Sequence[str] = (),
) -> Any:
    """Returns a tree like `like`, whose leaves are arrays of `flat`, by a mapping of names.

    Floating-point arrays are rounded to the dtype of their leaf. No other number is changed:
    integers have to fit, and none is taken for a floating-point weight.

    >>> flat = {"dense.0.kernel": np.ones((2, 3), np.float32)}
    >>> like = {"layers": [{"weight": jax.ShapeDtypeStruct((3, 2), np.float32)}]}
    >>> mapping = {"layers/*/weight": ("dense.*.kernel", np.transpose)}
    >>> import_weights(flat, like, mapping)["layers"][0]["weight"].shape
    (3, 2)

    Args:
        flat: arrays by name, as `safetensors.numpy.load_file` reads them.
        like: a tree with the structure, shapes and dtypes to fill (`jax.eval_shape` makes one).
        mapping: from a path in the tree to a name in `flat`, or to a name and the function that
            gives its array the shape of the leaf. A `*` in the path matches within one part of it,
            and the `*`s in the name are replaced by the same texts in order. The first path that
            matches counts.
        ignore: names in `flat` that are not used, `*` for any characters and `?` for one.

    Raises:
        ValueError: if a leaf has no array, or one whose shape or numbers do not fit, or if an
            array is left over. The message names them.
    """
    check_list("import_weights", "ignore", ignore)
    filled, used, complaints = {}, set(), []
    for path, leaf in named_leaves("import_weights", like).items():
        if leaf is None:
            filled[path] = None
            continue
        name, function = _source(path, mapping)
        if name is None:
            complaints.append(f"{path} is in no line of the mapping")
        elif name not in flat:
            complaints.append(f"{path} is missing: there is no {name}")
        else:
            used.add(name)
            try:
                filled[path] = _fitted(path, leaf, name, flat[name], function)
            except ValueError as error:
                complaints.append(str(error))
    used.update(ignore)
    ignored = [re.compile(wildcards(pattern), re.DOTALL) for pattern in ignore]
    for name in flat:
        if name not in used and not any(regex.fullmatch(name) for regex in ignored):
            complaints.append(f"{name} is left over")
    if complaints:
        more = f"; and {len(complaints) - 5} more" if len(complaints) > 5 else ""
        raise ValueError(f"import_weights: {'; '.join(complaints[:5])}{more}")
    structure = jax.tree.structure(like, is_leaf=lambda leaf: leaf is None)
    return jax.tree.unflatten(structure, filled.values())


def _source(path: str, mapping: Mapping[str, Source]) -> tuple[str | None, Callable[[Any], Any]]:
    """Returns the name that a path is mapped to and its function; None if no line matches."""
    for pattern, source in mapping.items():
        match = re.fullmatch(re.escape(pattern).replace(r"\*", "([^/]*)"), path)
        if match:
            name, function = (source, np.asarray) if isinstance(source, str) else source
            # Between the stars of the name, so that a star in a text is not replaced itself.
            texts = itertools.chain(match.groups(), itertools.repeat("*"))
            between = name.split("*")
            ends = zip(between[:-1], texts, strict=False)
            return "".join(itertools.chain(*ends, between[-1:])), function
    return None, np.asarray


def _fitted(
    path: str, leaf: Any, name: str, stored: Any, function: Callable[[Any], Any]
) -> jax.Array:
    """Returns the array for a leaf in the leaf's dtype, or raises ValueError with both names."""
    if not hasattr(leaf, "shape") or not is_of(leaf.dtype, np.generic):
        raise ValueError(f"{path} is a {type(leaf).__name__}, expected an array or its shape")
    try:
        array = np.asarray(function(stored))
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{path} gets no array from {name}: {error}") from error
    if array.shape != leaf.shape:
        raise ValueError(f"{path} has shape {leaf.shape}, {name} gives {array.shape}")
    if array.dtype != leaf.dtype:
        expected = _mismatch(array.dtype, leaf.dtype)
        if expected:
            raise ValueError(
                f"{path} has dtype {leaf.dtype}, {name} gives {array.dtype}, expected {expected}"
            )
        with np.errstate(over="ignore"):
            cast = array.astype(leaf.dtype)
        is_exact = not is_of(leaf.dtype, np.inexact)
        changed = cast != array if is_exact else np.isfinite(array) & ~np.isfinite(cast)
        if changed.any():
            raise ValueError(
                f"{path} has dtype {leaf.dtype}, {name} holds {array[changed][0]}, expected"
                " numbers that it holds"
            )
        array = cast
    try:
        return to_jax(array)
    except ValueError as error:
        raise ValueError(f"{path} has dtype {leaf.dtype}: {error}") from error


def _mismatch(dtype: Any, expected: Any) -> str | None:
    """Returns the expected kind of dtype, or None if arrays of `dtype` are taken."""
    if is_of(expected, np.floating):
        fits = is_of(dtype, np.floating) and dtype.itemsize >= 2
        return None if fits else "a floating-point dtype of at least 16 bits"
    if is_of(expected, np.complexfloating):
        fits = is_of(dtype, np.inexact) and dtype.itemsize >= 2
        return None if fits else "a floating-point or complex dtype"
    if is_of(expected, np.integer):
        return None if is_of(dtype, np.integer) else "an integer dtype"
    return f"{expected}"
