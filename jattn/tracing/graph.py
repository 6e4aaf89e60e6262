"""The graph of equations, and which named value each of them counts for."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from jattn.tracing.costs import Cost
from jattn.tracing.record import Intermediate


class Node:
    """A value in the graph of the equations; two are the same only if they are one object."""

    def __init__(self, value: Any) -> None:
        self.value = value


class Entry(NamedTuple):
    """What was computed from `operands`: the named values, or the cost of what has no name."""

    operands: Sequence[Node]
    results: Sequence[Node]
    cost: Cost
    named: Sequence[Intermediate] = ()


def attribute(tape: Sequence[Entry], outputs: Sequence[Node]) -> list[Intermediate]:
    """The named values that `outputs` depend on, each with the cost of what it needs first."""
    needed, used = set(outputs), []
    for entry in reversed(tape):
        if not needed.isdisjoint(entry.results):
            needed.update(entry.operands)
            used.append(entry)
    named = [one for entry in reversed(used) for one in entry.named]
    last = len(named) - 1
    if last < 0:
        return []
    operations, moved = [one.operations for one in named], [one.bytes for one in named]
    first_named: dict[Node, int] = {}
    place = len(named)
    for entry in used:  # From the last to the first.
        place -= len(entry.named)
        reached = min((first_named.get(result, last) for result in entry.results), default=last)
        target = place if entry.named else reached
        operations[target] += entry.cost.operations
        moved[target] += entry.cost.bytes
        for operand in entry.operands:
            first_named[operand] = min(first_named.get(operand, last), target)
    return [
        one._replace(operations=count, bytes=size)
        for one, count, size in zip(named, operations, moved, strict=True)
    ]
