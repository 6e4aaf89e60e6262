"""The ways to cut up a call of the engine, and the choice among them."""

import dataclasses
from collections.abc import Callable

import numpy as np

from jattn.engine.planning import Plan, Problem, Run, scores
from jattn.masks.spans import spans

# Measured on processors with a few megabytes of cache a core.
BLOCK = 2**20  # Scores of a block, 4 MB in float32: what is read again should still be in a cache.
ROWS = (128, 256)  # Rows of a block, the queries of all heads of a group: fewer make products slow.
STEP, SMALL = 2**19, 2**16  # Scores of a step over several heads, each of at most so many.
WHOLE = 2**18  # Scores of a head that are not worth dividing.
GROUPS = 8  # Runs of blocks that are compiled each for itself.
STARTING = 2**15  # A block's cost beside its scores, and the rows at which half the time is lost.
SLOW_ROWS = 48
# Shares of the keys that a block may be narrowed to; each is compiled for itself.
SIXTEENTHS, NARROWEST = (1, 2, 4, 6, 8, 10, 12, 14), 128

Planner = Callable[[Problem], Plan]


def dense(problem: Problem) -> Plan:
    """All queries against all keys at once, a step's worth of heads at a time."""
    run = Run(0, problem.t, 1, 0, problem.s)
    return Plan("dense", problem, (run,), _together(problem, run))


def chunked(problem: Problem) -> Plan:
    """Blocks of queries against all keys."""
    runs = _blocks(problem, 0, problem.t, 0, problem.s)
    return Plan("chunked", problem, runs, _together(problem, *runs))


def grouped(problem: Problem) -> Plan:
    """Runs of blocks, each against the span of keys that some of its queries see."""
    smallest = problem.chunk_size or 64
    unit = smallest * max(1, -(-problem.t // (64 * smallest)))
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
    return Plan("banded", problem, (run,), _together(problem, run))


def narrowed(problem: Problem) -> Plan:
    """Blocks of queries, each against the span of keys that it is found to see as it runs."""
    plan = chunked(problem)
    if plan.together > 1:  # Several elements would have to agree on a width.
        return plan
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


def _size(problem: Problem, width: int) -> int:
    """Queries of a block: a power of two, so that the blocks of a run fill it."""
    fewest, most = ROWS
    rows = min(max(BLOCK // max(width, 1), fewest), most)
    return 2 ** (max(rows // problem.heads, 1).bit_length() - 1)


def _blocks(problem: Problem, start: int, stop: int, key_start: int, width: int) -> tuple[Run, ...]:
    """The queries from `start` to `stop` in blocks, the last of which may be smaller."""
    size = min(problem.chunk_size or _size(problem, width), max(stop - start, 1))
    count, rest = divmod(stop - start, size)
    runs = [Run(start, size, count, key_start, width)] if count else []
    return (*runs, Run(stop - rest, rest, 1, key_start, width)) if rest else tuple(runs)


def _together(problem: Problem, *runs: Run) -> int:
    """Returns the number of heads or batch elements that one step computes."""
    largest = max((run.size * run.width for run in runs), default=1) * problem.heads
    return max(STEP // max(largest, 1), 1) if largest <= SMALL else 1


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
