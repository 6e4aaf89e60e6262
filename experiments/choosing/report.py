"""The tables of a run: accuracies and costs of each mechanism."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.choosing.examples import LONGER
from experiments.results import Table, estimate

NEITHER = "-"  # Of a cell that was not run.
COSTS = (
    "Milliseconds: medians, the mechanisms taking turns. KiB: temporary memory of the compiled "
    "step, without its arguments and results. Operations: of attention alone, forward, for one "
    "example, as `jattn.trace` counts them."
)


def tables(results: Mapping[str, Any], tasks: Sequence[str], names: Sequence[str]) -> list[Table]:
    """Returns tables of sequences and of tokens, also for longer examples, and of costs."""
    cells, config = results["cells"], results["config"]
    longer = [f"{times:g}" for times in LONGER]
    lengths = f"examples {' and '.join(longer)} times as long as the longest that were trained"
    spread = (
        f"Means of {config['seeds']} seeds, each tested on {config['tested']} examples; ± is the "
        "standard error of that mean, from the spread of the seeds."
        if config["seeds"] > 1
        else f"One seed, tested on {config['tested']} examples."
    )

    def grid(title: str, entry: Any, notes: Sequence[str] = ()) -> Table:
        shown = lambda name, task: (
            entry(cells[key(task, name)]) if key(task, name) in cells else NEITHER
        )
        rows = [[name, *(shown(name, task) for task in tasks)] for name in names]
        return Table(title, ["mechanism", *tasks], rows, notes)

    def of_longer(kind: str) -> Any:
        return lambda cell: " / ".join(f"{100 * np.mean(cell[kind][t]):.0f}" for t in longer)

    return [
        grid(
            "Sequences that are right, per cent, of the lengths that were trained",
            lambda cell: estimate(cell["sequences"]["1"]),
            [spread],
        ),
        grid(
            f"Sequences that are right, per cent, of {lengths}",
            of_longer("sequences"),
        ),
        grid(
            "Tokens that are right given those before them, per cent, of the trained lengths",
            lambda cell: estimate(cell["tokens"]["1"]),
        ),
        grid(
            f"Tokens that are right given those before them, per cent, of {lengths}",
            of_longer("tokens"),
        ),
        *([cost_table(results["costs"], names)] if results.get("costs") else []),
    ]


def cost_table(costs: Mapping[str, Any], names: Sequence[str]) -> Table:
    names = [name for name in names if name in costs]
    lengths = list(costs[names[0]]["bytes"])
    columns = ["mechanism", "weights"]
    for length in lengths:
        columns += [f"ms, {length} tokens", f"KiB, {length} tokens", f"operations, {length} tokens"]
    rows = []
    for name in names:
        cost = costs[name]
        row = [name, f"{cost['weights']:,}"]
        for length in lengths:
            row += [
                f"{cost['milliseconds'][length]['median']:.2f}",
                f"{cost['bytes'][length] / 1024:,.0f}",
                f"{cost['operations'][length]:,}",
            ]
        rows.append(row)
    return Table(
        "A training step",
        columns,
        rows,
        [COSTS],
    )


def key(task: str, mechanism: str) -> str:
    return f"{task}/{mechanism}"
