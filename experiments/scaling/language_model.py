"""A Llama-like model of one sequence, whole or sharded over devices."""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jattn
from experiments.llama.models import LAYERS, Sizes, init
from experiments.scaling.config import Config
from experiments.scaling.devices import AXIS, PARTS, WHOLE, varying
from experiments.scaling.schemes import Scheme
from jattn import engine, training

OPTIONS = {name: option for name, option in LAYERS.items() if name != "turn"}


def init_model(config: Config, dtype: Any) -> Any:
    """Returns the parameters of the model."""
    sizes = Sizes(
        layers=config.layers,
        size=config.size,
        heads=config.heads,
        key_value_heads=config.key_value_heads,
        hidden_size=2 * config.size,
        words=config.words,
    )
    return jax.jit(lambda: jax.tree.map(lambda leaf: leaf.astype(dtype), init(sizes)))()


def draw_tokens(config: Config, tokens: int, step: int) -> dict[str, np.ndarray]:
    """Returns a sequence whose second half repeats the first, with the words to predict."""
    rng = np.random.default_rng([config.seed, step])
    words = np.tile(rng.integers(config.words, size=tokens // 2 + 1), 2)[: tokens + 1]
    places = np.arange(tokens)
    return {"words": words[:-1], "wanted": words[1:], "places": places}


def loss(params: Any, batch: Mapping[str, Any], attend: Any) -> jax.Array:
    """Returns the mean cross entropy of the tokens of this device.

    Args:
        batch: `words`, `wanted` and `places`, [t] each: tokens in any order with their positions.
        attend: attends causally with the queries of this device, for all heads.
    """
    at = lambda head, rows: jattn.half_split_rotary(head, jnp.asarray(batch["places"])[rows])
    rows = jattn.embedding(params["table"], batch["words"])
    rows = jattn.transformer_encoder(params["stack"], rows, turn=at, attend=attend, **OPTIONS)
    logits = jattn.affine(params["readout"], rows.outputs)
    every = jnp.ones(len(batch["wanted"]), bool)
    return training.token_cross_entropy(logits, batch["wanted"], every)


def whole_loss(params: Any, batch: Mapping[str, Any], _rng: Any) -> Any:
    """Returns the loss on one device, by the engine alone."""
    return loss(params, batch, functools.partial(engine.attend, is_causal=True)), {}


def loss_on(mesh: jax.sharding.Mesh, scheme: Scheme) -> Any:
    """Returns the loss of a sequence that is sharded over the mesh."""

    def attend(query: Any, key: Any, value: Any) -> Any:
        return scheme.attend(query, key, value, axis_name=AXIS, is_causal=True), None

    def of_part(params: Any, batch: Any) -> Any:
        return jax.lax.pmean(loss(varying(params), batch, attend), AXIS)

    mapped = jax.shard_map(of_part, mesh=mesh, in_specs=(WHOLE, PARTS), out_specs=WHOLE)
    return lambda params, batch, _rng: (mapped(params, batch), {})
