"""How a call of the engine is cut up: read off the shapes and what is known of the mask."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jattn.masks.algebra import Mask
from jattn.masks.spans import spans

BLOCK = 2**20  # Scores of a block: 4 MB in float32, about what a core's share of the cache holds.
STEP = 2**18  # Scores of a step over several heads or batch elements.
COLUMNS = 256  # Queries of a block, all heads of a group counted.
GROUPS = 8  # Runs of blocks that are compiled each for itself.


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
    """The runs of blocks that make up one head's work, and how many heads are taken at a time."""

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
        return 4 * largest * self.problem.heads * self.together

    def __str__(self) -> str:
        p = self.problem
        pairs = max(p.t * p.s, 1)
        rows = [
            f"{self.name}: {p.batch} × {p.groups} problems of {p.heads} × {p.t} queries"
            f" and {p.s} keys, {self.together} at a time",
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


Planner = Callable[[Problem], Plan]


def dense(problem: Problem) -> Plan:
    """All queries against all keys at once, a step's worth of heads at a time."""
    run = Run(0, problem.t, min(problem.t, 1), 0, problem.s)
    return Plan("dense", problem, (run,) if problem.t else (), _together(problem, run))


def chunked(problem: Problem) -> Plan:
    """Blocks of queries against all keys."""
    runs = _blocks(problem, 0, problem.t, 0, problem.s)
    return Plan("chunked", problem, runs, _together(problem, *runs))


def grouped(problem: Problem) -> Plan:
    """Runs of blocks, each against the span of keys that some of its queries see."""
    unit = problem.chunk_size or max(64, -(-problem.t // 64))
    starts, stops, seen = _spans(problem, unit)
    cuts = _cuts(starts, stops, seen.start, seen.stop)
    runs: tuple[Run, ...] = ()
    for first, last in cuts:
        some = seen.start[first:last] < seen.stop[first:last]
        low = int(seen.start[first:last][some].min(initial=problem.s))
        high = int(seen.stop[first:last][some].max(initial=0))
        low = min(low, high)
        runs += _blocks(problem, int(starts[first]), int(stops[last - 1]), low, high - low)
    return Plan("grouped", problem, runs, _together(problem, *runs))


def banded(problem: Problem) -> Plan:
    """Blocks of queries, each against keys that lie the same way round its own position."""
    size = problem.chunk_size or min(_size(problem, problem.s), 128, max(problem.t, 1))
    starts, stops, seen = _spans(problem, size)
    some = seen.start < seen.stop
    if not some.any():
        return grouped(problem)
    before = int((starts - seen.start)[some].max())
    after = int((seen.stop - stops)[some].max())
    count = -(-problem.t // size)
    run = Run(0, size, count, -before, before + size + after, size)
    return Plan("banded", problem, (run,), _together(problem, run))


def best(problem: Problem) -> Plan:
    """The cheapest of the others, by the scores that it computes."""
    scores = problem.heads * problem.t * problem.s
    if problem.chunk_size is None and scores <= STEP and problem.heads * problem.t <= COLUMNS * 4:
        return dense(problem)
    if problem.mask is None:
        return chunked(problem)
    cost = lambda plan: sum(run.scores + 2**14 * run.count for run in plan.runs)
    plans = [chunked(problem), grouped(problem), banded(problem)]
    return min(plans, key=cost)  # The first of equals is the simplest.


def _size(problem: Problem, width: int) -> int:
    """Queries of a block: a power of two, so that the blocks of a run fill it."""
    fitting = min(BLOCK // max(width * problem.heads, 1), COLUMNS // problem.heads)
    return 2 ** max(fitting, 1).bit_length() // 2 if fitting >= 16 else 16


def _blocks(problem: Problem, start: int, stop: int, key_start: int, width: int) -> tuple[Run, ...]:
    """The queries from `start` to `stop` in blocks, the last of which may be smaller."""
    size = min(problem.chunk_size or _size(problem, width), max(stop - start, 1))
    count, rest = divmod(stop - start, size)
    runs = [Run(start, size, count, key_start, width)] if count else []
    return (*runs, Run(stop - rest, rest, 1, key_start, width)) if rest else tuple(runs)


def _together(problem: Problem, *runs: Run) -> int:
    """How many heads or batch elements are taken in one step."""
    largest = max((run.size * run.width for run in runs), default=1) * problem.heads
    return min(max(STEP // max(largest, 1), 1), max(problem.batch * problem.groups, 1))


def _spans(problem: Problem, unit: int):
    starts = np.arange(0, problem.t, unit)
    stops = np.minimum(starts + unit, problem.t)
    return starts, stops, spans(problem.mask, starts, stops, problem.s)


def _cuts(starts, stops, first, after) -> list[tuple[int, int]]:
    """At most GROUPS runs of neighbouring blocks with the fewest scores in all."""
    count = len(starts)
    low = np.where(first < after, first, np.iinfo(np.int64).max)
    cost = np.full((count + 1, count + 1), np.inf)  # Of the run of blocks i to before j.
    for i in range(count):
        width = np.maximum.accumulate(after[i:]) - np.minimum.accumulate(low[i:])
        cost[i, i + 1 :] = (stops[i:] - starts[i]) * np.maximum(width, 0)
    total, came_from = cost[0].copy(), [np.zeros(count + 1, int)]
    for _ in range(min(GROUPS, count) - 1):
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
