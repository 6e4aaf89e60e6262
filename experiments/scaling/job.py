"""The parts of a job, which every process does together with the others."""

from collections.abc import Callable, Mapping
from typing import Any

from experiments.scaling import data_parallel
from experiments.scaling.config import Config
from experiments.scaling.context_parallel import kinds, time_attention, train_model


def parts(config: Config, devices: int) -> int:
    """Returns the number of times that `run` calls `advance`."""
    return 1 + len(kinds(config, devices)) * (1 + len(config.tokens))


def run(job: Mapping[str, Any], devices: int, advance: Callable[[], None]) -> dict[str, Any]:
    """Does the job of this process; returns all values, times and traffic.

    Args:
        job: `config`, the fields of a `Config`.
        devices: the number of all processes.
        advance: called after each part.
    """
    config = Config(**job["config"])
    found: dict[str, Any] = {"data parallel": data_parallel.run(config), "model": {}}
    advance()
    attention: dict[str, Any] = {}
    for name, scheme in kinds(config, devices).items():
        found["model"][name] = train_model(config, scheme)
        advance()
        attention[name] = {}
        for tokens in config.tokens:
            attention[name][tokens] = time_attention(config, scheme, tokens)
            advance()
    return found | {"attention": attention}
