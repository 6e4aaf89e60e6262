"""The mechanisms that are compared, each as a decoder takes it."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from jaxtyping import Array, Key

import jattn
from experiments.choosing.config import Config
from experiments.no_attention import read_nothing

Attention = Callable[[Any, jattn.Memory], Callable[..., jattn.Attended]]


class Mechanism(NamedTuple):
    """How the decoder attends, and what draws the weights for so many source positions."""

    attention: Callable[[Config], Attention]
    init: Callable[[Key[Array, ""], Config, int], Any] = lambda rng, config, positions: None


def read_recent(params: None, memory: jattn.Memory, *, left: int) -> Callable[..., jattn.Attended]:
    """Scaled dot products with the source's last `left + 1` positions up to the query's own."""

    def read(query, position):
        recent = jattn.masks.window(left, 0, position)
        mask = recent if memory.length is None else recent & jattn.masks.lengths(memory.length)
        values = memory.values
        return jattn.scaled_dot_product_attention(query, values, values, mask=mask)

    return read


def plain(mechanism: Callable[..., Any], **options: Any) -> Callable[[Config], Attention]:
    attention = jattn.read_by(mechanism, **options)
    return lambda config: attention


def local(mechanism: Callable[..., Any]) -> Callable[[Config], Attention]:
    """Scores as scaled dot products, so that the window is all that differs from these."""
    return lambda config: jattn.read_by(
        mechanism, half_width=config.half_width, attention=jattn.scaled_dot_product_attention
    )


def general(rng, config, positions):
    return jattn.init_general(rng, query_size=config.units, key_size=config.units)


def concat(rng, config, positions):
    sizes = {"query_size": config.units, "key_size": config.units}
    return jattn.init_concat(rng, **sizes, units=config.score_units)


def additive(rng, config, positions):
    sizes = {"query_size": config.units, "key_size": config.units}
    return jattn.init_additive(rng, **sizes, units=config.score_units, bias=True)


def location_based(rng, config, positions):
    return jattn.init_location_based(rng, query_size=config.units, positions=positions)


def local_predictive(rng, config, positions):
    sizes = {"query_size": config.units, "units": config.score_units}
    return jattn.init_local_predictive(rng, **sizes)


def multi_head(rng, config, positions):
    return jattn.init_multi_head(rng, heads=config.heads, query_size=config.units)


scaled = jattn.scaled_dot_product_attention
MECHANISMS: dict[str, Mechanism] = {
    "none": Mechanism(lambda config: read_nothing),
    "dot": Mechanism(plain(jattn.dot_attention)),
    "scaled-dot-product": Mechanism(plain(scaled)),
    "general": Mechanism(plain(jattn.general_attention), general),
    "additive": Mechanism(plain(jattn.additive_attention), additive),
    "concat": Mechanism(plain(jattn.concat_attention), concat),
    "multi-head": Mechanism(plain(jattn.multi_head_attention), multi_head),
    "sparsemax": Mechanism(plain(scaled, normalizer=jattn.sparsemax)),
    "entmax15": Mechanism(plain(scaled, normalizer=jattn.entmax15)),
    "location-based": Mechanism(plain(jattn.location_based_attention), location_based),
    "local-monotonic": Mechanism(local(jattn.local_monotonic_attention)),
    "local-predictive": Mechanism(local(jattn.local_predictive_attention), local_predictive),
    "causal-window": Mechanism(lambda c: partial(read_recent, left=2 * c.half_width)),
}
