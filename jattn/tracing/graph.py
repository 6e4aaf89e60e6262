"""The graph of equations, and the named value that each of them counts for."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from jattn.tracing.costs import Cost
from jattn.tracing.record import Intermediate


class Node:
    """A value in the graph of equations; two nodes are equal only if they are the same object."""

    def __init__(self, value: Any) -> None:
        self.value = value


class Entry(NamedTuple):
    """A step of a run: results computed from operands, their cost, and the values named in it."""

    operands: Sequence[Node]
    results: Sequence[Node]
    cost: Cost
    named: Sequence[Intermediate] = ()


def attribute(tape: Sequence[Entry], outputs: Sequence[Node]) -> list[Intermediate]:
    """Returns the named values that `outputs` depend on, each with the cost that counts for it.

    An entry counts for the first named value that depends on it, or else for the last one.
    """
    needed, used = set(outputs), []
    for entry in reversed(tape):
        if not needed.isdisjoint(entry.results):
            needed.update(entry.operands)
            used.append(entry)
    named = [value for entry in reversed(used) for value in entry.named]
    last = len(named) - 1
    if last < 0:
        return []
    operations, moved = [value.operations for value in named], [value.bytes for value in named]
    first_named: dict[Node, int] = {}
    place = len(named)
    for entry in used:  # From the last to the first.
        place -= len(entry.named)
        first = min((first_named.get(result, last) for result in entry.results), default=last)
        target = place if entry.named else first
        operations[target] += entry.cost.operations
        moved[target] += entry.cost.bytes
        for operand in entry.operands:
            first_named[operand] = min(first_named.get(operand, last), target)
    return [
        value._replace(operations=count, bytes=size)
        for value, count, size in zip(named, operations, moved, strict=True)
    ]
