"""How a call of the engine is cut up: read off the shapes and what is known of the mask."""

import dataclasses
from typing import NamedTuple

from jattn.masks.algebra import Mask


class Problem(NamedTuple):
    """Sizes of a call: batch, queries, keys, key-value heads, query heads of each, features."""

    batch: int
    t: int
    s: int
    groups: int
    heads: int
    key_size: int
    value_size: int
    mask: Mask | None
    chunk_size: int | None


class Run(NamedTuple):
    """`count` blocks of `size` queries from `start`; the first sees `width` keys from `key_start`.

    The keys of the next block start `key_step` further on.
    """

    start: int
    size: int
    count: int
    key_start: int
    width: int
    key_step: int = 0

    @property
    def scores(self) -> int:
        return self.count * self.size * self.width


@dataclasses.dataclass(frozen=True)
class Plan:
    """The blocks that make up one head's work, and how many heads may be taken at a time."""

    name: str
    problem: Problem
    runs: tuple[Run, ...]
    together: int

    @property
    def operations(self) -> int:
        """Floating-point operations of the forward products; backward takes five halves of it."""
        p = self.problem
        pairs = p.batch * p.groups * p.heads * sum(run.scores for run in self.runs)
        return 2 * pairs * (p.key_size + p.value_size)

    @property
    def bytes(self) -> int:
        """Memory of the scores that exist at one time, in float32."""
        largest = max((run.size * run.width for run in self.runs), default=0)
        return 4 * largest * self.problem.heads * self.at_once

    @property
    def at_once(self) -> int:
        """How many heads, or groups of them, are taken at a time."""
        return min(self.together, max(self.problem.batch * self.problem.groups, 1))

    def __str__(self) -> str:
        p = self.problem
        pairs = max(p.t * p.s, 1)
        sizes = f"{p.batch} × {p.groups} problems of {p.heads} × {p.t} queries and {p.s} keys"
        rows = [
            f"{self.name}: {sizes}, {self.at_once} at a time",
            f"{'queries':>15}  {'block':>6}  {'keys':>15}",
        ]
        for run in self.runs:
            stop, key_stop = run.start + run.size * run.count, run.key_start + run.width
            keys = f"{run.key_start}..{key_stop}" + (f" + {run.key_step}" if run.key_step else "")
            rows.append(f"{f'{run.start}..{stop}':>15}  {run.size:>6}  {keys:>15}")
        share = sum(run.scores for run in self.runs) / pairs
        rows.append(
            f"{self.operations:,} operations forward, {share:.0%} of all pairs;"
            f" {self.bytes:,} bytes of scores at a time"
        )
        return "\n".join(rows)
