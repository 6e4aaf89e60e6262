"""Blocks whose attention is a linear recurrence: retention, gated linear attention, gated DeltaNet.

A block is that of the transformer with the recurrence in place of attention, without rotation:
what a state forgets gives its steps an order. Outputs are normalized by head and gated by the
block's input, as in the papers that `jattn.linear` names. Short convolutions are left out.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

import jattn
from experiments.language.config import Config
from jattn import linear
from jattn.layers import AffineParams, RMSNormParams

KINDS = ("retention", "gated-linear", "gated-delta")


class BlockParams(NamedTuple):
    """Weights of a block; `decay` and `strength` are those of gates that a kind has."""

    norm: RMSNormParams
    query: AffineParams
    key: AffineParams
    value: AffineParams
    decay: AffineParams | None
    strength: AffineParams | None
    head_norm: RMSNormParams
    gate: AffineParams
    output: AffineParams
    feed_forward_norm: RMSNormParams
    feed_forward: Any


def init(
    rng: Key[Array, ""], kind: str, config: Config, hidden_size: int
) -> tuple[BlockParams, ...]:
    """Draws the weights of the blocks."""
    return tuple(
        _init_block(rng, kind, config, hidden_size) for rng in jax.random.split(rng, config.layers)
    )


def _init_block(rng: Key[Array, ""], kind: str, config: Config, hidden_size: int) -> BlockParams:
    size, rngs = config.size, iter(jax.random.split(rng, 8))
    square = lambda out=size, bias=False: jattn.init_affine(
        next(rngs), input_size=size, output_size=out, bias=bias
    )
    gates = {"gated-linear": size, "gated-delta": config.heads}
    norm = partial(jattn.init_rms_norm, size=size)
    return BlockParams(
        norm=norm(),
        query=square(),
        key=square(),
        value=square(),
        decay=square(gates[kind], bias=True) if kind in gates else None,
        strength=square(config.heads) if kind == "gated-delta" else None,
        head_norm=jattn.init_rms_norm(size=size // config.heads),
        gate=square(),
        output=square(),
        feed_forward_norm=norm(),
        feed_forward=jattn.init_gated_feed_forward(next(rngs), size=size, hidden_size=hidden_size),
    )


def start(params: tuple[BlockParams, ...], config: Config) -> tuple[Float[Array, "h k k"], ...]:
    """Returns the states before the first row, zeros."""
    size = config.size // config.heads
    dtype = params[0].query.weight.dtype
    return tuple(jnp.zeros((config.heads, size, size), dtype) for _ in params)


def run(
    params: tuple[BlockParams, ...],
    rows: Float[Array, "t d"],
    states: tuple[Float[Array, "h k k"], ...],
    kind: str,
    config: Config,
) -> tuple[Float[Array, "t d"], tuple[Float[Array, "h k k"], ...]]:
    """Returns the rows after all blocks, and the states after the last row."""
    after = []
    for block, state in zip(params, states, strict=True):
        normed = jattn.rms_norm(block.norm, rows)
        outputs, state = _attend(block, normed, state, kind, config)
        outputs = jax.vmap(partial(jattn.rms_norm, block.head_norm))(outputs)
        gated = outputs.reshape(rows.shape) * jax.nn.silu(jattn.affine(block.gate, normed))
        rows = rows + jattn.affine(block.output, gated)
        normed = jattn.rms_norm(block.feed_forward_norm, rows)
        rows = rows + jattn.gated_feed_forward(block.feed_forward, normed)
        after.append(state)
    return rows, tuple(after)


def _attend(
    block: BlockParams, rows: Float[Array, "t d"], state: Array, kind: str, config: Config
) -> tuple[Float[Array, "t h k"], Float[Array, "h k k"]]:
    """Returns the outputs of each head's recurrence, and its state after the last row."""
    split = lambda part: jattn.affine(part, rows).reshape(len(rows), config.heads, -1)
    query, key, value = (split(part) for part in (block.query, block.key, block.value))
    scaled = query / jnp.sqrt(query.shape[-1]).astype(query.dtype)
    if kind == "retention":
        fixed = 1 - 2.0 ** (-5 - jnp.arange(config.heads, dtype=rows.dtype))
        return _by_head(linear.retention, state, scaled, key, value, fixed, last=0)
    # Of the root of 16, as in gated linear attention, gates are near one at the start.
    decay = jax.nn.sigmoid(split(block.decay)) ** (1 / 16)
    if kind == "gated-linear":
        return _by_head(linear.gated_linear_attention, state, scaled, key, value, decay)
    # Queries and keys of length one, so that a strength of one replaces what a key held.
    query, key = _unit(jax.nn.silu(query)), _unit(jax.nn.silu(key))
    strength = jax.nn.sigmoid(split(block.strength))
    of_rows = query, key, value, strength[..., 0], decay[..., 0]
    return _by_head(linear.gated_delta_net, state, *of_rows)


def _by_head(recurrence: Any, state: Array, *arrays: Array, last: int = 1) -> Any:
    """Maps a recurrence over the heads of arrays [t h ...], which the last has on axis `last`."""
    head = lambda state, *arrays: tuple(recurrence(*arrays, initial=state))
    axes = (0, *[1] * (len(arrays) - 1), last)
    return jax.vmap(head, axes, (1, 0))(state, *arrays)


def _unit(rows: Float[Array, "t h k"]) -> Float[Array, "t h k"]:
    """Returns rows of length one."""
    return rows * jax.lax.rsqrt((rows**2).sum(-1, keepdims=True) + 1e-6)
