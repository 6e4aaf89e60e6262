"""The parts of a job, which every process does together with the others."""

from collections.abc import Callable, Mapping
from typing import Any

from experiments.scaling import data_parallel
from experiments.scaling.config import Config
from experiments.scaling.context_parallel import kinds, time_attention, train_model

DATA_PARALLEL = "data parallel"
VALUES = ("losses", "gradient", "trained")


def parts(config: Config, devices: int) -> int:
    """Returns the number of times that `run` calls `advance`."""
    return 1 + len(kinds(config, devices)) * (1 + len(config.tokens))


def run(
    job: Mapping[str, Any], devices: int, advance: Callable[[], None]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Does the job of this process.

    Args:
        job: `config`, the fields of a `Config`.
        devices: the number of all processes.
        advance: called after each part.

    Returns:
        Times and traffic of `trainings` and of `attention`, by their names; and the values of the
        trainings, arrays by the names of training and value, such as "ring/gradient".
    """
    config = Config(**job["config"])
    trainings = {DATA_PARALLEL: data_parallel.run(config)}
    advance()
    attention: dict[str, Any] = {}
    for name, scheme in kinds(config, devices).items():
        trainings[name] = train_model(config, scheme)
        advance()
        attention[name] = {}
        for tokens in config.tokens:
            attention[name][tokens] = time_attention(config, scheme, tokens)
            advance()
    arrays = {
        f"{name}/{kind}": result.pop(kind) for name, result in trainings.items() for kind in VALUES
    }
    return {"trainings": trainings, "attention": attention}, arrays
