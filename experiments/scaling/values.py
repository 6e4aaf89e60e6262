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


def compared(found: Mapping[int, Mapping[str, Any]], one_device: str) -> list[Comparison]:
    """Returns the comparison of every training with the same one on one device.

    Args:
        found: values of `experiments.scaling.job.run` by the number of devices, 1 among them.
        one_device: the name of the language model's training on one device.
    """
    comparisons = []
    alone = found[1]
    for devices, arrays in found.items():
        if devices > 1:
            for name in dict.fromkeys(key.partition("/")[0] for key in arrays):
                other = name if f"{name}/losses" in alone else one_device
                differences = {
                    kind: difference(arrays[f"{name}/{kind}"], alone[f"{other}/{kind}"])
                    for kind in TOLERANCES
                }
                comparisons.append(Comparison(name, devices, differences))
    return comparisons


def difference(values: Any, expected: Any) -> float:
    """Returns the largest difference, relative to the largest expected value."""
    values, expected = np.asarray(values, float), np.asarray(expected, float)
    if values.shape != expected.shape or not np.isfinite(values).all():
        return float("inf")
    return float(np.abs(values - expected).max() / np.abs(expected).max())
