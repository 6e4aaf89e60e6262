"""LoRA: weights plus a product of low rank. Hu et al. (2021), arXiv:2106.09685, equation 3."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Key

from jattn.training.counts import check_count
from jattn.training.leaves import is_of, path_name
from jattn.training.patterns import first_matches, paths_of


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
    """Returns a tree like `params`: a `LowRank` for each selected weight, None for the others.

    `down` is drawn from a normal distribution of variance 1 / columns, and `up` starts at zero, so
    the weights are unchanged at first. This tree is trained; `params` stay as they are.

    >>> params = {"weight": jnp.ones((5, 3)), "bias": jnp.ones(5)}
    >>> jax.tree.map(jnp.shape, init_lora(jax.random.key(0), params, ["weight"], rank=2))
    {'bias': None, 'weight': LowRank(up=(5, 2), down=(2, 3))}

    Args:
        select: patterns of paths, as in `training.select`; or a mapping from patterns to the axes
            of the weight, of which the first that matches counts. In "3 n i" the last two are the
            rows and columns of three matrices, each with a product of its own. Parentheses join
            axes: "(h e) q" makes one matrix of all heads, and so does "d (h u)" for the output.
        rank: the paper's r, 1 to the smaller side of a matrix.

    Raises:
        ValueError: if a pattern matches nothing, if a weight is not floating-point or its axes do
            not fit, or if `rank` is out of range.
    """
    rank = check_count("init_lora", "rank", rank)
    paths = paths_of("init_lora", params)
    matches = first_matches("init_lora", paths, select)
    forms = select if isinstance(select, Mapping) else dict.fromkeys(select, "")
    keys = iter(jax.random.split(rng, len(jax.tree.leaves(params))))

    def draw(path, weight):
        key, name = next(keys), path_name(path)
        pattern = matches.get(name)
        if pattern is None:
            return None
        _check_weight("init_lora", name, weight)
        stacked, rows, columns = _divided(name, weight.shape, forms[pattern])
        most = min(math.prod(rows), math.prod(columns))
        if not 1 <= rank <= most:
            raise ValueError(f"init_lora: rank is {rank}, expected 1 to {most} for {name}")
        scale = math.prod(columns) ** -0.5
        down = jax.random.normal(key, (*stacked, rank, *columns), weight.dtype) * scale
        return LowRank(jnp.zeros((*stacked, *rows, rank), weight.dtype), down)

    return jax.tree.map_with_path(draw, params)


def _divided(name: str, shape: tuple[int, ...], axes: str) -> list[tuple[int, ...]]:
    """Returns the sizes of a weight's stacked axes, its rows and its columns."""
    groups = [group.strip("()").split() for group in re.findall(r"\([^()]*\)|[^\s()]+", axes)]
    groups = groups or [[axis] for axis in map(str, shape)]
    if len(groups) < 2 or sum(map(len, groups)) != len(shape) or not all(groups):
        expected = f"the axes {axes!r}" if axes else "at least two axes"
        raise ValueError(
            f"init_lora: {name} has shape {shape}, expected {expected}, rows and columns"
        )
    first_column = len(shape) - len(groups[-1])
    first_row = first_column - len(groups[-2])
    return [shape[:first_row], shape[first_row:first_column], shape[first_column:]]


def apply_lora(params: Any, lora: Any, scale: float) -> Any:
    """Returns the weights with their products added: weight + scale * up down.

    The result has the structure of `params`, so every function of them takes it. Differentiate it
    with respect to `lora` to train, and compute it once to merge.

    Args:
        lora: the result of `init_lora`, trained or not.
        scale: the paper's alpha / rank.

    Raises:
        ValueError: if a product does not have the shape of its weight, if a weight is not
            floating-point (an integer would round the product away), or if `scale` is not finite.
    """
    if not isinstance(scale, Tracer) and not _is_finite(scale):
        raise ValueError(f"apply_lora: scale is {scale}, expected a finite number")

    def add(path, weight, low_rank):
        if low_rank is None:
            return weight
        _check_weight("apply_lora", path_name(path), weight)
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


def _check_weight(function: str, name: str, weight: Any) -> None:
    """Raises ValueError for a weight whose dtype cannot hold it plus a small product."""
    dtype = getattr(weight, "dtype", None)
    if dtype is None or not is_of(dtype, jnp.inexact) or dtype.itemsize < 2:
        held = f"a {type(weight).__name__}" if dtype is None else f"of dtype {dtype}"
        raise ValueError(
            f"{function}: {name} is {held}, expected a floating-point dtype of at least 16 bits"
        )


def _is_finite(scale: Any) -> bool:
    try:
        return math.isfinite(scale) and not isinstance(scale, bool)
    except (TypeError, ValueError):
        return False
