"""Values of several devices against those of one."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

# Relative to the largest entry, in float64. Adam divides by the size of a gradient, so parameters
# whose gradient is nearly zero move by rounding.
TOLERANCES = {"losses": 1e-12, "gradient": 1e-12, "trained": 1e-9}


class Comparison(NamedTuple):
    """The largest difference of each kind of value between several devices and one."""

    training: str
    devices: int
    differences: dict[str, float]

    @property
    def is_within(self) -> bool:
        return all(self.differences[kind] <= most for kind, most in TOLERANCES.items())


def compared(runs: Mapping[int, Mapping[str, Any]], one_device: str) -> list[Comparison]:
    """Returns the comparison of every training with the same one on one device.

    Args:
        runs: results of `experiments.scaling.job.run` by the number of devices, 1 among them.
        one_device: the name of the language model's training in the run on one device.
    """
    found = []
    alone = runs[1]
    for devices, run in runs.items():
        if devices == 1:
            continue
        differences = of_all(run["data parallel"], alone["data parallel"])
        found.append(Comparison("data parallel", devices, differences))
        for name, values in run["model"].items():
            differences = of_all(values, alone["model"][one_device])
            found.append(Comparison(name, devices, differences))
    return found


def of_all(values: Mapping[str, Any], expected: Mapping[str, Any]) -> dict[str, float]:
    return {kind: difference(values[kind], expected[kind]) for kind in TOLERANCES}


def difference(values: Any, expected: Any) -> float:
    """Returns the largest difference, relative to the largest expected value."""
    values, expected = np.asarray(values, float), np.asarray(expected, float)
    if values.shape != expected.shape or not np.isfinite(values).all():
        return float("inf")
    return float(np.abs(values - expected).max() / np.abs(expected).max())
