"""Parts of a tree by the paths of their leaves, to be trained, frozen or given other rates."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jattn.training.leaves import path_name
from jattn.training.patterns import check_list, first_matches, paths_of


def select(tree: Any, patterns: Sequence[str]) -> Any:
    """Returns a mask: a tree of the same structure, True at leaves whose path matches a pattern.

    Paths are those of a checkpoint, `layers/0/attention/query_weight`. In a pattern `*` stands for
    any characters, the slash included, and `?` for one; brackets stand for themselves. A pattern
    also matches everything below it, and one that is itself a path or a branch matches that alone.

    >>> params = {"encoder": {"weight": 1.0, "bias": 2.0}, "head": {"weight": 3.0}}
    >>> select(params, ["head", "*/bias"])
    {'encoder': {'bias': True, 'weight': False}, 'head': {'weight': True}}

    Raises:
        ValueError: if a pattern matches nothing, or if two leaves have the same path.
    """
    matches = first_matches("select", paths_of("select", tree), patterns)
    return jax.tree.map_with_path(lambda path, leaf: path_name(path) in matches, tree)


def label(tree: Any, groups: Mapping[str, Sequence[str]], *, default: str | None = None) -> Any:
    """Returns each leaf's group, in a tree of the same structure, as `optax.partition` takes it.

    A leaf is in the first group with a pattern that matches; patterns are those of `select`.

    >>> params = {"encoder": {"weight": 1.0, "bias": 2.0}, "head": {"weight": 3.0}}
    >>> label(params, {"fast": ["head"]}, default="slow")
    {'encoder': {'bias': 'slow', 'weight': 'slow'}, 'head': {'weight': 'fast'}}

    Args:
        default: the group of leaves that no pattern matches; without it, such a leaf is refused.

    Raises:
        ValueError: if a pattern matches nothing, or if a leaf is in no group.
    """
    paths = paths_of("label", tree)
    group_of = {}
    for group, patterns in groups.items():
        check_list("label", f"groups[{group!r}]", patterns)
        group_of = dict.fromkeys(first_matches("label", paths, patterns), group) | group_of
    for path in paths:
        if default is None and path not in group_of:
            raise ValueError(f"label: {path} is in none of the groups {', '.join(groups)}")
    return jax.tree.map_with_path(lambda path, leaf: group_of.get(path_name(path), default), tree)


def split(tree: Any, mask: Any) -> tuple[Any, Any]:
    """Returns two trees: the leaves where `mask` is True, and the others; None replaces a leaf.

    A loss of the first tree alone has no gradient, optimiser state or checkpoint of the other.
    Pass that one to the loss with the batch: if it were closed over, it would be compiled in.

    >>> split({"weight": 1.0, "bias": 2.0}, {"weight": False, "bias": True})
    ({'bias': 2.0, 'weight': None}, {'bias': None, 'weight': 1.0})
    """
    selected = jax.tree.map(lambda is_selected, leaf: leaf if is_selected else None, mask, tree)
    others = jax.tree.map(lambda is_selected, leaf: None if is_selected else leaf, mask, tree)
    return selected, others


def join(selected: Any, others: Any) -> Any:
    """Returns the tree that `split` divided into these two."""
    return jax.tree.map(
        lambda leaf, other: other if leaf is None else leaf,
        selected,
        others,
        is_leaf=lambda leaf: leaf is None,
    )


def train_only(
    optimizer: optax.GradientTransformation, mask: Any
) -> optax.GradientTransformationExtraArgs:
    """Returns the optimiser for the leaves where `mask` is True; the others keep every bit.

    The others have no state, and a compiled step computes no gradient of them.
    """
    labels = jax.tree.map(lambda is_trained: "trained" if is_trained else "frozen", mask)
    return optax.partition({"trained": optimizer, "frozen": optax.stateless(_no_update)}, labels)


def _no_update(updates: Any, params: Any) -> Any:
    """Returns minus zeros: adding one changes nothing, but -0.0 + 0.0 is 0.0."""
    return jax.tree.map(lambda leaf: jnp.full_like(leaf, -0.0), updates)


def parameter_count(tree: Any) -> int:
    """Returns the number of entries of all arrays; None, as in a half of `split`, has none."""
    return sum(leaf.size for leaf in jax.tree.leaves(tree))
