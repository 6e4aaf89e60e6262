"""A transformer's decoder one position at a time, from caches of its keys and values."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int

from jattn._axes import named_axes
from jattn._options import Positive, named
from jattn._precision import at_least_float32
from jattn.attention.multi_head_parts import Turn, attend_heads, join_heads, project, rotated
from jattn.caches.cache import KeyValueCache
from jattn.caches.extend import extend_cache
from jattn.layers import layer_norm
from jattn.masks.algebra import Mask, dense
from jattn.masks.visible import only
from jattn.normalizers import softmax
from jattn.positions.offsets import Offset
from jattn.transformer.causal import NAMES, CachedAttend
from jattn.transformer.decoder_block import PAST
from jattn.transformer.decoder_params import DecoderBlockParams
from jattn.transformer.feed_forward import feed_forward
from jattn.transformer.memory import TransformerMemory
from jattn.transformer.order import Order, pre_norm
from jattn.transformer.stack_params import TransformerDecoderParams, check_blocks, check_sinks
from jattn.transformer.state import TransformerState, check_counts, check_sizes
from jattn.transformer.sublayers import RowMap, apply_sublayers, normalized


@named_axes
def transformer_step(
    params: TransformerDecoderParams,
    state: TransformerState,
    inputs: Float[Array, " d"],
    memory: TransformerMemory,
    *,
    self_mask: Bool[Array, "m m"] | Mask | None = PAST,
    self_bias: Float[Array, "h m"] | Float[Array, " m"] | None = None,
    self_sinks: Float[Array, "l h"] | None = None,
    memory_mask: Bool[Array, "m s"] | Mask | None = None,
    memory_bias: Float[Array, "h s"] | Float[Array, " s"] | None = None,
    memory_sinks: Float[Array, "l h"] | None = None,
    scale: Float[Array, ""] | float | None = None,
    logits_soft_cap: Positive | None = None,
    order: Order = pre_norm,
    turn: Turn | None = None,
    memory_turn: Turn | None = None,
    query_offset: Offset = 0,
    norm: RowMap = layer_norm,
    feed_forward: RowMap = feed_forward,
    attend: CachedAttend | None = None,
) -> tuple[Float[Array, " d"], TransformerState]:
    """Computes the next position of `transformer_decoder`, and the state after it.

    It costs one row of each product, O(m) for each position instead of O(m²). The step attends to
    the past alone, so it agrees with `transformer_decoder` under a mask that hides the future. A
    step of `beam_search` embeds its token at `state.position`, calls this, and maps the features to
    log-probabilities.

    Args:
        state: from `transformer_start`, or the step before.
        inputs: [d], the embedded token at `state.position`.
        memory: the result of `transformer_memory`. It is not part of the state, so that a search
            keeps it once and not for each beginning.
        self_mask: as in `transformer_decoder`, for all `m` positions that the state has room for.
            A position after this one is hidden in any case.
        self_bias: the row of `transformer_decoder`'s bias for this position, over all `m` positions
            such as `jattn.biases.alibi(slopes).dense(1, m, offset=state.position)[:, 0]`.
        self_sinks: as in `transformer_decoder`.
        memory_mask: True where the query at a position may attend to the memory, combined with the
            mask of `transformer_memory`.
        memory_bias: the row of `transformer_decoder`'s bias for this position.
        memory_sinks: as in `transformer_decoder`.
        scale: as in `transformer_decoder`.
        logits_soft_cap: as in `transformer_decoder`.
        order: as in `transformer_decoder`.
        turn: as in `transformer_decoder`, the same at every step.
        memory_turn: as in `transformer_decoder`.
        query_offset: the position of the first step, for `turn` and `memory_turn`.
        norm: as in `transformer_decoder`.
        feed_forward: as in `transformer_decoder`.
        attend: attends for the heads of self-attention as in `causal_decode`, also with mask [1 m]
            and bias [*h 1 m] over the slots where these are set. None is the dense form. With
            `jattn.engine.attend_with_cache` time follows the positions so far, not the capacity.

    Returns:
        The features [d], and the state with this position.

    Raises:
        ValueError: if two arguments disagree about the size of an axis or the number of blocks, or
            the state has no room for another position. If its position is traced, features past
            the last one are NaN instead.
    """
    check_blocks("transformer_step", params.blocks, DecoderBlockParams)
    sinks = {"self_sinks": self_sinks, "memory_sinks": memory_sinks}
    check_sinks("transformer_step", params.blocks, **sinks)
    check_counts("transformer_step", params, memory, state)
    biases = {"self_bias": self_bias, "memory_bias": memory_bias}
    check_sizes(params, state, inputs, memory, sinks | biases)
    m = state.caches[0].slots if params.blocks else 0
    s = memory.keys[0].shape[1] if params.blocks else 0
    position = jnp.asarray(state.position)
    if params.blocks and (m == 0 or (not isinstance(position, Tracer) and int(position) >= m)):
        raise ValueError(f"transformer_step: state holds {m} positions (m), expected more")
    place = _moved(position, query_offset)
    past, reads_past, used = _visible(self_mask, self_bias, position, m)
    allowed = memory.allowed
    if memory_mask is not None:
        allowed = _both(allowed, _row("memory_mask", memory_mask, position, m, s))
    if used is not None:
        allowed = _both(allowed, jnp.broadcast_to(used[:, None], (1, s)))
    attend_with_cache = _attend_with_cache if attend is None else attend
    caches = []

    @at_least_float32
    def run(
        params: TransformerDecoderParams, rows: Array, memory: TransformerMemory, **options: Any
    ) -> tuple[Array, tuple[Array, ...]]:
        all_weights = []
        for index, block in enumerate(params.blocks):

            def of_block(kind: str, index=index) -> dict[str, Any]:
                bias, sinks = options[f"{kind}_bias"], options[f"{kind}_sinks"]
                found = {
                    "bias": None if bias is None else jnp.expand_dims(bias, -2),
                    "sinks": None if sinks is None else sinks[index],
                    "scale": options["scale"],
                    "logits_soft_cap": logits_soft_cap,
                }
                return {name: option for name, option in found.items() if option is not None}

            def attend_to_past(rows, heads=block.self_attention, index=index, of_block=of_block):
                query, key, value = (
                    project(weight, bias, rows, name)
                    for weight, bias, name in zip(heads[:3], heads[4:7], NAMES, strict=True)
                )
                query, key = rotated(turn, query, place), rotated(turn, key, place)
                mask = {} if past is None else {"mask": past}
                context, cache = attend_with_cache(
                    state.caches[index],
                    *(jnp.swapaxes(x, 0, 1) for x in (query, key, value)),
                    **mask,
                    **of_block("self"),
                )
                return join_heads(heads, jnp.swapaxes(context, 0, 1), reads_past), cache

            def attend_to_memory(rows, heads=block.cross_attention, index=index, of_block=of_block):
                query = project(heads.query_weight, heads.query_bias, rows, NAMES[0])
                query = rotated(memory_turn, query, place)
                keys = rotated(memory_turn, memory.keys[index], 0)
                context, weights, reads = _attend(
                    query, keys, memory.values[index], allowed, **of_block("memory")
                )
                return join_heads(heads, context, reads), weights[:, 0]

            def transform(rows, network=block.feed_forward):
                return feed_forward(network, rows), None

            rows, (cache, weights, _) = apply_sublayers(
                (block.self_norm, block.cross_norm, block.feed_forward_norm),
                (attend_to_past, attend_to_memory, transform),
                rows,
                order=order,
                norm=norm,
                used=used,
            )
            caches.append(cache)
            all_weights.append(weights)
        outputs = only(used, normalized(norm, params.norm, only(used, rows)))[0]
        return outputs, tuple(all_weights)

    outputs, weights = run(params, inputs[None], memory, scale=scale, **biases, **sinks)
    outputs = jnp.where(position < m, outputs, jnp.nan) if params.blocks else outputs
    return outputs, TransformerState(tuple(caches), position + 1, weights)


def _attend_with_cache(
    cache: KeyValueCache,
    query: Float[Array, "1 h e"],
    key: Float[Array, "1 g e"],
    value: Float[Array, "1 g u"],
    *,
    mask: Bool[Array, "1 m"] | None = None,
    **options: Any,
) -> tuple[Float[Array, "1 h u"], KeyValueCache]:
    """Stores a token and attends to all tokens so far, by the dense form."""
    past = (_places(cache.slots, cache.length) <= cache.length)[None]
    cache = extend_cache(cache, key.astype(cache.key.dtype), value.astype(cache.value.dtype))
    keys, values = (x.astype(query.dtype) for x in (cache.key, cache.value))
    allowed = past if mask is None else past & mask
    context, *_ = _attend(jnp.swapaxes(query, 0, 1), keys, values, allowed, **options)
    return jnp.swapaxes(context, 0, 1), cache


def _attend(
    query: Float[Array, "h 1 e"],
    keys: Float[Array, "g s e"],
    values: Float[Array, "g s u"],
    allowed: Bool[Array, "1 s"] | None,
    *,
    bias: Float[Array, "*h 1 s"] | None = None,
    **options: Any,
) -> tuple[Float[Array, "h 1 u"], Float[Array, "h 1 s"], Bool[Array, " 1"]]:
    """Returns context and weights of one query, and whether it reads any key.

    Keys that it may not read are zeroed.
    """
    if bias is not None:
        finite = bias != -jnp.inf
        allowed = finite if allowed is None else finite & jnp.broadcast_to(allowed, bias.shape)
        bias = jnp.where(allowed, bias, 0.0)
    if allowed is not None:
        readable = _in_any_head(allowed)[None, :, None]
        keys, values = jnp.where(readable, keys, 0.0), jnp.where(readable, values, 0.0)
    context, weights = attend_heads(query, keys, values, allowed, bias, softmax, **options)
    reads = jnp.full(1, keys.shape[1] > 0) if allowed is None else _in_any_head(allowed).any()[None]
    return context, weights, reads


def _in_any_head(allowed: Bool[Array, "... s"]) -> Bool[Array, " s"]:
    return allowed.any(tuple(range(allowed.ndim - 1)))


def _both(left: Bool[Array, "1 s"] | None, right: Bool[Array, "1 s"]) -> Bool[Array, "1 s"]:
    return right if left is None else left & right


def _visible(
    mask: Any, bias: Float[Array, "*h m"] | None, position: Array, m: int
) -> tuple[Bool[Array, "1 m"] | None, Bool[Array, " 1"] | None, Bool[Array, " 1"] | None]:
    """Returns the mask's row of this position, whether it reads any, and whether it is used.

    The row is None if it is the past, the others if they are true. A position is used if it reads
    one, or a later one may read it.
    """
    is_past = mask is None or mask is PAST
    if is_past and bias is None:
        return None, None, None
    places = _places(m, position)
    row = None if is_past else _row("self_mask", mask, position, m, m)
    shown = (places <= position) if row is None else (places <= position) & row[0]
    finite = True if bias is None else _in_any_head(bias[..., None, :] != -jnp.inf)
    reads = (shown & finite).any()[None]
    if is_past:
        return row, reads, None
    column = _as_mask("self_mask", mask, m, m).at(places, position)
    return row, reads, reads | (column & (places >= position)).any()


def _row(name: str, mask: Any, position: Array, t: int, s: int) -> Bool[Array, "1 s"]:
    """Returns the row of a mask for the query at a position."""
    row = _as_mask(name, mask, t, s).at(position, _places(s, position))
    return jnp.broadcast_to(row, (1, s))


def _as_mask(name: str, mask: Any, t: int, s: int) -> Mask:
    mask = mask if isinstance(mask, Mask) else dense(mask)
    with named(f"transformer_step: {name}"):
        mask.check(t, s)
    return mask


def _places(size: int, position: Array) -> Int[Array, " m"]:
    return jnp.arange(size, dtype=position.dtype)


def _moved(position: Array, offset: Offset) -> Any:
    """Returns the position in a sequence whose first one is `offset`."""
    if isinstance(offset, int) and offset == 0:
        return position
    if not isinstance(position, Tracer) and not isinstance(offset, Tracer):
        return int(position) + int(offset)
    with jax.numpy_dtype_promotion("standard"):
        return position + offset
