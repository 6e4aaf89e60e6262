"""The parts of a job, which every process does together with the others."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from experiments.scaling import context_parallel, data_parallel
from experiments.scaling.config import Config


def parts(config: Config, devices: int) -> int:
    """Returns the number of times that `run` calls `advance`."""
    from experiments.scaling.schemes import SCHEMES

    return 1 + (len(SCHEMES) if devices > 1 else 1) * (2 + len(config.tokens))


def run(job: Mapping[str, Any], folder: Path, advance: Callable[[], None]) -> dict[str, Any]:
    """Does the job of this process; returns all values, times and traffic.

    Args:
        job: `config`, the fields of a `Config`.
        folder: a folder of this process alone.
        advance: called after each part.
    """
    config = Config(**job["config"])
    result: dict[str, Any] = {"data_parallel": data_parallel.run(config, folder)}
    advance()
    compared, attention, steps = {}, {}, {}
    for name, scheme in context_parallel.kinds().items():
        compared[name] = context_parallel.compare(config, scheme, folder)
        advance()
        attention[name] = {}
        for tokens in config.tokens:
            attention[name][tokens] = context_parallel.time_attention(config, scheme, tokens)
            advance()
        steps[name] = context_parallel.time_step(config, scheme, max(config.tokens))
        advance()
    return result | {"compared": compared, "attention": attention, "steps": steps}
