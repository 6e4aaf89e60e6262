"""The attention mechanisms that experiments offer, by name, as a decoder takes them."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Key

import jattn
from jattn import alignment

Attention = Callable[[Any, jattn.Memory], Callable[..., jattn.Attended]]

# Names in records and commands of earlier versions, and the names that they have now.
RENAMED = {"local-m": "local-monotonic", "local-p": "local-predictive"}


class Sizes(NamedTuple):
    """Sizes that the weights and windows of the mechanisms follow from.

    query, key: features of the decoder's states and of the encoder's.
    score_units: of the hidden layer that scores, or that predicts a centre.
    positions: of the longest source, for location-based attention.
    heads: of multi-head attention, each `query / heads` wide.
    half_width: keys on either side of the centre of local attention.
    local_scores: the attention within a local window, a name in `LOCAL_SCORES`.
    """

    query: int
    key: int
    score_units: int
    positions: int = 0
    heads: int = 4
    half_width: int = 3
    local_scores: str = "general"


class Mechanism(NamedTuple):
    """An attention mechanism for a decoder, and the function that draws its weights."""

    attention: Callable[[Sizes], Attention]
    init: Callable[[Key[Array, ""], Sizes], Any] = lambda rng, sizes: None


def read_nothing(params: None, memory: jattn.Memory) -> Callable[..., jattn.Attended]:
    """Returns a context of zeros at every step: the decoder knows its start state alone."""
    s, v = memory.values.shape
    return lambda query, position: jattn.Attended(
        jnp.zeros((len(query), v), query.dtype), jnp.zeros((len(query), s), query.dtype)
    )


def read_recent(params: None, memory: jattn.Memory, *, left: int) -> Callable[..., jattn.Attended]:
    """Scaled dot products with the source's last `left + 1` positions up to the query's own."""

    def read(query, position):
        recent = jattn.masks.window(left, 0, position)
        mask = recent if memory.length is None else recent & jattn.masks.lengths(memory.length)
        values = memory.values
        return jattn.scaled_dot_product_attention(query, values, values, mask=mask)

    return read


def plain(mechanism: Callable[..., Any], **options: Any) -> Callable[[Sizes], Attention]:
    attention = jattn.read_by(mechanism, **options)
    return lambda sizes: attention


def local(mechanism: Callable[..., Any]) -> Callable[[Sizes], Attention]:
    return lambda sizes: jattn.read_by(
        mechanism,
        half_width=sizes.half_width,
        attention=LOCAL_SCORES[sizes.local_scores].attention,
    )


def in_order(step: Callable[..., Any], start: Callable[..., Any]) -> Callable[[Sizes], Attention]:
    attention = jattn.read_in_order(step, start=start)
    return lambda sizes: attention


def init_general(rng: Key[Array, ""], sizes: Sizes) -> jattn.GeneralParams:
    return jattn.init_general(rng, query_size=sizes.query, key_size=sizes.key)


def init_concat(rng: Key[Array, ""], sizes: Sizes) -> jattn.ConcatParams:
    return jattn.init_concat(
        rng, query_size=sizes.query, key_size=sizes.key, units=sizes.score_units
    )


def init_additive(rng: Key[Array, ""], sizes: Sizes) -> jattn.AdditiveParams:
    return jattn.init_additive(
        rng, query_size=sizes.query, key_size=sizes.key, units=sizes.score_units, bias=True
    )


def init_location_based(rng: Key[Array, ""], sizes: Sizes) -> jattn.LocationBasedParams:
    return jattn.init_location_based(rng, query_size=sizes.query, positions=sizes.positions)


def init_multi_head(rng: Key[Array, ""], sizes: Sizes) -> jattn.MultiHeadParams:
    return jattn.init_multi_head(
        rng,
        heads=sizes.heads,
        query_size=sizes.query,
        key_size=sizes.key,
        head_size=sizes.query // sizes.heads,
        output_size=sizes.key,
    )


def init_aligned(init: Callable[..., Any]) -> Callable[[Key[Array, ""], Sizes], Any]:
    return lambda rng, sizes: init(
        rng, query_size=sizes.query, key_size=sizes.key, units=sizes.score_units
    )


def init_local_monotonic(rng: Key[Array, ""], sizes: Sizes) -> Any:
    return LOCAL_SCORES[sizes.local_scores].init(rng, sizes)


def init_local_predictive(rng: Key[Array, ""], sizes: Sizes) -> Any:
    """Draws the network that predicts the centre, alone where the scores have no weights."""
    centre = jattn.init_local_predictive(rng, query_size=sizes.query, units=sizes.score_units)
    scores = LOCAL_SCORES[sizes.local_scores].init(rng, sizes)
    return centre if scores is None else (centre, scores)


class LocalScores(NamedTuple):
    """Attention for use within a local window, and the function that draws its weights."""

    attention: Callable[..., jattn.Attended]
    init: Callable[[Key[Array, ""], Sizes], Any] = lambda rng, sizes: None


LOCAL_SCORES = {
    "general": LocalScores(jattn.general_attention, init_general),
    "scaled-dot-product": LocalScores(jattn.scaled_dot_product_attention),
}

scaled = jattn.scaled_dot_product_attention
ATTENTIONS: dict[str, Mechanism] = {
    "none": Mechanism(lambda sizes: read_nothing),
    "dot": Mechanism(plain(jattn.dot_attention)),
    "scaled-dot-product": Mechanism(plain(scaled)),
    "general": Mechanism(plain(jattn.general_attention), init_general),
    "additive": Mechanism(plain(jattn.additive_attention), init_additive),
    "concat": Mechanism(plain(jattn.concat_attention), init_concat),
    "multi-head": Mechanism(plain(jattn.multi_head_attention), init_multi_head),
    "sparsemax": Mechanism(plain(scaled, normalizer=jattn.sparsemax)),
    "entmax15": Mechanism(plain(scaled, normalizer=jattn.entmax15)),
    "location-based": Mechanism(plain(jattn.location_based_attention), init_location_based),
    "local-monotonic": Mechanism(local(jattn.local_monotonic_attention), init_local_monotonic),
    "local-predictive": Mechanism(local(jattn.local_predictive_attention), init_local_predictive),
    "location-aware": Mechanism(
        in_order(alignment.location_aware_step, alignment.location_aware_start),
        init_aligned(alignment.init_location_aware),
    ),
    "coverage": Mechanism(
        in_order(alignment.coverage_step, alignment.coverage_start),
        init_aligned(alignment.init_coverage),
    ),
    "monotonic": Mechanism(
        in_order(alignment.monotonic_step, alignment.monotonic_start),
        init_aligned(alignment.init_monotonic),
    ),
    "causal-window": Mechanism(lambda sizes: partial(read_recent, left=2 * sizes.half_width)),
}
