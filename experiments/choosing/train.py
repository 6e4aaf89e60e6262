"""A mechanism trained on a task from several seeds, and how often it is right."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.choosing import model
from experiments.choosing.config import Config
from experiments.choosing.examples import VALID, Data, Examples
from experiments.schedule import warmup_cosine
from jattn import training

# Most of these programs run for seconds: compiling them may not take longer.
QUICKLY = {"xla_backend_optimization_level": 1}
ONCE = {"xla_backend_optimization_level": 0}

Write = Callable[[Mapping[str, Any]], None]


class Trainer:
    """The programs that train and test one mechanism, each compiled once for all tasks."""

    def __init__(self, mechanism: str, config: Config):
        optimize = optimizer(config)

        def loss(params, examples, rng):
            return model.loss(params, examples, mechanism, config), {}

        def start(seeds):
            def draw(seed):
                rng = jax.random.key(seed)
                params = model.init(rng, mechanism, config)
                return training.init_train_state(params, optimize, rng)

            return jax.vmap(draw)(seeds)

        self.step = training.make_train_step(loss, optimize, donates=False)

        # A seed after the other in one program: no slower than all at once.
        def train(states, batches):
            return jax.lax.map(lambda one: jax.lax.scan(self.step, *one), (states, batches))

        def right(params, examples):
            one = lambda here: model.right(here[0], here[1], mechanism, config)
            return jax.lax.map(one, (params, examples))

        self.start = jax.jit(start, compiler_options=ONCE)
        self.train = jax.jit(train, compiler_options=QUICKLY)
        self.right = jax.jit(right, compiler_options=QUICKLY)
        self.seeds = jnp.arange(config.seed, config.seed + config.seeds, dtype=jnp.uint32)

    def tested(self, states: training.TrainState, examples: Examples) -> model.Share:
        """Shares of each seed, computed a slice at a time so that one program serves all."""
        count = examples.source.shape[1]
        sliced = lambda at: jax.tree.map(lambda array: array[:, at : at + VALID], examples)
        parts = [self.right(states.params, sliced(at)) for at in range(0, count, VALID)]
        sizes = [min(VALID, count - at) for at in range(0, count, VALID)]
        mean = partial(np.average, axis=0, weights=sizes)
        return jax.tree.map(lambda *shares: mean(np.stack(shares)), *parts)

    def cell(self, data: Data, write: Write) -> dict[str, Any]:
        """Trains and tests; `sequences` and `tokens` are shares that are right, of each seed."""
        began, steps = time.perf_counter(), 0
        states = self.start(self.seeds)
        for batches in data.batches:
            states, metrics = self.train(states, batches)
            steps += batches.source.shape[1]
            valid = self.tested(states, data.valid).sequences
            write({"step": steps, "loss": listed(metrics["loss"][:, -1]), "valid": listed(valid)})
        shares = {times: self.tested(states, one) for times, one in data.tests.items()}
        return {
            "sequences": {times: listed(share.sequences) for times, share in shares.items()},
            "tokens": {times: listed(share.tokens) for times, share in shares.items()},
            "seconds": round(time.perf_counter() - began, 1),
        }


def optimizer(config: Config) -> optax.GradientTransformation:
    schedule = warmup_cosine(config.learning_rate, config.warmup, config.steps)
    adam = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(schedule, b2=0.98))
    return optax.flatten(adam)  # One vector instead of many small arrays: compiled sooner.


def listed(shares: Any) -> list[float]:
    return [round(float(share), 4) for share in shares]
