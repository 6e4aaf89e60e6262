"""Times and memory of the delta rule, forward and backward: step by step, and in chunks."""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments import command
from jattn import linear

MIB = 2**20


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = command.Parser(prog="python -m experiments.benchmark.delta_rule", description=__doc__)
    parser.set_defaults(work=measure)
    parser.add_argument(
        "--steps", type=command.whole(), default=8192, metavar="N", help="steps (8192)"
    )
    parser.add_argument("--heads", type=command.whole(), default=2, metavar="N", help="heads (2)")
    parser.add_argument(
        "--size", type=command.whole(), default=64, metavar="N", help="of a head (64)"
    )
    parser.add_argument(
        "--repeats", type=command.whole(), default=7, metavar="N", help="runs of each (7)"
    )
    return command.run(parser, arguments)


def measure(options: argparse.Namespace) -> int:
    """Prints a line for each form: the median of its runs, in turns, and its temporary memory."""
    for what, gates in (("one decay", 1), ("a decay for each feature", options.size)):
        arrays = drawn(options.heads, options.steps, options.size, gates)
        forms = {"step by step": 1, "in chunks": None}
        calls = {name: compiled(size, arrays) for name, size in forms.items()}
        times: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(options.repeats + 1):
            for name, call in calls.items():
                start = time.perf_counter()
                jax.block_until_ready(call(*arrays))
                times[name].append(time.perf_counter() - start)
        medians = {name: statistics.median(each[1:]) for name, each in times.items()}
        print(f"{what}, {options.steps} steps, {options.heads} heads of {options.size}, float32")
        for name, call in calls.items():
            memory = call.memory_analysis().temp_size_in_bytes / MIB  # type: ignore[attr-defined]
            print(f"  {name}: {1000 * medians[name]:.0f} ms, {memory:.0f} MiB")
        print(f"  ratio: {medians['step by step'] / medians['in chunks']:.1f}")
    return 0


def drawn(heads: int, steps: int, size: int, gates: int) -> list[jax.Array]:
    """Returns query, key, value, decay, erase and write of each head."""
    rng = np.random.default_rng(0)
    query, key, value = rng.standard_normal((3, heads, steps, size))
    key /= np.linalg.norm(key, axis=-1, keepdims=True)
    added = rng.uniform(0, 1, (heads, steps, 1)) * key
    decay = rng.uniform(0.9, 1, (heads, steps, gates))
    return [jnp.asarray(x, "float32") for x in (query, added, value, decay, added, key)]


def compiled(chunk_size: int | None, arrays: Sequence[jax.Array]) -> Callable[..., Any]:
    """Returns the value and the gradient of the outputs' sum of squares, compiled."""

    def total(query, key, value, decay, erase, write):
        sides = {"decay": decay, "erase": erase, "write": write}
        outputs, _ = linear.delta_rule(query, key, value, chunk_size=chunk_size, **sides)
        return (outputs**2).sum()

    heads = jax.vmap(jax.value_and_grad(total, argnums=tuple(range(6))))
    return jax.jit(heads).lower(*arrays).compile()


if __name__ == "__main__":
    raise SystemExit(main())
