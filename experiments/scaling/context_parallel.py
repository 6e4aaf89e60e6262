"""A language model on one long sequence, of which each device holds a part."""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax

from experiments.scaling import language_model
from experiments.scaling.collectives import traffic
from experiments.scaling.config import Config
from experiments.scaling.devices import AXIS, PARTS, WHOLE, flat, make_mesh, put, shortest
from experiments.scaling.schemes import SCHEMES, Scheme
from jattn import engine, training

ONE_DEVICE = "one device"
Kinds = dict[str, Scheme | None]  # None is one device.


def kinds() -> Kinds:
    """Returns what this number of devices runs, by name."""
    return dict(SCHEMES) if jax.device_count() > 1 else {ONE_DEVICE: None}


def compare(config: Config, scheme: Scheme | None, folder: Path) -> dict[str, Any]:
    """Trains in float64; returns losses, the first gradient, and trained parameters."""
    params = language_model.init_model(config, np.float64)
    loss, params, batch_of = prepared(scheme, params, config.compared, config)
    rng = jax.random.key(config.seed)
    log = folder / f"context-parallel-{jax.process_index()}.jsonl"
    fitted = training.fit(
        loss,
        optax.adam(1e-3),
        params,
        batch_of,
        steps=config.steps,
        rng=rng,
        log=log,
        log_every=1,
        progress=False,
    )
    gradient = jax.jit(jax.grad(loss, has_aux=True))(params, batch_of(0), rng)[0]
    return {
        "losses": [json.loads(line)["loss"] for line in log.read_text().splitlines()],
        "gradient": flat(gradient),
        "trained": flat(fitted.state.params),
    }


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
    return timed(function, arrays, config.repeats)


def time_step(config: Config, scheme: Scheme | None, tokens: int) -> dict[str, Any]:
    """Returns seconds and traffic of the model's loss and gradient, in float32."""
    params = language_model.init_model(config, np.float32)
    loss, params, batch_of = prepared(scheme, params, tokens, config)
    function = jax.value_and_grad(lambda params, batch: loss(params, batch, None)[0])
    weights = {"parameter_bytes": sum(leaf.nbytes for leaf in jax.tree.leaves(params))}
    return weights | timed(function, (params, batch_of(0)), config.repeats)


def timed(function: Any, arrays: Any, repeats: int) -> dict[str, Any]:
    compiled = jax.jit(function).lower(*arrays).compile()
    return {
        "seconds": shortest(lambda: compiled(*arrays), repeats),
        "sent": traffic(compiled.as_text() or "", jax.device_count()),
    }
