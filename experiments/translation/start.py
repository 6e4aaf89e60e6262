"""Weights of one run as the start of another."""

import jax
import jax.numpy as jnp

from experiments.seq2seq import Params
from experiments.translation.config import Config


def begun(drawn: Params, config: Config, trained: Params, before: Config) -> Params:
    """Returns the trained weights in the form that the model of `config` takes.

    General attention can become local-monotonic, which has the same parameters, and
    local-predictive, whose network for the centre stays as `drawn`. Every other mechanism must be
    the same in both runs.

    Raises:
        ValueError: the models differ in more than that.
    """
    if (before.attention, config.attention) == ("general", "local-predictive"):
        centre, _ = drawn.decoder.attention
        attention = (centre, trained.decoder.attention)
        trained = trained._replace(decoder=trained.decoder._replace(attention=attention))
    elif before.attention != config.attention and (before.attention, config.attention) not in {
        ("general", "local-monotonic"),
        ("local-monotonic", "general"),
    }:
        raise ValueError(
            f"weights of {before.attention} attention cannot become {config.attention}"
        )
    if jax.tree.map(jnp.shape, trained) != jax.tree.map(jnp.shape, drawn):
        raise ValueError("the weights to start from have other sizes than this configuration")
    return trained
