"""Time of a step from operations, bytes and messages, with constants fitted to measured times."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import nnls


class Costs(NamedTuple):
    """Work and traffic of the device that takes longest in a step.

    operations: multiplications and additions of the products.
    bytes: that it sends.
    messages: that it sends, one after the other.
    """

    operations: float
    bytes: float
    messages: float


class Constants(NamedTuple):
    """Constants of a machine.

    rate: operations that a device computes a second.
    bandwidth: bytes that a device sends a second.
    latency: seconds that a message takes in addition to its bytes.
    """

    rate: float
    bandwidth: float
    latency: float


def seconds(costs: Costs, constants: Constants) -> float:
    """Returns the time of a step in which nothing is computed while data is sent."""
    return (
        costs.operations / constants.rate
        + costs.bytes / constants.bandwidth
        + costs.messages * constants.latency
    )


def fit(costs: Sequence[Costs], measured: Sequence[float]) -> Constants:
    """Returns the constants with the least squares of relative errors.

    Constants are at least 0, by the method of Lawson and Hanson (1974). A cost without influence
    on the times gives an infinite rate or bandwidth, or a latency of 0.

    Args:
        costs: those of each measured step.
        measured: seconds of each step.

    Raises:
        ValueError: if there are fewer steps than constants.
    """
    if len(costs) < len(Constants._fields) or len(costs) != len(measured):
        raise ValueError(
            f"fit: {len(costs)} steps have {len(measured)} times, expected as many times as steps"
            f" and at least {len(Constants._fields)}"
        )
    # Columns of one size, since a device computes 1e10 operations and sends 10 messages.
    rows = np.array(costs, float) / np.array(measured, float)[:, None]
    scale = np.abs(rows).max(0)
    scale[scale == 0] = 1.0
    slopes = nnls(rows / scale, np.ones(len(rows)))[0] / scale
    per_operation, per_byte, per_message = map(float, slopes)
    return Constants(inverse(per_operation), inverse(per_byte), per_message)


def inverse(number: float) -> float:
    return 1 / number if number else math.inf


def efficiency(needed: float, devices: int, taken: float, constants: Constants) -> float:
    """Returns the share of all devices' time in which they compute what is needed.

    Args:
        needed: operations of one device that computes the step alone, and nothing that is masked.
        devices: number of devices.
        taken: seconds of the step.
    """
    return needed / constants.rate / (devices * taken)
