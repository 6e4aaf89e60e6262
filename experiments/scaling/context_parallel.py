"""A language model on one long sequence, of which each device holds a part."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax

from experiments.scaling import language_model
from experiments.scaling.collectives import traffic
from experiments.scaling.config import Config
from experiments.scaling.devices import AXIS, PARTS, WHOLE, make_mesh, put, shortest, train
from experiments.scaling.schemes import SCHEMES, Scheme
from jattn import engine

ONE_DEVICE = "one device"


def kinds(config: Config, devices: int) -> dict[str, Scheme | None]:
    """Returns the schemes that a number of devices runs, by name; None is one device alone."""
    return {name: SCHEMES[name] for name in config.schemes} if devices > 1 else {ONE_DEVICE: None}


def train_model(config: Config, scheme: Scheme | None) -> dict[str, Any]:
    """Returns the results of `train` in float64."""
    params = language_model.init_model(config, np.float64)
    loss, params, batch_of = prepared(scheme, params, config.length, config)
    return train(loss, optax.adam(1e-3), params, batch_of, config)


def prepared(
    scheme: Scheme | None, params: Any, tokens: int, config: Config
) -> tuple[Any, Any, Callable[[int], Any]]:
    """Returns the loss, the parameters on their devices, and the batch of each step."""
    batch_of = functools.partial(language_model.draw_tokens, config, tokens)
    if scheme is None:
        return language_model.whole_loss, params, batch_of
    mesh = make_mesh()

    def sharded_batch(step: int) -> Any:
        ordered = {name: scheme.order(x, mesh.size) for name, x in batch_of(step).items()}
        return put(ordered, mesh, PARTS)

    return language_model.loss_on(mesh, scheme), put(params, mesh, WHOLE), sharded_batch


def time_attention(config: Config, scheme: Scheme | None, tokens: int) -> dict[str, Any]:
    """Returns seconds and traffic of causal attention and its gradient, in float32."""
    rng = np.random.default_rng(config.seed)
    draw = lambda heads: rng.standard_normal((tokens, heads, config.head_size), np.float32)
    g = config.key_value_heads
    arrays = draw(config.heads), draw(g), draw(g), draw(config.heads)

    def both_ways(attend: Any) -> Any:
        def run(query: Any, key: Any, value: Any, cotangent: Any) -> Any:
            outputs, pullback = jax.vjp(attend, query, key, value)
            return outputs, *pullback(cotangent)

        return run

    if scheme is None:
        function = both_ways(lambda *arrays: engine.attend(*arrays, is_causal=True)[0])
    else:
        mesh = make_mesh()
        arrays = put(tuple(scheme.order(x, mesh.size) for x in arrays), mesh, PARTS)
        attend = functools.partial(scheme.attend, axis_name=AXIS, is_causal=True)
        function = jax.shard_map(both_ways(attend), mesh=mesh, in_specs=PARTS, out_specs=PARTS)
    compiled = jax.jit(function).lower(*arrays).compile()
    return {
        "seconds": shortest(lambda: compiled(*arrays), config.repeats),
        "sent": traffic(compiled.as_text() or "", jax.device_count()),
    }
