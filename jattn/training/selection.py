"""Parts of a tree by the paths of their leaves: what is trained, at which rate, and what is not."""

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jattn.training.leaves import path_name


def select(tree: Any, patterns: Sequence[str]) -> Any:
    """True at the leaves whose path matches a pattern, in a tree of the same structure: a mask.

    Paths are those of a checkpoint, `layers/0/attention/query_weight`. In a pattern `*` stands for
    any characters, the slash too, and one that names a branch takes everything below it.

    >>> params = {"encoder": {"weight": 1.0, "bias": 2.0}, "head": {"weight": 3.0}}
    >>> select(params, ["head", "*/bias"])
    {'encoder': {'bias': True, 'weight': False}, 'head': {'weight': True}}

    Raises:
        ValueError: a pattern matches nothing.
    """
    check_patterns("select", tree, patterns)
    return jax.tree.map_with_path(
        lambda path, leaf: first_match(path_name(path), patterns) is not None, tree
    )


def label(tree: Any, groups: Mapping[str, Sequence[str]], *, rest: str | None = None) -> Any:
    """The name of each leaf's group, in a tree of the same structure, as `optax.partition` takes.

    The first group with a pattern that matches has the leaf.

    >>> params = {"encoder": {"weight": 1.0, "bias": 2.0}, "head": {"weight": 3.0}}
    >>> label(params, {"fast": ["head"]}, rest="slow")
    {'encoder': {'bias': 'slow', 'weight': 'slow'}, 'head': {'weight': 'fast'}}

    Args:
        rest: the name of what no pattern matches; without it, that there is such a leaf raises.

    Raises:
        ValueError: a pattern matches nothing, or a leaf is in no group.
    """
    patterns = [pattern for group in groups.values() for pattern in group]
    check_patterns("label", tree, patterns)

    def group_of(path, leaf):
        name = path_name(path)
        found = (group for group, those in groups.items() if first_match(name, those) is not None)
        chosen = next(found, rest)
        if chosen is None:
            raise ValueError(f"label: {name} is in none of the groups {', '.join(groups)}")
        return chosen

    return jax.tree.map_with_path(group_of, tree)


def split(tree: Any, mask: Any) -> tuple[Any, Any]:
    """The leaves where `mask` is True and those where it is not; None stands for what is absent.

    A loss of the first half alone has no gradient, no optimiser state and no checkpoint of the
    other. Hand that one to the loss with the batch: closed over, it would be compiled in.

    >>> split({"weight": 1.0, "bias": 2.0}, {"weight": False, "bias": True})
    ({'bias': 2.0, 'weight': None}, {'bias': None, 'weight': 1.0})
    """
    chosen = jax.tree.map(lambda wanted, leaf: leaf if wanted else None, mask, tree)
    others = jax.tree.map(lambda wanted, leaf: None if wanted else leaf, mask, tree)
    return chosen, others


def join(one: Any, other: Any) -> Any:
    """What `split` took apart, together again."""
    return jax.tree.map(
        lambda left, right: right if left is None else left, one, other, is_leaf=lambda x: x is None
    )


def train_only(
    optimizer: optax.GradientTransformation, mask: Any
) -> optax.GradientTransformationExtraArgs:
    """The optimiser on the leaves where `mask` is True; the others keep every bit.

    There is no state for the others, and a compiled step computes no gradient that goes nowhere.
    """
    labels = jax.tree.map(lambda wanted: "trained" if wanted else "frozen", mask)
    return optax.partition({"trained": optimizer, "frozen": optax.stateless(_no_update)}, labels)


def _no_update(updates: Any, params: Any) -> Any:
    """Minus zero: adding it changes nothing, adding zero would change the sign of minus zero."""
    return jax.tree.map(lambda leaf: jnp.full_like(leaf, -0.0), updates)


def parameter_count(tree: Any) -> int:
    """The number of entries of all arrays: of a half of `split`, those that are trained."""
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def first_match(name: str, patterns: Iterable[str]) -> str | None:
    """The first pattern that matches a path, if there is one."""
    return next((p for p in patterns if _matches(name, p)), None)


def check_patterns(function: str, tree: Any, patterns: Iterable[str]) -> None:
    """Raises ValueError, with paths that there are, for a pattern that matches none."""
    names = [path_name(path) for path, _ in jax.tree.leaves_with_path(tree)]
    for pattern in patterns:
        if not any(_matches(name, pattern) for name in names):
            there = ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")
            raise ValueError(f"{function}: {pattern!r} matches no path; there are {there}")


def _matches(name: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(name, f"{pattern}/*")
