"""The mechanisms that `--attention` offers, and none at all."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import Array, Key

import jattn
from experiments.no_attention import read_nothing
from experiments.translation.config import Config

Attention = Callable[[Any, jattn.Memory], Callable[..., jattn.Attended]]


class Choice(NamedTuple):
    """How a mechanism is read by, what draws its weights, and whether the decoder is Bahdanau's."""

    attention: Callable[[Config], Attention]
    init: Callable[[Key[Array, ""], Config], Any] = lambda rng, config: None
    is_before_step: bool = False


def init_general(rng: Key[Array, ""], config: Config) -> jattn.GeneralParams:
    return jattn.init_general(rng, query_size=config.decoder_units, key_size=2 * config.units)


def init_predictive(rng: Key[Array, ""], config: Config) -> Any:
    centre = jattn.init_local_predictive(
        rng, query_size=config.decoder_units, units=config.score_units
    )
    return centre, init_general(rng, config)


def locally(mechanism: Callable[..., Any]) -> Callable[[Config], Attention]:
    """General scores within the window of `mechanism`: the parameters of both are as named."""
    return lambda config: jattn.read_by(
        mechanism, half_width=config.half_width, attention=jattn.general_attention
    )


ATTENTIONS: dict[str, Choice] = {
    "none": Choice(lambda config: read_nothing),
    "additive": Choice(
        lambda config: jattn.read_by(jattn.additive_attention),
        lambda rng, c: jattn.init_additive(
            rng, query_size=c.decoder_units, key_size=2 * c.units, units=c.score_units, bias=True
        ),
        is_before_step=True,
    ),
    "dot": Choice(lambda config: jattn.read_by(jattn.dot_attention)),
    "general": Choice(lambda config: jattn.read_by(jattn.general_attention), init_general),
    "concat": Choice(
        lambda config: jattn.read_by(jattn.concat_attention),
        lambda rng, c: jattn.init_concat(
            rng, query_size=c.decoder_units, key_size=2 * c.units, units=c.score_units
        ),
    ),
    "local-m": Choice(locally(jattn.local_monotonic_attention), init_general),
    "local-p": Choice(locally(jattn.local_predictive_attention), init_predictive),
}
