"""LoRA, weights plus a product of low rank: Hu et al. (2021), arXiv:2106.09685, equation 3."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from jattn.training.leaves import path_name
from jattn.training.selection import check_patterns, first_match


class LowRank(NamedTuple):
    """The paper's B and A, for a weight of axes `stacked..., rows..., columns...`.

    `up` has the axes `stacked..., rows..., rank`, `down` `stacked..., rank, columns...`.
    """

    up: Array
    down: Array


def init_lora(
    rng: Key[Array, ""],
    params: Any,
    select: Mapping[str, str] | Sequence[str],
    rank: int,
) -> Any:
    """A `LowRank` for each selected weight and None for the others, in the structure of `params`.

    `down` is drawn from a normal with variance 1 / columns and `up` starts at zero, so that at
    first nothing is changed. What is trained is this tree; `params` stay as they are.

    >>> params = {"weight": jnp.ones((5, 3)), "bias": jnp.ones(5)}
    >>> jax.tree.map(jnp.shape, init_lora(jax.random.key(0), params, ["weight"], rank=2))
    {'bias': None, 'weight': LowRank(up=(5, 2), down=(2, 3))}

    Args:
        select: patterns of paths, as in `training.select`; or a mapping from patterns to how the
            weight's axes make matrices, the first that matches counts. In "3 n i" the last two are
            rows and columns of three matrices, each with a product of its own; parentheses join
            axes: "(h e) q" makes one matrix of all heads, and "d (h u)" does of what joins them.

    Raises:
        ValueError: a pattern matches nothing, the axes do not fit a weight, or the rank is less
            than 1 or more than that of a matrix.
    """
    forms = select if isinstance(select, Mapping) else dict.fromkeys(select, "")
    check_patterns("init_lora", params, forms)
    keys = iter(jax.random.split(rng, len(jax.tree.leaves(params))))

    def draw(path, weight):
        key, name = next(keys), path_name(path)
        pattern = first_match(name, forms)
        if pattern is None:
            return None
        stacked, rows, columns = _divided(name, weight.shape, forms[pattern])
        most = min(math.prod(rows), math.prod(columns))
        if not 1 <= rank <= most:
            raise ValueError(f"init_lora: rank is {rank}, expected 1 to {most} for {name}")
        scale = math.prod(columns) ** -0.5
        down = jax.random.normal(key, (*stacked, rank, *columns), weight.dtype) * scale
        return LowRank(jnp.zeros((*stacked, *rows, rank), weight.dtype), down)

    return jax.tree.map_with_path(draw, params)


def _divided(name: str, shape: tuple[int, ...], axes: str) -> list[tuple[int, ...]]:
    """The sizes of a weight's stacked axes, its rows and its columns."""
    groups = [group.strip("()").split() for group in re.findall(r"\([^()]*\)|[^\s()]+", axes)]
    groups = groups or [[axis] for axis in map(str, shape)]
    if len(groups) < 2 or sum(map(len, groups)) != len(shape) or not all(groups):
        wanted = f"the axes {axes!r}" if axes else "at least two axes"
        raise ValueError(
            f"init_lora: {name} has shape {shape}, expected {wanted}, rows and columns"
        )
    first_column = len(shape) - len(groups[-1])
    first_row = first_column - len(groups[-2])
    return [shape[:first_row], shape[first_row:first_column], shape[first_column:]]


def apply_lora(params: Any, lora: Any, scale: float) -> Any:
    """The tree of weights with their products added: weight + scale * up down.

    It has the structure of `params`, so every function of them takes it: under differentiation
    with respect to `lora` to train, or once and for all to merge.

    Args:
        lora: what `init_lora` returned, trained or not.
        scale: the paper's alpha / rank.

    Raises:
        ValueError: a product does not have the shape of its weight.
    """

    def add(path, weight, low_rank):
        if low_rank is None:
            return weight
        up, down = low_rank
        stacked = up.ndim + down.ndim - 2 - weight.ndim
        batch, rank = up.shape[:stacked], up.shape[-1]
        if (*up.shape[:-1], *down.shape[stacked + 1 :]) != weight.shape or (
            down.shape[: stacked + 1] != (*batch, rank)
        ):
            raise ValueError(
                f"apply_lora: {path_name(path)} has shape {weight.shape}, up {up.shape} and down"
                f" {down.shape} do not make it"
            )
        with jax.numpy_dtype_promotion("standard"):
            inner = jnp.promote_types(jnp.promote_types(weight.dtype, up.dtype), jnp.float32)
        up, down = (factor.astype(inner) for factor in (up, down))
        product = up.reshape(*batch, -1, rank) @ down.reshape(*batch, rank, -1)
        return (weight.astype(inner) + scale * product.reshape(weight.shape)).astype(weight.dtype)

    return jax.tree.map_with_path(add, params, lora)
