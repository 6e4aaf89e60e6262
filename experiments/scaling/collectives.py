"""Bytes and messages that a device sends in a compiled program, read from its HLO text."""

import math
import re
from typing import NamedTuple

COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.\-]+) .*\{$")
CALLED = re.compile(
    r"(?:body|to_apply|calls|true_computation|false_computation)=%?([\w.\-]+)"
    r"|branch_computations=\{([^}]*)\}"
)
TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
COLLECTIVE = re.compile(
    r"= (.*?) (all-gather|all-reduce|all-to-all|reduce-scatter|collective-permute)(-start)?\("
)
OTHER = re.compile(r" (collective-broadcast|ragged-all-to-all)(?:-start)?\(")
ARRAY = re.compile(r"\b(pred|[a-z]+?(\d+)\w*)\[([\d,]*)\]")


class Traffic(NamedTuple):
    """Bytes that a device sends, and the messages that carry them."""

    bytes: float = 0.0
    messages: float = 0.0

    def __add__(self, other: "Traffic") -> "Traffic":  # type: ignore[override]
        return Traffic(self.bytes + other.bytes, self.messages + other.messages)

    def times(self, number: float) -> "Traffic":
        return Traffic(number * self.bytes, number * self.messages)


def sent(operation: str, size: float, devices: int) -> Traffic:
    """Returns what a device sends in one collective over all devices.

    A ring is assumed, in which a device sends to one neighbour a step: n - 1 steps gather or
    scatter, and a sum over devices scatters and gathers.

    Args:
        operation: its name in HLO.
        size: bytes of its result on one device.
        devices: number n of devices.

    Raises:
        ValueError: if the operation is unknown.
    """
    others = devices - 1
    match operation:
        case "all-gather" | "all-to-all":
            return Traffic(size * others / devices, others)
        case "reduce-scatter":
            return Traffic(size * others, others)
        case "all-reduce":
            return Traffic(2 * size * others / devices, 2 * others)
        case "collective-permute":
            return Traffic(size, 1)
    raise ValueError(f"sent: operation is {operation!r}, which is not counted")


def traffic(program: str, devices: int) -> Traffic:
    """Returns what a device sends in a compiled program.

    Args:
        program: HLO text of `compiled.as_text()`, with loops whose trip counts are known.
        devices: number of devices, all of which take part in each collective.

    Raises:
        ValueError: if a collective is unknown or stands in a loop without a known trip count.
    """
    computations: dict[str, list[str]] = {}
    lines: list[str] = []
    entry = ""
    for line in program.splitlines():
        if match := COMPUTATION.match(line):
            lines = computations[match[2]] = []
            entry = match[2] if match[1] else entry
        else:
            lines.append(line)
    if devices == 1:
        return Traffic()
    return _of_computation(entry, computations, devices)


def _of_computation(name: str, computations: dict[str, list[str]], devices: int) -> Traffic:
    total = Traffic()
    for line in computations[name]:
        if other := OTHER.search(line):
            raise ValueError(f"traffic: the program has a {other[1]}, which is not counted")
        if match := COLLECTIVE.search(line):
            if match[3]:
                raise ValueError(f"traffic: {match[2]} is asynchronous, which is not counted")
            total += sent(match[2], size_of(match[1]), devices)
            continue  # What it calls adds up two numbers.
        called = [
            child.strip(" %")
            for one, several in CALLED.findall(line)
            for child in (one or several).split(",")
        ]
        parts = [_of_computation(child, computations, devices) for child in called]
        if not any(part.bytes for part in parts):
            continue
        if " while(" in line:
            trips = TRIPS.search(line)
            if trips is None:
                raise ValueError("traffic: a loop with collectives has no known trip count")
            total += parts[0].times(int(trips[1]))
        elif " conditional(" in line:
            total += max(parts)
        else:
            total += sum(parts, Traffic())
    return total


def size_of(shapes: str) -> float:
    """Returns the bytes of an array or a tuple of arrays, as HLO writes their shapes."""
    return sum(
        (1 if kind == "pred" else int(bits) / 8) * math.prod(int(n) for n in axes.split(",") if n)
        for kind, bits, axes in ARRAY.findall(shapes)
    )
