"""Arguments of sharded attention, and attention of a pair of chunks."""

from collections.abc import Callable
from functools import reduce
from typing import Any, NamedTuple, TypedDict

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int, Key

from jattn._options import check_options, is_old_key, named
from jattn._varying import varying_as
from jattn.engine.arguments import Call, Origin, check, check_names
from jattn.engine.attention import attend_all, planned
from jattn.engine.merge import MergedAttention, merge_attention
from jattn.masks.algebra import Mask
from jattn.masks.patterns import causal, window
from jattn.sharded.pairs import Pair, check_mask, key_ids, visible, with_ids


class Options(TypedDict, total=False):
    """The keyword arguments of sharded attention; they mean what `dot_product_attention` says.

    Attributes:
        mask: a mask of `jattn.masks`, also combined by `& | ~`. Positions count in the whole
            sequence, also those that a rule of one's own gets. Ids of `segments` are shards, as
            queries and keys are. Other arrays are whole. Arrays of pairs are refused.
        is_causal: masks keys after the query's own position.
        local_window_size: numbers of keys before and after that position; None is open.
        scale: multiplies the scores, 1 / √k by default.
        logits_soft_cap: the cap of the scores.
        query_seq_lengths: [*b], in the whole sequence.
        key_value_seq_lengths: [*b], in the whole sequence.
        sinks: [h], the same on all devices.
        dropout_rate: share of weights that is dropped; the bits are those of one device.
        dropout_rng: the same on all devices.
        return_residual: also returns the lse [*b t h], in at least float32.
        chunk_size: number of queries in a block.
        precision: of the products.
    """

    mask: Mask | None
    is_causal: bool
    local_window_size: int | tuple[int | None, int | None] | None
    scale: Float[Array, ""] | float | None
    logits_soft_cap: float | None
    query_seq_lengths: Int[Array, "*b"] | None
    key_value_seq_lengths: Int[Array, "*b"] | None
    sinks: Float[Array, " h"] | None
    dropout_rate: float
    dropout_rng: Key[Array, ""] | None
    return_residual: bool
    chunk_size: int | None
    precision: Any


class Settings(NamedTuple):
    """Options that are known before the run."""

    logits_soft_cap: float | None
    dropout_rate: float
    chunk_size: int | None
    precision: Any


class Held(NamedTuple):
    """Arrays that stay on their device."""

    query: Float[Array, "*b t h k"]  # In the dtype of the computation, so results round once.
    scale: Float[Array, ""]
    mask: Mask | None
    query_seq_lengths: Any
    key_value_seq_lengths: Any
    rng: Any
    device: Int[Array, ""]


class Travelling(NamedTuple):
    """Arrays that other devices need."""

    key: Float[Array, "*b s g k"]
    value: Float[Array, "*b s g v"]
    ids: list[Int[Array, "*b s"]]  # Those of keys, of each mask of segments.


class Shards(NamedTuple):
    """A call on the shards of a device.

    Attributes:
        call: its arguments, checked; causal and window are part of the mask.
        devices: number of devices along `axis_name`.
    """

    call: Call
    axis_name: str
    devices: int
    return_residual: bool

    @property
    def settings(self) -> Settings:
        return Settings(*(getattr(self.call, name) for name in Settings._fields))

    def arrays(self) -> tuple[Held, Travelling]:
        """Returns the arrays, all of a type that varies over the mesh as the queries do."""
        call, dtype = self.call, self.call.inner_dtype
        scale = call.query.shape[-1] ** -0.5 if call.scale is None else call.scale
        held = Held(
            jnp.asarray(call.query, dtype), jnp.asarray(scale, dtype), call.mask,
            call.query_seq_lengths, call.key_value_seq_lengths, words_of(call.dropout_rng),
            lax.axis_index(self.axis_name),
        )  # fmt: skip
        return varying_as((held, Travelling(call.key, call.value, key_ids(call.mask))))

    def result(self, found: MergedAttention) -> Any:
        """Returns what the caller gets, with sinks in the denominator."""
        if self.call.sinks is not None:
            sinks = jnp.broadcast_to(self.call.sinks.astype(found.lse.dtype), found.lse.shape)
            found = merge_attention(*found, jnp.zeros_like(found.output), sinks)
        output = found.output.astype(self.call.query.dtype)
        return (output, found.lse) if self.return_residual else output


def words_of(rng: Any) -> Any:
    """Returns the words of a key, an array as others are."""
    if rng is None or is_old_key(rng):
        return rng
    return jax.random.key_data(rng)


def shards_of(
    function: str, query: Any, key: Any, value: Any, axis_name: str, options: Any
) -> Shards:
    """Returns the checked call; a complaint begins with the name of the function."""
    with named(function):
        check_names(options, Options.__annotations__)
        devices = _devices_along(axis_name)
        return_residual = options.pop("return_residual", False)
        check_options({"return_residual": bool}, {"return_residual": return_residual})
        given = Call(query, key, value, **options)
        no_lengths = dict.fromkeys(("query_seq_lengths", "key_value_seq_lengths"))
        call = check(given._replace(mask=None, **no_lengths))
        (t, *_), (s, *_) = call.query.shape[-3:], call.key.shape[-3:]
        if s != t:
            expected = f"shards of the same length t={t} (from query)"
            raise ValueError(f"key has shape {call.key.shape}, expected {expected}")
        whole: dict[str, Any] = {x: getattr(given, x) for x in no_lengths}
        whole |= {x: _of_all(getattr(call, x), devices) for x in ("query", "key", "value")}
        checked = check(Call(**whole), shapes_alone=True)
        parts = [] if given.mask is None else [given.mask]
        for mask in parts:
            check_mask(mask, t, devices * t, call.lead)
        parts += [causal()] if call.is_causal else []
        sides = call.local_window_size
        parts += [] if sides is None else [window(*sides)]
    mask = reduce(lambda left, right: left & right, parts) if parts else None
    call = call._replace(mask=mask, is_causal=False, local_window_size=None)
    call = call._replace(**{x: getattr(checked, x) for x in no_lengths})
    return Shards(call, axis_name, devices, return_residual)


def _devices_along(axis_name: Any) -> int:
    mesh = jax.sharding.get_abstract_mesh()
    axes = tuple(x for x in mesh.axis_names if x in mesh.manual_axes)
    if axis_name not in axes:
        expected = f"one of the mesh's axes {axes}" if axes else "a call inside jax.shard_map"
        raise ValueError(f"axis_name is {axis_name!r}, expected {expected}")
    return mesh.shape[axis_name]


def _of_all(shard: Any, devices: int) -> jax.ShapeDtypeStruct:
    *lead, t, heads, size = shard.shape
    return jax.ShapeDtypeStruct((*lead, devices * t, heads, size), shard.dtype)


def attend(
    settings: Settings, pair: Pair, held: Held, travelling: Travelling
) -> MergedAttention | None:
    """Attends from a chunk of queries to one of keys; None if the mask hides all keys."""
    mask = held.mask
    if mask is not None:
        ids = iter(travelling.ids)
        mask = visible(with_ids(mask, lambda own: own, lambda _: next(ids)), pair)
    if mask is False:
        return None
    call = Call(
        held.query,
        travelling.key,
        travelling.value,
        mask=None if mask is True else mask,
        scale=held.scale,
        query_seq_lengths=_remaining(held.query_seq_lengths, pair.query, pair.t),
        key_value_seq_lengths=_remaining(held.key_value_seq_lengths, pair.key, pair.s),
        dropout_rng=held.rng,
        origin=Origin(None, pair.query, pair.key),
        **settings._asdict(),
    )
    return MergedAttention(*attend_all(*planned(call))[:2])


def nothing(query: Float[Array, "*b t h k"], value: Float[Array, "*b s g v"]) -> MergedAttention:
    """Returns the attention of queries without keys."""
    shape = (*query.shape[:-1], value.shape[-1])
    lse = jnp.full(shape[:-1], -jnp.inf, query.dtype)
    return varying_as(MergedAttention(jnp.zeros(shape, query.dtype), lse), query)


def _remaining(lengths: Any, first: Any, size: int) -> Any:
    """Returns lengths counted from a position on."""
    if lengths is None:
        return None
    as_integer: Callable[[Any], Array] = lambda x: jnp.asarray(x).astype(int)
    return jnp.clip(as_integer(lengths) - as_integer(first), 0, size)
