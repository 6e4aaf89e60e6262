"""Plans: how the work of a call is cut into tiles, from its shapes and the known part of its mask.

A plan holds no arrays. `plan` chooses the cheapest; the functions here are the ways to choose from.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from jattn._sizes import are_known
from jattn.engine.schedule import Loops
from jattn.masks.algebra import Mask
from jattn.masks.spans import Interval, spans

# Measured on processors with a few megabytes of cache a core.
BLOCK = 2**20  # Scores of a tile in a loop, 4 MB in float32: what is read again stays in a cache.
ROWS = (128, 256)  # Rows of such a tile, the queries of all heads of a group: fewer are slow.
STEP = 2**19  # Scores of a step of several batch elements.
SMALL = 2**16  # Scores of a head's tile up to which the heads of a batch element run together.
ELEMENT = 2**22  # The same for heads whose queries are not divided, as scores of the element.
QUERIES = 256  # Of a block where heads run at once; twice as many are not divided.
WHOLE = 2**18  # Scores of a head that are not worth dividing in a loop.
GROUPS = 8  # Runs of blocks that are compiled each for itself; half as many without loops.
STARTING = 2**15  # A block's cost beside its scores, and the rows at which half the time is lost.
SLOW_ROWS = 48
# Shares of the keys that a block may be narrowed to; each is compiled for itself.
SIXTEENTHS, NARROWEST = (1, 2, 4, 6, 8, 10, 12, 14), 128


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
    may_loop: bool = True  # Whether the program may loop over heads: it runs on one CPU device.


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

    def is_whole(self, t: Any, s: Any) -> bool:
        """Whether the run is one tile of all queries and all keys."""
        return self == Run(0, t, 1, 0, s)


NO_LOOPS = Loops()


@dataclasses.dataclass(frozen=True)
class Plan:
    """The tiles that make up one head's work, and the loops over heads."""

    name: str
    problem: Problem
    runs: tuple[Run, ...]
    loops: Loops = NO_LOOPS
    notes: str = ""  # Why this implementation, if it was chosen among several.

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
        p, loops = self.problem, self.loops
        return max(min(loops.batch or p.batch, p.batch) * (1 if loops.groups else p.groups), 1)

    def __str__(self) -> str:
        lines = self._lines()
        return "\n".join([*lines, self.notes] if self.notes else lines)

    def _lines(self) -> list[str]:
        p = self.problem
        pairs = max(p.t * p.s, 1)
        sizes = f"{p.batch} × {p.groups} problems of {p.heads} × {p.t} queries and {p.s} keys"
        if not are_known(p.t, p.s):
            return [f"{self.name}: {sizes}, all at once"]
        if not self.runs and p.t:
            return [f"{self.name}: {sizes}, in blocks of its own"]
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
        return rows


Planner = Callable[[Problem], Plan]


def dense(problem: Problem) -> Plan:
    """Plans all queries against all keys at once."""
    return _plan("dense", problem, (Run(0, problem.t, 1, 0, problem.s),))


def chunked(problem: Problem) -> Plan:
    """Blocks of queries against all keys."""
    return _plan("chunked", problem, _blocks(problem, 0, problem.t, 0, problem.s))


def grouped(problem: Problem) -> Plan:
    """Runs of blocks, each against the span of keys that some of its queries see."""
    smallest = problem.chunk_size or 64
    unit = smallest * max(1, -(-problem.t // (64 * smallest)))
    starts, stops, seen = _spans(problem, unit)
    most = GROUPS if problem.may_loop else GROUPS // 2
    cuts = _cuts(starts, stops, seen.start, seen.stop, most)
    runs: tuple[Run, ...] = ()
    for first, last in cuts:
        some = seen.start[first:last] < seen.stop[first:last]
        low = int(seen.start[first:last][some].min(initial=problem.s))
        high = int(seen.stop[first:last][some].max(initial=0))
        low = min(low, high)
        runs += _blocks(problem, int(starts[first]), int(stops[last - 1]), low, high - low)
    return _plan("grouped", problem, runs)


def banded(problem: Problem) -> Plan:
    """Plans blocks of queries, each against keys in a fixed window around the block."""
    size = problem.chunk_size or min(_size(problem, 0), max(problem.t, 1))
    starts, stops, seen = _spans(problem, size)
    some = seen.start < seen.stop
    if not some.any():
        return grouped(problem)
    before = int((starts - seen.start)[some].max())
    after = int((seen.stop - stops)[some].max())
    count = -(-problem.t // size)
    run = Run(0, size, count, -before, before + size + after, size)
    return _plan("banded", problem, (run,))


def narrowed(problem: Problem) -> Plan:
    """Blocks of queries, each against the span of keys that it is found to see as it runs.

    Where elements of a batch run at once, they share the span.
    """
    plan = chunked(problem)
    shares = {-(-problem.s * sixteenths // 16) for sixteenths in SIXTEENTHS}
    widths = tuple(sorted({0, problem.s}.union(width for width in shares if width >= NARROWEST)))
    runs = tuple(run._replace(widths=widths) for run in plan.runs)
    return dataclasses.replace(plan, name="narrowed", runs=runs)


def best(problem: Problem) -> Plan:
    """The cheapest of the others, by the scores that it computes and the blocks that it takes."""
    rows = problem.heads * problem.t
    if problem.chunk_size is None and rows * problem.s <= WHOLE and rows <= 4 * ROWS[1]:
        return dense(problem)
    if problem.mask is None and not problem.varies:
        return chunked(problem)

    def cost(plan: Plan) -> float:
        slowed = lambda run: 1 + SLOW_ROWS / max(run.size * problem.heads, 1)
        return sum(scores(problem, run) * slowed(run) + STARTING * run.count for run in plan.runs)

    ways = (banded, narrowed) if problem.varies else (chunked, grouped, banded)
    # The first of equals is the simplest, or the one whose derivative adds up fewer numbers.
    return min((way(problem) for way in ways), key=cost)


def scores(problem: Problem, run: Run) -> int:
    """Scores of a run of blocks; where these are narrowed at most, by what is known before."""
    if not run.widths:
        return run.count * run.size * run.width
    starts = run.start + np.arange(run.count) * run.size
    seen = spans(problem.mask, starts, np.minimum(starts + run.size, problem.t), problem.s)
    taken = np.searchsorted(run.widths, seen.stop - seen.start)
    return int(np.asarray(run.widths)[taken].sum()) * run.size


def _plan(name: str, problem: Problem, runs: tuple[Run, ...]) -> Plan:
    """A plan with its loops: over nothing, batch elements, or heads, as the size of a tile pays."""
    if not problem.may_loop:
        return Plan(name, problem, runs)
    largest = max((run.size * run.width for run in runs), default=0) * problem.heads
    element, is_whole = largest * problem.groups, runs[0].is_whole(problem.t, problem.s)
    runs_together = largest <= SMALL or (is_whole and element <= ELEMENT)
    few = max(STEP // max(element, 1), 1)
    return Plan(name, problem, runs, Loops(few, not runs_together))


def _size(problem: Problem, width: int) -> int:
    """Queries of a block: a power of two, so that the blocks of a run fill it."""
    if not problem.may_loop:
        return 2 * QUERIES if problem.t <= 2 * QUERIES else QUERIES
    fewest, most = ROWS
    rows = min(max(BLOCK // max(width, 1), fewest), most)
    return 2 ** (max(rows // problem.heads, 1).bit_length() - 1)


def _blocks(problem: Problem, start: int, stop: int, key_start: int, width: int) -> tuple[Run, ...]:
    """The queries from `start` to `stop` in blocks, the last of which may be smaller."""
    size = min(problem.chunk_size or _size(problem, width), max(stop - start, 1))
    count, rest = divmod(stop - start, size)
    runs = [Run(start, size, count, key_start, width)] if count else []
    return (*runs, Run(stop - rest, rest, 1, key_start, width)) if rest else tuple(runs)


def _spans(problem: Problem, unit: int) -> tuple[np.ndarray, np.ndarray, Interval]:
    starts = np.arange(0, problem.t, unit)
    stops = np.minimum(starts + unit, problem.t)
    return starts, stops, spans(problem.mask, starts, stops, problem.s)


def _cuts(
    starts: np.ndarray, stops: np.ndarray, first: np.ndarray, after: np.ndarray, most: int
) -> list[tuple[int, int]]:
    """At most so many runs of neighbouring blocks with the fewest scores in all."""
    count = len(starts)
    low = np.where(first < after, first, np.iinfo(np.int64).max)
    cost = np.full((count + 1, count + 1), np.inf)  # Of the run of blocks i to before j.
    for i in range(count):
        width = np.maximum.accumulate(after[i:]) - np.minimum.accumulate(low[i:])
        cost[i, i + 1 :] = (stops[i:] - starts[i]) * np.maximum(width, 0)
    total, came_from = cost[0].copy(), [np.zeros(count + 1, int)]
    for _ in range(min(most, count) - 1):
        through = total[:, None] + cost
        came_from.append(np.argmin(through, 0))
        better = through.min(0)
        came_from[-1] = np.where(better < total, came_from[-1], -1)
        total = np.minimum(better, total)
    cuts, end, level = [], count, len(came_from) - 1
    while end > 0:
        while level > 0 and came_from[level][end] < 0:
            level -= 1
        start = int(came_from[level][end]) if level else 0
        cuts.append((start, end))
        end, level = start, max(level - 1, 0)
    return cuts[::-1]
