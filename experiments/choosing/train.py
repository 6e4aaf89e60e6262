"""Training of a mechanism on a task from several seeds, and its shares of right answers."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments import seq2seq
from experiments.choosing import model
from experiments.choosing.config import Config
from experiments.choosing.examples import VALID, Data, Examples
from jattn import training

# Most of these programs run for seconds: compiling them may not take longer.
QUICKLY = {"xla_backend_optimization_level": 1}
ONCE = {"xla_backend_optimization_level": 0}

Write = Callable[[Mapping[str, Any]], None]


class Trainer:
    """The programs that train and test one mechanism, each compiled once for all tasks."""

    def __init__(self, mechanism: str, config: Config):
        # One vector instead of many small arrays: compiled sooner.
        optimize = optax.flatten(seq2seq.optimizer(config))

        def loss(params, examples, rng):
            return model.loss(params, examples, mechanism, config), {}

        def start(seeds):
            def draw(seed):
                rng = jax.random.key(seed)
                params = model.init(rng, mechanism, config)
                return training.init_train_state(params, optimize, rng)

            return jax.vmap(draw)(seeds)

        self.step = training.make_train_step(loss, optimize, donates=False)

        # One seed after the other in one program: no slower than all at once.
        def train(states, batches):
            return jax.lax.map(lambda seed: jax.lax.scan(self.step, *seed), (states, batches))

        def right(params, examples):
            of_seed = lambda seed: model.right(seed[0], seed[1], mechanism, config)
            return jax.lax.map(of_seed, (params, examples))

        self.start = jax.jit(start, compiler_options=ONCE)
        self.train = jax.jit(train, compiler_options=QUICKLY)
        self.right = jax.jit(right, compiler_options=QUICKLY)
        self.seeds = jnp.arange(config.seed, config.seed + config.seeds, dtype=jnp.uint32)

    def tested(self, states: training.TrainState, examples: Examples) -> model.Share:
        """Returns the shares of each seed, computed in slices of one shape: one compilation."""
        count = examples.source.shape[1]
        sliced = lambda at: jax.tree.map(lambda array: array[:, at : at + VALID], examples)
        parts = [self.right(states.params, sliced(at)) for at in range(0, count, VALID)]
        sizes = [min(VALID, count - at) for at in range(0, count, VALID)]
        mean = partial(np.average, axis=0, weights=sizes)
        return jax.tree.map(lambda *shares: mean(np.stack(shares)), *parts)

    def cell(self, data: Data, write: Write) -> dict[str, Any]:
        """Trains and tests; `sequences` and `tokens` are the right shares of each seed."""
        began, steps = time.perf_counter(), 0
        states = self.start(self.seeds)
        for batches in data.batches:
            states, metrics = self.train(states, batches)
            steps += batches.source.shape[1]
            valid = self.tested(states, data.valid).sequences
            write({"step": steps, "loss": rounded(metrics["loss"][:, -1]), "valid": rounded(valid)})
        shares = {times: self.tested(states, tests) for times, tests in data.tests.items()}
        return {
            "sequences": {times: rounded(share.sequences) for times, share in shares.items()},
            "tokens": {times: rounded(share.tokens) for times, share in shares.items()},
            "seconds": round(time.perf_counter() - began, 1),
        }


def rounded(shares: Any) -> list[float]:
    return [round(float(share), 4) for share in shares]
