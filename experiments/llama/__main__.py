"""Speed of a Llama-like model on jattn and of the same model in jax.nn and jax.numpy.

Both have the same weights and give the same logits: decoding a token at a time from a cache, and
training steps. Times are medians of repeats in turns.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments import command
from experiments.llama.models import SMALL, WAYS, Sizes, init
from experiments.machine import machine


def decoding(way: str, model: Any, sizes: Sizes, capacity: int, first: int, count: int) -> Any:
    """Returns a function that decodes tokens after `first`, and returns seconds and last logits."""
    _, step, caches_of = WAYS[way]
    compiled = jax.jit(step, donate_argnums=1)
    shape = (2, sizes.layers, 1, first, sizes.key_value_heads, sizes.size // sizes.heads)
    stored = jnp.asarray(np.random.default_rng(0).standard_normal(shape))

    def run() -> tuple[float, jax.Array]:
        caches = caches_of(sizes, list(zip(*stored, strict=True)), capacity)
        caches, logits = jax.block_until_ready(jax.tree.map(jnp.copy, caches)), None
        start, token = time.perf_counter(), jnp.zeros(1, int)
        for _ in range(count):
            logits, caches = compiled(model, caches, token)
            token = logits.argmax(-1)
        logits = jax.block_until_ready(logits)
        return time.perf_counter() - start, logits

    return run


def training(way: str, model: Any, sizes: Sizes, batch: int, t: int) -> Any:
    """Returns a function that takes a training step, and returns seconds and the loss."""
    tokens = jnp.asarray(np.random.default_rng(0).integers(sizes.words, size=(batch, t + 1)))

    @jax.jit
    def step(model):
        def loss(model):
            logits = jax.nn.log_softmax(WAYS[way][0](model, tokens[:, :-1]))
            return -jnp.take_along_axis(logits, tokens[:, 1:, None], -1).mean()

        value, gradient = jax.value_and_grad(loss)(model)
        return value, jax.tree.map(lambda x, slope: x - 1e-2 * slope, model, gradient)

    def run() -> tuple[float, jax.Array]:
        start = time.perf_counter()
        value, _ = jax.block_until_ready(step(model))
        return time.perf_counter() - start, value

    return run


def row(name: str, count: int, make: Callable[[str], Any], repeats: int) -> str:
    """Returns a row of the table: tokens a second of each way, and their ratio."""
    runs = {way: make(way) for way in WAYS}
    ours, other = (run()[1] for run in runs.values())  # Compiles.
    if not np.abs(ours - other).max() < 1e-3 * max(1.0, np.abs(other).max()):
        raise ValueError(f"{name}: results differ by {np.abs(ours - other).max()}")
    times = [[run()[0] for run in runs.values()] for _ in range(repeats)]
    speeds = [count / statistics.median(column) for column in zip(*times, strict=True)]
    ratio = statistics.median(other / ours for ours, other in times)
    return f"| {name} | {speeds[0]:,.0f} | {speeds[1]:,.0f} | {ratio:.2f} |"


def measure(options: argparse.Namespace) -> int:
    """Prints the table."""
    sizes, repeats = SMALL if options.small else Sizes(), options.repeats
    model, count = init(sizes), 4 if options.small else 32
    kind = machine()
    print(f"JAX {jax.__version__}, {kind['cores']} cores, {kind['vectors']}; {sizes}\n")
    print(f"| tokens a second | {' | '.join(WAYS)} | ratio |\n|---|---|---|---|")
    for capacity in (16, 32) if options.small else (1024, 4096):
        for first in (0, capacity // 2, capacity - count):
            name = f"decoding, {first:,} tokens in {capacity:,} slots"
            sized = partial(
                decoding, model=model, sizes=sizes, capacity=capacity, first=first, count=count
            )
            print(row(name, count, sized, repeats), flush=True)
    for batch, t in ((2, 8),) if options.small else ((4, 256), (1, 1024)):
        sized = partial(training, model=model, sizes=sizes, batch=batch, t=t)
        print(row(f"training, {batch} × {t:,}", batch * t, sized, repeats), flush=True)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = command.Parser(prog="python -m experiments.llama", description=__doc__)
    parser.set_defaults(work=measure)
    parser.add_argument(
        "--repeats", type=command.whole(), default=7, metavar="N", help="of each, in turns (7)"
    )
    parser.add_argument("--small", action="store_true", help="a model that runs in seconds")
    return command.run(parser, arguments)


if __name__ == "__main__":
    sys.exit(main())
