"""The pronunciation model trained on batches of which each device holds a part."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import numpy as np

from experiments.pronunciation import model
from experiments.pronunciation.config import Config as ModelConfig
from experiments.pronunciation.data import LETTERS, START
from experiments.scaling.config import Config
from experiments.scaling.devices import AXIS, PARTS, WHOLE, make_mesh, put, train, varying
from experiments.seq2seq import optimizer
from jattn import training

PHONES = 39
LENGTHS = (3, 8)  # Of words, from and below.
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


def run(config: Config) -> dict[str, Any]:
    """Returns the results of `train`."""
    mesh, batches = make_mesh(), batches_of(config)
    init = jax.jit(model.init, static_argnums=(1, 2))
    params = init(jax.random.key(config.seed), MODEL, PHONES)
    if mesh.size == 1:
        return train(partial(model.loss, config=MODEL), optimizer(MODEL), params, batches, config)
    return train(
        loss_on(mesh),
        optimizer(MODEL),
        put(params, mesh, WHOLE),
        lambda step: put(batches(step), mesh, PARTS),
        config,
    )
