"""Weights from elsewhere: a flat dict of other names, poured into a tree."""

import fnmatch
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from jattn.training.leaves import named_leaves

Source: TypeAlias = str | tuple[str, Callable[[Any], Any]]


def import_weights(
    flat: Mapping[str, Any],
    like: Any,
    mapping: Mapping[str, Source],
    *,
    ignore: Sequence[str] = (),
) -> Any:
    """A tree like `like`, whose leaves are arrays of `flat`, by a mapping of names.

    >>> flat = {"dense.0.kernel": np.ones((2, 3), np.float32)}
    >>> like = {"layers": [{"weight": jax.ShapeDtypeStruct((3, 2), np.float32)}]}
    >>> mapping = {"layers/*/weight": ("dense.*.kernel", np.transpose)}
    >>> import_weights(flat, like, mapping)["layers"][0]["weight"].shape
    (3, 2)

    Args:
        flat: arrays by name, as `safetensors.numpy.load_file` reads them.
        like: a tree with the structure, shapes and dtypes to fill (`jax.eval_shape` makes one).
        mapping: from a path in the tree to a name in `flat`, or to a name and the function that
            gives its array the shape of the leaf. A `*` in the path stands for one part of it, and
            each `*` in the name for what the one in the path was; the first that matches counts.
        ignore: names in `flat` that nothing is to be made of, `*` for any characters.

    Raises:
        ValueError: naming the leaves that have no array or one of another shape, and the arrays
            that are left over.
    """
    leaves = named_leaves("import_weights", like)
    filled, used, wrong = {}, set(), []
    for path, leaf in leaves.items():
        if leaf is None:
            filled[path] = None
            continue
        name, function = _source(path, mapping)
        if name is None:
            wrong.append(f"{path} is in no line of the mapping")
        elif name not in flat:
            wrong.append(f"{path} is missing: there is no {name}")
        else:
            used.add(name)
            array = np.asarray(function(flat[name]))
            if array.shape != leaf.shape:
                wrong.append(f"{path} has shape {leaf.shape}, {name} gives {array.shape}")
            filled[path] = jnp.asarray(array.astype(leaf.dtype))
    for name in flat:
        if name not in used and not any(fnmatch.fnmatchcase(name, those) for those in ignore):
            wrong.append(f"{name} is left over")
    if wrong:
        more = f"; and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise ValueError(f"import_weights: {'; '.join(wrong[:5])}{more}")
    structure = jax.tree.structure(like, is_leaf=lambda leaf: leaf is None)
    return jax.tree.unflatten(structure, filled.values())


def _source(path: str, mapping: Mapping[str, Source]) -> tuple[str | None, Callable[[Any], Any]]:
    """The name that a path is mapped to and its function; None where no line matches."""
    for pattern, source in mapping.items():
        found = re.fullmatch(re.escape(pattern).replace(r"\*", "([^/]*)"), path)
        if found:
            name, function = (source, np.asarray) if isinstance(source, str) else source
            for part in found.groups():
                name = name.replace("*", part, 1)
            return name, function
    return None, np.asarray
