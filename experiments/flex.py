"""Times of `flex_attention` over those of `dot_product_attention` with the same causal mask.

Calls take turns, so that all meet the same noise. A gradient is that of the arrays and of the
parameters, with the result. Memory is what XLA plans for it beside inputs and results.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

import jattn
from experiments import command, results
from experiments.machine import machine
from jattn import biases, masks

HEADS, SIZE, BUCKETS = 8, 64, 32


def warmer(scores: Any, at: Any, temperature: Any) -> Any:
    return scores * temperature[at.head]


def nearer(scores: Any, at: Any, slopes: Any) -> Any:
    return scores - slopes[at.head] * (at.query - at.key)


def flex(**options: Any) -> Callable[..., Any]:
    return lambda *arrays: jattn.flex_attention(*arrays, mask=masks.causal(), **options)


# Functions of parameters, query, key and value.
FORMS: dict[str, Callable[..., Any]] = {
    "dot_product_attention": lambda _, *x: jattn.dot_product_attention(*x, is_causal=True),
    "without functions": lambda _, *x: flex()(*x),
    "temperature, as a score": lambda params, *x: flex(score=warmer, params=params)(*x),
    "ALiBi, as a score": lambda params, *x: flex(score=nearer, params=params)(*x),
    "ALiBi, as a bias": lambda params, *x: flex(bias=biases.alibi(params))(*x),
    "T5": lambda table, *x: flex(bias=biases.t5(table, bidirectional=False))(*x),
}


def seconds(function: Callable[..., Any], arguments: Sequence[Any]) -> float:
    start = time.perf_counter()
    jax.block_until_ready(function(*arguments))
    return time.perf_counter() - start


def measure(options: argparse.Namespace) -> None:
    """Prints the table."""
    rng = np.random.default_rng(0)
    shape = (1, options.length, HEADS, SIZE)
    *arrays, cotangent = (jnp.asarray(rng.standard_normal(shape), "float32") for _ in range(4))
    slopes = jnp.asarray(2.0 ** -np.arange(1, HEADS + 1), "float32")
    table = jnp.asarray(rng.standard_normal((BUCKETS, HEADS)), "float32")
    calls = {}
    for name, form in FORMS.items():
        arguments = (table if name == "T5" else slopes, *arrays)
        gradient = lambda *x, form=form: jax.vjp(form, *x)[1](cotangent)
        calls[name] = [
            (jax.jit(function).lower(*arguments).compile(), arguments)
            for function in (form, gradient)
        ]
    durations: dict[str, list[list[float]]] = {name: [[], []] for name in FORMS}
    for _ in tqdm(range(options.repeats), disable=None, unit="turn"):
        for name, both in calls.items():
            for direction, (function, arguments) in enumerate(both):
                durations[name][direction].append(seconds(function, arguments))
    medians = {name: [*map(statistics.median, both)] for name, both in durations.items()}
    first = medians["dot_product_attention"]
    rows = [
        [
            name,
            *(f"{1e3 * x:.0f} ms, {x / y:.2f}" for x, y in zip(both, first, strict=True)),
            f"{calls[name][1][0].memory_analysis().temp_size_in_bytes / 2**20:.0f} MiB",
        ]
        for name, both in medians.items()
    ]
    kind = "jax {}, {} cores, {}".format(jax.__version__, *map(machine().get, ("cores", "vectors")))
    title = f"{options.length} positions, {HEADS} heads of {SIZE}, float32, causal; {kind}"
    columns = ["form", "forward", "forward and gradient", "memory of both"]
    print(results.text(results.Table(title, columns, rows)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = command.Parser(prog="python -m experiments.flex", description=__doc__)
    parser.set_defaults(work=measure)
    parser.add_argument(
        "--length", type=command.whole(), default=4096, metavar="N", help="positions (4096)"
    )
    parser.add_argument(
        "--repeats", type=command.whole(), default=7, metavar="N", help="turns of each (7)"
    )
    return command.run(parser, arguments)


if __name__ == "__main__":
    sys.exit(main())
