"""The pronunciation model trained on batches of which each device holds a part."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.pronunciation import model
from experiments.pronunciation.config import Config as ModelConfig
from experiments.pronunciation.data import LETTERS, START
from experiments.scaling.collectives import traffic
from experiments.scaling.config import Config
from experiments.scaling.devices import AXIS, PARTS, WHOLE, flat, make_mesh, put, shortest, varying
from experiments.seq2seq import optimizer
from jattn import training

PHONES = 39
LENGTHS = (3, 10)  # Of words, from and below.
MODEL = ModelConfig(embedding_size=16, units=32, decoder_units=32, score_units=16)


def batches_of(config: Config) -> training.BucketedBatches:
    """Returns batches of made-up words of unequal length, a phone for each letter."""
    rng = np.random.default_rng(config.seed)
    lengths = rng.integers(*LENGTHS, size=4 * config.batch_size)
    letters = [rng.integers(len(LETTERS), size=length, dtype=np.int32) for length in lengths]
    phones = [START + 1 + 3 * word % PHONES for word in letters]
    columns = {"letters": letters, "phones": phones}
    return training.bucketed_batches(columns, config.batch_size, buckets=1, seed=config.seed)


def loss_on(mesh: jax.sharding.Mesh) -> Any:
    """Returns the loss of a batch that is sharded over the mesh: the mean over all tokens.

    Devices hold different numbers of tokens, so the mean of one device counts by its tokens.
    """

    def of_part(params: Any, batch: Mapping[str, Any], rng: Any) -> Any:
        mean, metrics = model.loss(varying(params), batch, rng, config=MODEL)
        count = (batch["phones_length"] + 1).sum().astype(mean.dtype)
        share = count / jax.lax.psum(count, AXIS)
        return jax.lax.psum((mean * share, {"accuracy": metrics["accuracy"] * share}), AXIS)

    return jax.shard_map(of_part, mesh=mesh, in_specs=(WHOLE, PARTS, WHOLE), out_specs=WHOLE)


def run(config: Config, folder: Path) -> dict[str, Any]:
    """Trains, and returns losses, gradient, parameters, times and traffic of a step.

    Args:
        folder: where this process writes its log.
    """
    mesh, batches = make_mesh(), batches_of(config)
    params = model.init(jax.random.key(config.seed), MODEL, PHONES)
    rng = jax.random.key(config.seed + 1)
    loss: Any = partial(model.loss, config=MODEL)
    on_mesh = lambda step: batches(step)
    if mesh.size > 1:
        loss = loss_on(mesh)
        params = put(params, mesh, WHOLE)
        on_mesh = lambda step: put(batches(step), mesh, PARTS)
    log = folder / f"data-parallel-{jax.process_index()}.jsonl"
    fitted = training.fit(
        loss,
        optimizer(MODEL),
        params,
        on_mesh,
        steps=config.steps,
        rng=rng,
        log=log,
        log_every=1,
        progress=False,
    )
    batch = on_mesh(0)
    step = jax.jit(jax.value_and_grad(loss, has_aux=True)).lower(params, batch, rng).compile()
    call = partial(step, params, batch, rng)
    return {
        "losses": [json.loads(line)["loss"] for line in log.read_text().splitlines()],
        "gradient": flat(call()[1]),
        "trained": flat(fitted.state.params),
        "seconds": shortest(call, config.repeats),
        "sent": traffic(step.as_text() or "", mesh.size),
        "parameter_bytes": sum(leaf.nbytes for leaf in jax.tree.leaves(params)),
    }
