"""Examples of a task as arrays, for training, validation and tests."""

import zlib
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import numpy as np

from experiments.choosing.config import Config
from experiments.choosing.tasks import Pair, Task

# One shape for all tasks, so that a mechanism is compiled once: tokens of the longest source and
# target that are trained, words of either side.
WIDTHS = (16, 12)
SOURCE_WORDS, TARGET_WORDS = 28, 41
LONGER = (1.5, 2.0)  # Times the longest size that is trained.
VALID = 256


class Examples(NamedTuple):
    """Sources and targets, padded with zeros, and how many tokens of each count."""

    source: np.ndarray
    source_length: np.ndarray
    target: np.ndarray
    target_length: np.ndarray


class Data(NamedTuple):
    """Examples of each seed, which is the first axis.

    batches: one for each stage between two evaluations, of shapes [seeds, steps, batch, ...].
    valid: of the trained sizes.
    tests: "1" of the trained sizes; the others of sizes so many times the longest that is trained.
    """

    batches: list[Examples]
    valid: Examples
    tests: dict[str, Examples]


def padded(pairs: Sequence[Pair], widths: tuple[int, int]) -> Examples:
    """Returns the pairs as arrays of these widths."""
    arrays = []
    for column, width in zip(zip(*pairs, strict=True), widths, strict=True):
        tokens = np.zeros((len(column), width), np.int32)
        for row, sequence in zip(tokens, column, strict=True):
            row[: len(sequence)] = sequence
        arrays += [tokens, np.array(list(map(len, column)), np.int32)]
    return Examples(*arrays)


def drawn(
    task: Task, rng: np.random.Generator, count: int, part: str | None, sizes: Sequence[int]
) -> list[Pair]:
    """Draws `count` examples of `part`, or of any if it is None, of sizes drawn evenly."""
    pairs: list[Pair] = []
    while len(pairs) < count:
        pair = task.draw(rng, sizes[int(rng.integers(len(sizes)))])
        if part is None or task.part_of(pair[0]) == part:
            pairs.append(pair)
    return pairs


def data(name: str, task: Task, config: Config) -> Data:
    """Draws examples that depend on the task and the seeds alone."""
    seeds = range(config.seed, config.seed + config.seeds)
    rngs = [np.random.default_rng([seed, zlib.crc32(name.encode())]) for seed in seeds]
    sizes = range(task.shortest, task.longest + 1)
    furthest = round(max(LONGER) * WIDTHS[0]), round(max(LONGER) * WIDTHS[1])
    stages, steps = stages_and_steps(config)

    def draw(count, part, sizes, widths=furthest):
        each = [padded(drawn(task, rng, count, part, sizes), widths) for rng in rngs]
        return jax.tree.map(lambda *arrays: np.stack(arrays), *each)

    # Tests first, so that they are the same whatever is trained.
    tests = {"1": draw(config.tested, "test", sizes)}
    for times in LONGER:
        tests[f"{times:g}"] = draw(config.tested, None, [round(times * task.longest)])
    valid = draw(VALID, "valid", sizes)
    shape = (config.seeds, steps, config.batch_size)
    in_batches = partial(jax.tree.map, lambda array: array.reshape(*shape, *array.shape[2:]))
    fed = [draw(steps * config.batch_size, "train", sizes, WIDTHS) for _ in range(stages)]
    return Data(list(map(in_batches, fed)), valid, tests)


def stages_and_steps(config: Config) -> tuple[int, int]:
    """Returns the number of validations, and the steps before each."""
    stages = min(config.evaluations, config.steps)
    return stages, config.steps // stages
