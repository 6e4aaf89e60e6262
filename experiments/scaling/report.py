"""The figures and tables of a run, from the results of its processes."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.results import Table
from experiments.scaling import cost_model, predictions, values
from experiments.scaling.collectives import Traffic, sent
from experiments.scaling.config import Config
from experiments.scaling.context_parallel import ONE_DEVICE
from experiments.scaling.cost_model import Constants, Costs
from experiments.scaling.job import DATA_PARALLEL
from experiments.scaling.predictions import significant
from experiments.scaling.schemes import SCHEMES, Layer, costs, needed

BALANCED = (2, 4, 8, 64)  # Numbers of devices in the table of balance.
Runs = Mapping[int, Mapping[str, Any]]


def layer_of(config: Config) -> Layer:
    return Layer(config.heads, config.key_value_heads, config.head_size)


def bytes_of_step(name: str, devices: int, config: Config, parameter_bytes: int) -> float:
    """Returns the bytes that a device sends in a step of the language model, in float64.

    They are those of each layer's attention, of the sum of the parameters' gradient, and of the
    mean of the loss.
    """
    layer = layer_of(config)._replace(bytes=8)
    traffic = SCHEMES[name].compiled or SCHEMES[name].traffic
    attention = traffic(devices, config.length, layer).bytes
    return config.layers * attention + all_reduced(parameter_bytes + 8, devices)


def all_reduced(size: float, devices: int) -> float:
    return sent("all-reduce", size, devices).bytes


def measured(runs: Runs, config: Config, processors: int) -> list[dict[str, Any]]:
    """Returns a row for each time of attention, with the costs of its busiest device."""
    rows = []
    layer = layer_of(config)
    for devices, run in runs.items():
        for name, by_tokens in run["attention"].items():
            for tokens, timed in by_tokens.items():
                if name == ONE_DEVICE:
                    step = Costs(needed(int(tokens), layer), 0.0, 0.0)
                else:
                    step = costs(SCHEMES[name], devices, int(tokens), layer, processors)
                seconds = {"measured": timed["seconds"], "sent": Traffic(*timed["sent"])}
                where = {"scheme": name, "devices": devices, "tokens": int(tokens)}
                rows.append(where | seconds | {"costs": step})
    return rows


def fitted(rows: Sequence[dict[str, Any]]) -> Constants:
    """Fits the constants, and adds the seconds of the model to each row."""
    constants = cost_model.fit([row["costs"] for row in rows], [row["measured"] for row in rows])
    for row in rows:
        row["modelled"] = cost_model.seconds(row["costs"], constants)
    return constants


def disagreements(runs: Runs, rows: Sequence[Mapping[str, Any]], config: Config) -> list[str]:
    """Returns a line for each program whose traffic is not that of its formula."""
    found = []
    for row in rows:
        by_formula = Traffic(row["costs"].bytes, row["costs"].messages)
        if not np.allclose(row["sent"], by_formula, rtol=1e-12, atol=0):
            where = f"{row['scheme']}, {row['devices']} devices, {row['tokens']} tokens"
            found.append(f"{where}: sends {row['sent']}, by the formula {by_formula}")
    for devices, run in runs.items():
        for name, step in run["trainings"].items():
            if devices > 1 and name in SCHEMES:
                formula = bytes_of_step(name, devices, config, step["parameter_bytes"])
                if not math.isclose(step["sent"][0], formula, rel_tol=1e-12):
                    where = f"{name}, {devices} devices, language model"
                    found.append(f"{where}: sends {step['sent'][0]}, by the formula {formula}")
    return found


def values_table(comparisons: Sequence[values.Comparison]) -> Table:
    rows = [
        [each.training, str(each.devices), *(f"{x:.1e}" for x in each.differences.values())]
        for each in comparisons
    ]
    most = ", ".join(f"{name} {most:.0e}" for name, most in values.TOLERANCES.items())
    return Table(
        "Differences from one device",
        ["training", "processes", "losses", "gradient", "trained"],
        rows,
        [f"The largest difference over the largest value, in float64; at most: {most}."],
    )


def balance_table(tokens: int) -> Table:
    """Returns the work of the busiest device over an equal share of all work."""
    rows = []
    for name, scheme in SCHEMES.items():
        row = [name]
        for devices in BALANCED:
            share = tokens * (tokens + 1) / 2 / devices
            row.append(f"{scheme.pairs(devices, tokens).max() / share:.2f}")
        rows.append(row)
    columns = ["scheme", *(f"{devices} devices" for devices in BALANCED)]
    note = "Pairs whose scores the busiest device computes, over pairs under the mask / devices."
    return Table("Balance of causal work", columns, rows, [note])


def traffic_table(runs: Runs, rows: Sequence[Mapping[str, Any]], config: Config) -> Table:
    """Returns bytes and times of attention and of a model's step, for the longest sequence."""
    longest = max(config.tokens)
    shown = []
    for row in rows:
        if row["tokens"] == longest:
            step = runs[row["devices"]]["trainings"][row["scheme"]]
            shown.append(
                [
                    row["scheme"],
                    str(row["devices"]),
                    f"{row['sent'].bytes / 1e6:.3f}",
                    f"{row['costs'].bytes / 1e6:.3f}",
                    f"{row['sent'].messages:,.0f}",
                    f"{1e3 * row['measured']:.0f}",
                    f"{step['sent'][0] / 1e6:.3f}",
                    f"{1e3 * step['seconds']:.0f}",
                ]
            )
    note = (
        f"{longest:,} tokens, {config.heads} heads, {config.key_value_heads} key-value heads of"
        f" {config.head_size}, float32. MB that a device sends: counted from the collectives of the"
        " compiled program, and by the formula. The last columns are of a training step of the"
        f" model: {config.length:,} tokens, {config.layers} layers, float64. Times: the shortest of"
        f" {config.repeats} calls, those of training steps with few optimizations of XLA."
    )
    attention = ["MB, compiled", "MB, formula", "messages", "ms"]
    columns = ["scheme", "processes", *attention, "model: MB", "model: ms"]
    return Table("Attention with its gradient, and a step", columns, shown, [note])


def data_parallel_table(runs: Runs) -> Table:
    rows = []
    for devices, run in runs.items():
        part = run["trainings"][DATA_PARALLEL]
        formula = all_reduced(part["parameter_bytes"], devices) if devices > 1 else 0.0
        figures = [f"{x / 1e6:.3f}" for x in (part["sent"][0], formula)]
        rows.append([str(devices), *figures, f"{1e3 * part['seconds']:.1f}"])
    note = "Formula: 2 (n - 1) / n times the bytes of the parameters; the rest is the loss."
    columns = ["processes", "MB, compiled", "MB, formula", "ms"]
    return Table("A data-parallel step of the pronunciation model", columns, rows, [note])


def constants_table(constants: Constants, rows: Sequence[Mapping[str, Any]]) -> Table:
    errors = [abs(row["modelled"] / row["measured"] - 1) for row in rows]
    worst = max(rows, key=lambda row: abs(row["modelled"] / row["measured"] - 1))
    named = "{scheme}, {devices} processes, {tokens:,} tokens".format(**worst)
    middle, most = (f"{100 * x:.0f} %" for x in (statistics.median(errors), max(errors)))
    note = f"Fitted to {len(rows)} times; off by {middle} in the median, and by {most} at most"
    return Table(
        "Constants of the cost model",
        ["constant", "value"],
        [
            ["rate of a processor", f"{significant(constants.rate / 1e9)} GFLOP/s"],
            ["bandwidth of a device", f"{significant(constants.bandwidth / 1e9)} GB/s"],
            ["latency of a message", f"{significant(1e3 * constants.latency)} ms"],
        ],
        [f"{note} ({named})."],
    )


def tables(
    runs: Runs,
    rows: Sequence[Mapping[str, Any]],
    constants: Constants,
    comparisons: Sequence[values.Comparison],
    config: Config,
) -> list[Table]:
    return [
        values_table(comparisons),
        data_parallel_table(runs),
        balance_table(predictions.TOKENS),
        traffic_table(runs, rows, config),
        constants_table(constants, rows),
        predictions.table(constants),
    ]
