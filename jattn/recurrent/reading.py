"""Attention in a decoder: a mechanism bound once to the memory that its queries read."""

import inspect
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jattn._axes import named_axes
from jattn._options import check_options, named
from jattn._precision import at_least_float32
from jattn._sharding import check_whole
from jattn.attention.additive import AdditiveParams, additive_attention
from jattn.attention.attend import Attended, MaskLike, attend, readable
from jattn.attention.concat import ConcatParams, concat_attention
from jattn.attention.local import local_monotonic_attention, local_predictive_attention
from jattn.attention.location_based import location_based_attention
from jattn.masks import Mask, dense, lengths
from jattn.normalizers import Normalizer, softmax
from jattn.recurrent.padding import zero_padding

# Keyword arguments that hold the position of the first query.
POSITIONS = ("offset", "query_offset", "position", "query_position")


class Memory(NamedTuple):
    """An encoder's result: a value for each position, a summary of all, and the valid positions.

    The first `length` positions are valid, or those where `valid` is True, or all of them.
    """

    values: Float[Array, "s v"]
    summary: Float[Array, " m"]
    length: int | Int[Array, ""] | None = None
    valid: Bool[Array, " s"] | None = None

    @property
    def mask(self) -> MaskLike:
        """The mask that hides positions that are not valid; None where all are."""
        if self.valid is not None:
            return Mask(_key_is_valid, (self.valid,), (None, self.values.shape[0]))
        return None if self.length is None else lengths(self.length)


def _key_is_valid(_queries, keys, valid):
    return jnp.asarray(valid)[keys]


Position = int | Int[Array, ""]
Reader = Callable[[Float[Array, "t q"], Position], Attended]
Attention = Callable[[Any, Memory], Reader]


def read_by(
    mechanism: Callable[..., Any], *, positions: Iterable[str] = (), **options: Any
) -> Attention:
    """Adapts an attention mechanism for use in a decoder, as its `attention`.

    The result is called as `attention(params, memory)`, once for each memory. It returns
    `read(query [t q], position) -> Attended`, where `position` is the position of the first query.
    A decoder also accepts a function of your own with this form.

    Keys and values are both `memory.values`. The projected keys of additive and concat attention
    are computed once. `params` are the mechanism's parameters, None where it has none. For local
    attention whose `attention` option has parameters, `params` are the parameters of that option
    for local-m, and the pair of both for local-p.

    Decoding step by step gives the values of a whole pass. Therefore `position` reaches every
    argument of the mechanism, and of its `attention` option, that is called `offset`,
    `query_offset`, `position` or `query_position`. It is added to the number that `options` or the
    argument's default gives. Rows of a `mask` or a `bias` are chosen by it too.

    Args:
        mechanism: a function of query, keys, values and perhaps parameters before them, with
            `mask=` or `length=` as keyword arguments.
        positions: names of further arguments of the mechanism that are the position of the first
            query.
        options: further keyword arguments of the mechanism, as in
            `read_by(local_monotonic_attention, half_width=2)`. A `mask` [t s] is combined with the
            mask of the memory. In a `mask` or a `bias` given as an array, row i belongs to the
            query at position i. Queries past its rows read nothing, or give NaN.

    Raises:
        ValueError: if `mechanism` is not a function, an option is not an argument of it, or
            `length` is among the options. The result raises ValueError if its `memory` is not a
            Memory, or has padding that the mechanism has no argument for.
    """
    with named("read_by"):
        check_options({"mechanism": Callable[..., Any]}, {"mechanism": mechanism})
    while isinstance(mechanism, partial) and not mechanism.args:
        mechanism, options = mechanism.func, {**mechanism.keywords, **options}
    accepted, takes_any = _accepted(mechanism)
    name = getattr(mechanism, "__name__", type(mechanism).__name__)
    positions = (positions,) if isinstance(positions, str) else tuple(positions)
    for option in (*options, *positions):
        if option not in accepted and not takes_any:
            raise ValueError(f"read_by: {option} is an option, expected an argument of {name}")
    if "length" in options:
        raise ValueError("read_by: length is an option, expected in the Memory")
    return partial(_bind, mechanism, options, positions)


def _accepted(mechanism: Callable[..., Any]) -> tuple[dict[str, inspect.Parameter], bool]:
    """Returns the parameters of a function by name, and whether it accepts any keyword."""
    try:
        parameters = dict(inspect.signature(mechanism).parameters)
    except (TypeError, ValueError):  # Some built-in functions have no signature.
        return {}, True
    return parameters, any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def _bind(mechanism, options, positions, params, memory) -> Reader:
    if not isinstance(memory, Memory):
        raise ValueError(f"read_by: memory is a {type(memory).__name__}, expected a Memory")
    check_whole("read_by: memory.values", memory.values, 0, "s")
    options = dict(options)
    if mechanism is local_monotonic_attention and params is not None:
        options["attention"] = _with_params(options, params)
        params = None
    elif mechanism is local_predictive_attention and type(params) is tuple:
        params, inner_params = params
        options["attention"] = _with_params(options, inner_params)
    # A mask or a bias may hide keys whose projection would still reach the weight's gradient.
    prepare = _PREPARED.get(mechanism)
    if prepare and options.get("mask") is None and options.get("bias") is None:
        return prepare(params, memory, options.get("normalizer", softmax))

    values = (memory.values,) * (1 if mechanism is location_based_attention else 2)
    leading = () if params is None else (params,)
    at = _options_at(mechanism, options, positions, memory)

    def read(query, position):
        return mechanism(*leading, query, *values, **at(position, query.shape[0]))

    return read


def _with_params(options, params):
    if "attention" not in options:
        raise ValueError("read_by: params are given, expected None without an attention option")
    return partial(options["attention"], params)


def _options_at(mechanism, options, positions, memory):
    """Returns a function from the first query's position and the number of queries to keywords."""
    accepted, takes_any = _accepted(mechanism)
    hides = "mask" in accepted or takes_any
    if not hides and "length" not in accepted and memory.mask is not None:
        name = getattr(mechanism, "__name__", type(mechanism).__name__)
        raise ValueError(f"read_by: {name} has no argument mask or length, expected one of them")
    if "length" in accepted and not hides and memory.valid is not None:
        raise ValueError("read_by: memory has valid positions, expected length or a mask argument")

    def at(position, t):
        moved = {**options, **_moved(mechanism, options, position, positions)}
        if hides:
            moved["mask"] = _mask_at(options.get("mask"), memory, position, t)
        if options.get("bias") is not None:
            moved["bias"] = _bias_at(options["bias"], position, t)
        if "length" in accepted:
            moved["length"] = memory.length
        if callable(options.get("attention")):
            attention = options["attention"]
            moved["attention"] = partial(attention, **_moved(attention, {}, position))
        return moved

    return at


def _moved(function, options, position, positions=()):
    """Returns the positions of the first query among the arguments, moved to `position`."""
    accepted, _ = _accepted(function)
    moved = {}
    for name in (*(name for name in POSITIONS if name in accepted), *positions):
        default = accepted[name].default if name in accepted else 0
        default = 0 if default in (inspect.Parameter.empty, None) else default
        moved[name] = position + options.get(name, default)
    return moved


def _mask_at(mask, memory, position, t):
    """Returns the rows of `mask` for `t` queries from `position` on, without hidden keys."""
    if mask is None:
        return memory.mask
    s, most = memory.values.shape[0], jnp.iinfo(jnp.int32).max
    with named("read_by"):
        mask = mask if isinstance(mask, Mask) else dense(mask)
        rows = most if mask.sizes[0] is None else mask.sizes[0]
        mask.check(rows, s)
    queries, keys = _places(position, t)[:, None], jnp.arange(s, dtype=jnp.int32)[None]
    with jax.numpy_rank_promotion("allow"):
        allowed = mask.at(jnp.minimum(queries, rows - 1), keys) & (queries < rows)
        if memory.mask is not None:
            allowed = allowed & memory.mask.at(queries, keys)
    return jnp.broadcast_to(allowed, (t, s))


def _bias_at(bias, position, t):
    """Returns the rows of `bias` for `t` queries from `position` on; NaN past its last row."""
    if not hasattr(bias, "dtype") or jnp.ndim(bias) < 2:
        raise ValueError(f"read_by: bias is a {type(bias).__name__}, expected an array (t, s)")
    return jnp.take(bias, _places(position, t), axis=-2, mode="fill", fill_value=jnp.nan)


def _places(position, t):
    return jnp.asarray(position, jnp.int32) + jnp.arange(t, dtype=jnp.int32)


def _by_addition(params: AdditiveParams, memory: Memory, normalizer: Normalizer) -> Reader:
    # The weight's gradient reads all values, padding included.
    values = zero_padding(memory.values, memory.length, memory.valid)[0]
    key_part = project_memory(params, values)
    return lambda query, _position: _read_projected(
        params, query, key_part, values, mask=memory.mask, normalizer=normalizer
    )


def _by_concatenation(params: ConcatParams, memory: Memory, normalizer: Normalizer) -> Reader:
    weight, score_weight = params
    query_weight, key_weight = jnp.split(weight, [weight.shape[1] - memory.values.shape[1]], axis=1)
    return _by_addition(AdditiveParams(query_weight, key_weight, score_weight), memory, normalizer)


@named_axes
@at_least_float32
def project_memory(params: AdditiveParams, values: Float[Array, "s k"]) -> Float[Array, "s p"]:
    """Returns the keys' part of the hidden layer, which is the same for all queries."""
    return jnp.einsum("pk,sk->sp", params.key_weight, values)


@at_least_float32
def _read_projected(
    params: AdditiveParams,
    query: Float[Array, "t q"],
    key_part: Float[Array, "s p"],
    value: Float[Array, "s v"],
    *,
    mask: MaskLike,
    normalizer: Normalizer,
) -> Attended:
    """Computes `additive_attention` from the keys' part of the hidden layer."""
    query, key_part, value, _, allowed = readable(query, key_part, value, mask, None)
    query_part = jnp.einsum("pq,tq->tp", params.query_weight, query)
    if params.bias is not None:
        query_part = query_part + params.bias[None]
    hidden = jnp.tanh(query_part[:, None] + key_part[None])
    scores = jnp.einsum("p,tsp->ts", params.score_weight, hidden)
    return attend(scores, value, allowed, None, normalizer)


_PREPARED: dict[Callable[..., Any], Callable[..., Reader]] = {
    additive_attention: _by_addition,
    concat_attention: _by_concatenation,
}

by_addition: Attention = read_by(additive_attention)
