"""The mechanisms that `--attention` offers, and none at all."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import Array, Key

import jattn
from experiments.no_attention import read_nothing
from experiments.pronunciation.config import Config

Attention = Callable[[Any, jattn.Memory], Callable[..., jattn.Attended]]


class Choice(NamedTuple):
    """A mechanism as the decoder takes it, and what draws its weights."""

    attention: Attention
    init: Callable[[Key[Array, ""], Config], Any] = lambda rng, config: None


LONGEST_WORD = 34
ATTENTIONS: dict[str, Choice] = {
    "none": Choice(read_nothing),
    "dot": Choice(jattn.read_by(jattn.dot_attention)),
    "scaled-dot-product": Choice(jattn.read_by(jattn.scaled_dot_product_attention)),
    "general": Choice(
        jattn.read_by(jattn.general_attention),
        lambda rng, c: jattn.init_general(rng, query_size=c.decoder_units, key_size=2 * c.units),
    ),
    "concat": Choice(
        jattn.read_by(jattn.concat_attention),
        lambda rng, c: jattn.init_concat(
            rng, query_size=c.decoder_units, key_size=2 * c.units, units=c.score_units
        ),
    ),
    "additive": Choice(
        jattn.read_by(jattn.additive_attention),
        lambda rng, c: jattn.init_additive(
            rng, query_size=c.decoder_units, key_size=2 * c.units, units=c.score_units, bias=True
        ),
    ),
    "location-based": Choice(
        jattn.read_by(jattn.location_based_attention),
        lambda rng, c: jattn.init_location_based(
            rng, query_size=c.decoder_units, positions=LONGEST_WORD
        ),
    ),
    "local-monotonic": Choice(
        jattn.read_by(
            jattn.local_monotonic_attention, half_width=3, attention=jattn.general_attention
        ),
        lambda rng, c: jattn.init_general(rng, query_size=c.decoder_units, key_size=2 * c.units),
    ),
    "local-predictive": Choice(
        jattn.read_by(
            jattn.local_predictive_attention, half_width=3, attention=jattn.general_attention
        ),
        lambda rng, c: (
            jattn.init_local_predictive(rng, query_size=c.decoder_units, units=c.score_units),
            jattn.init_general(rng, query_size=c.decoder_units, key_size=2 * c.units),
        ),
    ),
    "multi-head": Choice(
        jattn.read_by(jattn.multi_head_attention),
        lambda rng, c: jattn.init_multi_head(
            rng,
            heads=4,
            query_size=c.decoder_units,
            key_size=2 * c.units,
            head_size=c.units // 4,
            output_size=2 * c.units,
        ),
    ),
}
