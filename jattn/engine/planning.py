"""Plans: the blocks of a call, from its shapes and the known part of its mask."""

import dataclasses
from typing import NamedTuple

import numpy as np

from jattn.masks.algebra import Mask
from jattn.masks.spans import spans


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
    varies: bool = False  # Whether what the masks show depends on arrays.


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
    widths: tuple[int, ...] = ()  # What a block may be narrowed to as it runs; the last is all.


def scores(problem: Problem, run: Run) -> int:
    """Scores of a run of blocks; where these are narrowed at most, by what is known before."""
    if not run.widths:
        return run.count * run.size * run.width
    starts = run.start + np.arange(run.count) * run.size
    seen = spans(problem.mask, starts, np.minimum(starts + run.size, problem.t), problem.s)
    taken = np.searchsorted(run.widths, seen.stop - seen.start)
    return int(np.asarray(run.widths)[taken].sum()) * run.size


@dataclasses.dataclass(frozen=True)
class Plan:
    """The blocks that make up one head's work, and how many heads may be taken at a time."""

    name: str
    problem: Problem
    runs: tuple[Run, ...]
    together: int

    @property
    def scores(self) -> int:
        """Scores of one head of a problem, at most."""
        return sum(scores(self.problem, run) for run in self.runs)

    @property
    def operations(self) -> int:
        """Floating-point operations of the forward products; backward takes five halves of it."""
        p = self.problem
        return 2 * p.batch * p.groups * p.heads * self.scores * (p.key_size + p.value_size)

    @property
    def bytes(self) -> int:
        """Memory of the scores that exist at one time, in float32."""
        largest = max((run.size * run.width for run in self.runs), default=0)
        return 4 * largest * self.problem.heads * self.at_once

    @property
    def at_once(self) -> int:
        """Returns the number of heads, or groups of heads, that one step computes."""
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
            keys += ", as seen" if run.widths else ""
            rows.append(f"{f'{run.start}..{stop}':>15}  {run.size:>6}  {keys:>15}")
        most = "at most " if any(run.widths for run in self.runs) else ""
        rows.append(
            f"{most}{self.operations:,} operations forward, {self.scores / pairs:.0%} of all pairs;"
            f" {self.bytes:,} bytes of scores at a time"
        )
        return "\n".join(rows)
