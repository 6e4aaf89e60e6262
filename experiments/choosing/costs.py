"""Costs of a training step with each mechanism: time, memory, and operations of attention."""

import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jattn
from experiments.attentions import ATTENTIONS
from experiments.choosing import model
from experiments.choosing.config import Config
from experiments.choosing.examples import Examples
from experiments.choosing.train import QUICKLY, Trainer

Costs = dict[str, dict[str, Any]]


def costs(
    trainers: Mapping[str, Trainer], config: Config, lengths: Sequence[int] = (16, 64)
) -> Costs:
    """Returns the weights of each mechanism and, for sources and targets of each length, its costs.

    milliseconds: medians and quartiles, measured in turns, so that all meet the same noise.
    bytes: temporary memory of the compiled step, without its arguments and results.
    operations: of attention at each target token, for one example.
    """
    measured: Costs = {
        name: {"milliseconds": {}, "bytes": {}, "operations": {}} for name in trainers
    }
    states = {
        name: jax.tree.map(lambda leaf: leaf[0], trainer.start(trainer.seeds))
        for name, trainer in trainers.items()
    }
    for length in lengths:
        examples = made_up(length, config)
        programs = {}
        for name, state in states.items():
            program = trainers[name].step.lower(state, examples).compile(QUICKLY)
            programs[name] = program, state
            measured[name]["weights"] = sum(leaf.size for leaf in jax.tree.leaves(state.params))
            memory: Any = program.memory_analysis()
            measured[name]["bytes"][str(length)] = memory.temp_size_in_bytes
            measured[name]["operations"][str(length)] = operations(name, length, config)
        seconds: dict[str, list[float]] = {name: [] for name in trainers}
        for _ in range(config.rounds):
            for name, (program, state) in programs.items():
                began = time.perf_counter()
                jax.block_until_ready(program(state, examples))
                seconds[name].append(time.perf_counter() - began)
        for name, durations in seconds.items():
            quartiles = np.quantile(durations, [0.25, 0.75]) * 1e3
            measured[name]["milliseconds"][str(length)] = {
                "median": round(statistics.median(durations) * 1e3, 3),
                "quartiles": [round(float(q), 3) for q in quartiles],
            }
    return measured


def made_up(length: int, config: Config) -> Examples:
    """Returns a batch whose sources and targets all have `length` tokens."""
    tokens = jnp.full((config.batch_size, length), 2, jnp.int32)
    lengths = jnp.full(config.batch_size, length, jnp.int32)
    return Examples(tokens, lengths, tokens, lengths)  # type: ignore[arg-type]


def operations(name: str, length: int, config: Config) -> int:
    """Returns the count of `jattn.trace`, from encoder and decoder states to contexts."""
    if name == "none":
        return 0
    form = model.form(name, config)
    params = ATTENTIONS[name].init(jax.random.key(0), form.sizes)
    attention = form.attend

    def read(query, values):
        return attention(params, jattn.Memory(values, values[0]))(query, 0).context

    states = np.ones((length, config.units), np.float32)
    return jattn.trace(read, states, states).operations
