"""How a decoder reads what the encoder left: any attention mechanism, bound to a memory once."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jattn._axes import named_axes
from jattn._precision import at_least_float32
from jattn.attention.additive import AdditiveParams, additive_attention
from jattn.attention.attend import Attended, MaskLike, attend, readable
from jattn.attention.concat import ConcatParams, concat_attention
from jattn.attention.local import local_monotonic_attention, local_predictive_attention
from jattn.attention.location_based import location_based_attention
from jattn.masks import lengths
from jattn.normalizers import Normalizer, softmax
from jattn.recurrent.unroll import zero_padding


class Memory(NamedTuple):
    """What an encoder leaves: a value for each position, a summary of all, how many are valid."""

    values: Float[Array, "s v"]
    summary: Float[Array, " m"]
    length: int | Int[Array, ""] | None = None

    @property
    def mask(self) -> MaskLike:
        return None if self.length is None else lengths(self.length)


Position = int | Int[Array, ""]
Reader = Callable[[Float[Array, "t q"], Position], Attended]
Attention = Callable[[Any, Memory], Reader]


def read_by(mechanism: Callable[..., Any], **options: Any) -> Attention:
    """Makes of an attention mechanism what a decoder takes as its `attention`.

    The result, called as `attention(params, memory)`, does once what does not depend on the query
    and returns `read(query [t q], position) -> Attended`, where `position` is that of the first
    query. A function of your own with this form serves as well.

    Keys and values are both `memory.values`. Further keyword arguments go to the mechanism, as in
    `read_by(local_monotonic_attention, half_width=2)`. `params` are those of the mechanism, None
    where it has none. For local attention whose `attention` option has parameters, they are those
    of that option for local-m, and the pair of both for local-p. The projected keys of additive
    and concat attention are computed once.
    """
    prepare = _PREPARED.get(mechanism, _by_query_key_and_value)
    return partial(prepare, partial(mechanism, **options))


def _by_query_key_and_value(mechanism, params, memory):
    bound = mechanism if params is None else partial(mechanism, params)
    return lambda query, _position: bound(query, memory.values, memory.values, mask=memory.mask)


def _by_location(mechanism, params, memory):
    return lambda query, _position: mechanism(params, query, memory.values, mask=memory.mask)


def _by_position(mechanism, params, memory):
    if params is not None:
        inner = partial(mechanism.keywords["attention"], params)
        mechanism = partial(mechanism, attention=inner)
    values = memory.values
    return lambda query, position: mechanism(
        query, values, values, offset=position, mask=memory.mask
    )


def _by_prediction(mechanism, params, memory):
    if type(params) is tuple:
        params, inner = params
        inner = partial(mechanism.keywords["attention"], inner)
        mechanism = partial(mechanism, attention=inner)
    values = memory.values
    return lambda query, _position: mechanism(params, query, values, values, length=memory.length)


def _by_addition(mechanism, params: AdditiveParams, memory):
    # The weight's gradient reads all of them, also those that nothing attends to.
    values, _ = zero_padding(memory.values, memory.length)
    key_part = project_memory(params, values)
    return lambda query, _position: _read_projected(
        params, query, key_part, values, mask=memory.mask, **mechanism.keywords
    )


def _by_concatenation(mechanism, params: ConcatParams, memory):
    weight, score_weight = params
    query_weight, key_weight = jnp.split(weight, [weight.shape[1] - memory.values.shape[1]], axis=1)
    return _by_addition(mechanism, AdditiveParams(query_weight, key_weight, score_weight), memory)


@named_axes
@at_least_float32
def project_memory(params: AdditiveParams, values: Float[Array, "s k"]) -> Float[Array, "s p"]:
    """The keys' part of the hidden layer, the same for all queries."""
    return jnp.einsum("pk,sk->sp", params.key_weight, values)


@at_least_float32
def _read_projected(
    params: AdditiveParams,
    query: Float[Array, "t q"],
    key_part: Float[Array, "s p"],
    value: Float[Array, "s v"],
    *,
    mask: MaskLike,
    normalizer: Normalizer = softmax,
) -> Attended:
    """`additive_attention` from the keys' part of the hidden layer."""
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
    local_monotonic_attention: _by_position,
    local_predictive_attention: _by_prediction,
    location_based_attention: _by_location,
}

by_addition: Attention = read_by(additive_attention)
