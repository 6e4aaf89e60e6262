"""What a trace holds, and how it prints."""

import dataclasses
from collections.abc import Iterable
from typing import Any, NamedTuple

import jax

RULE = (
    "Operations: 2 m n k a matrix product, one an element otherwise, none to move data.",
    "Bytes: what each equation reads and writes, as if none were fused.",
)


class Intermediate(NamedTuple):
    """A value that a mechanism named, and the cost of what was computed for it first."""

    step: str
    name: str
    value: jax.Array
    operations: int
    bytes: int

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    @property
    def dtype(self) -> Any:
        return self.value.dtype


@dataclasses.dataclass(frozen=True, repr=False)
class Trace:
    """The named intermediates of a mechanism in the order of their computation, and its output."""

    mechanism: str
    intermediates: tuple[Intermediate, ...]
    output: Any

    def __getitem__(self, name: str) -> Intermediate:
        """The intermediate called `name` or `step/name`.

        Raises:
            KeyError: if none is called so, or several are.
        """
        found = [one for one in self.intermediates if name in (one.name, f"{one.step}/{one.name}")]
        if len(found) == 1:
            return found[0]
        names = ", ".join(f"{one.step}/{one.name}" for one in self.intermediates)
        raise KeyError(f"{self.mechanism} names {name} {len(found)} times; it names {names}")

    @property
    def operations(self) -> int:
        return sum(one.operations for one in self.intermediates)

    @property
    def bytes(self) -> int:
        return sum(one.bytes for one in self.intermediates)

    def __repr__(self) -> str:
        rows = [
            (one.step, one.name, list(one.shape), one.dtype, one.operations, one.bytes)
            for one in self.intermediates
        ]
        header = ("step", "intermediate", "shape", "dtype", "operations", "bytes")
        total = ("in all", "", "", "", self.operations, self.bytes)
        return "\n".join([self.mechanism, *table(header, [*rows, total]), *RULE])


def table(header: Iterable[Any], rows: Iterable[Iterable[Any]]) -> list[str]:
    """Lines of columns as wide as their longest cell; numbers stand to the right."""
    rows = [tuple(row) for row in rows]
    shown = [tuple(map(str, header))]
    shown += [tuple(f"{x:,}" if isinstance(x, int) else str(x) for x in row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    right = [any(isinstance(x, int) for x in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in shown
    ]
