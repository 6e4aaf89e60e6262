"""A trace: its intermediate values, and the table that it prints."""

import dataclasses
from collections.abc import Iterable
from typing import Any, NamedTuple

import jax

RULE = (
    "Operations: 2 m n k a matrix product, one an element otherwise, none to move data.",
    "Bytes: what each equation reads and writes, as if none were fused.",
)


class Intermediate(NamedTuple):
    """A value that a mechanism named, and the cost of the equations that count for it."""

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
    """The named intermediates of a mechanism, in the order of computation, and its output."""

    mechanism: str
    intermediates: tuple[Intermediate, ...]
    output: Any

    def __getitem__(self, name: str) -> Intermediate:
        """Returns the intermediate called `name` or `step/name`.

        Raises:
            KeyError: if none has this name, or several have it.
        """
        matches = [x for x in self.intermediates if name in (x.name, f"{x.step}/{x.name}")]
        if len(matches) == 1:
            return matches[0]
        names = ", ".join(f"{x.step}/{x.name}" for x in self.intermediates)
        raise KeyError(f"{self.mechanism} names {name} {len(matches)} times; it names {names}")

    @property
    def operations(self) -> int:
        return sum(value.operations for value in self.intermediates)

    @property
    def bytes(self) -> int:
        return sum(value.bytes for value in self.intermediates)

    def __repr__(self) -> str:
        rows = [
            (x.step, x.name, list(x.shape), x.dtype, x.operations, x.bytes)
            for x in self.intermediates
        ]
        header = ("step", "intermediate", "shape", "dtype", "operations", "bytes")
        total = ("in all", "", "", "", self.operations, self.bytes)
        return "\n".join([self.mechanism, *table(header, [*rows, total]), *RULE])


def table(header: Iterable[Any], rows: Iterable[Iterable[Any]]) -> list[str]:
    """Returns lines of columns as wide as their longest cell, with numbers aligned right."""
    rows = [tuple(row) for row in rows]
    lines = [tuple(map(str, header))]
    lines += [tuple(f"{x:,}" if isinstance(x, int) else str(x) for x in row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    right = [any(isinstance(x, int) for x in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    ]
