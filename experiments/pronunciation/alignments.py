"""Attention with memory between queries, beside additive attention, on words and on longer words.

`python -m experiments.pronunciation.alignments` trains each mechanism with several seeds on short
words, and tests it on short and on longer ones.
"""

import argparse
import dataclasses
import json
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments import command, results
from experiments.pronunciation.config import ATTENTIONS, Config
from experiments.pronunciation.train import run
from jattn import training

COMPARED = ("additive", "location-aware", "coverage", "monotonic")


def trained(config: Config, out: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Returns the record of a run, from its file where it is finished."""
    file = out / "results.json"
    if options.resume and file.exists():
        found = json.loads(file.read_text("utf-8"))
        if found["config"] == dataclasses.asdict(config):
            return found
    resume = options.resume and (out / "checkpoint.safetensors").exists()
    return run(config, out, resume=resume, tested=options.tested, command=options.typed)


def table(records: dict[str, list[dict[str, Any]]], config: Config) -> results.Table:
    """Returns a line for each mechanism: means of the seeds, ± the standard error of the mean.

    With one seed, ± is the standard error over the test words.
    """

    def cell(runs: Sequence[dict[str, Any]], part: str, kind: str) -> str:
        shares = [100 * run["test_longer"][part][kind] for run in runs]
        if len(shares) == 1:
            share, words = shares[0], runs[0]["test_longer"][part]["count"]
            error = 100 * training.standard_error(share / 100, words)
            return f"{share:.1f} %" + (f" ± {error:.1f}" if kind == "words" else "")
        return (
            f"{statistics.mean(shares):.1f} % ± {statistics.stdev(shares) / len(shares) ** 0.5:.1f}"
        )

    rows = []
    for name, runs in records.items():
        seconds = statistics.mean(run["seconds"]["training"] for run in runs)
        shares = (cell(runs, part, kind) for part in ("others", "longer") for kind in KINDS)
        rows.append([name, *shares, f"{seconds:.0f}"])
    first = next(iter(records.values()))
    count = {part: first[0]["test_longer"][part]["count"] for part in ("others", "longer")}
    within, beyond = f"up to {config.longest} letters", f"{config.longest + 1} letters and more"
    columns = ["attention", *(f"{kind}, {part}" for part in (within, beyond) for kind in KINDS)]
    note = (
        f"{count['others']:,} and {count['longer']:,} test words of stems that are not in training;"
        f" seeds: {len(first)}; {config.steps:,} steps. Seconds depend on the machine's load."
    )
    title = f"Share of wrong words and phones, trained on words of up to {config.longest} letters"
    return results.Table(title, [*columns, "seconds of training"], rows, [note])


KINDS = ("words", "phones")


def compare(options: argparse.Namespace) -> None:
    began = time.perf_counter()
    command.make_folder(options.out)
    preset = Config(longest=options.longest, steps=options.steps)
    records: dict[str, list[dict[str, Any]]] = {name: [] for name in options.attentions}
    for seed in range(options.seeds):
        for name in options.attentions:
            config = dataclasses.replace(preset, attention=name, seed=seed)
            record = trained(config, options.out / f"{name}-{seed}", options)
            if record["test_longer"] is None:
                raise ValueError(f"--longest is {options.longest}: no test word is longer")
            records[name].append(record)
            wrong = record["test_longer"]
            both = (f"{100 * wrong[part]['words']:.1f} %" for part in ("others", "longer"))
            print(f"{name}, seed {seed}: {' and '.join(both)} of words wrong", flush=True)
    tables = [table(records, preset)]
    runs = {name: [run["test_longer"] for run in found] for name, found in records.items()}
    record = results.record(
        *("pronunciation", options.typed),
        seeds=range(options.seeds),
        began=began,
        tables=tables,
        more={"runs": runs},
    )
    # Of all runs, also of those that were finished before.
    record["minutes"] = round(sum(run["minutes"] for found in records.values() for run in found), 1)
    results.write(options.out / "results.json", record)
    print(results.text(tables[0]))


def main(typed: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = command.Parser(
        prog="python -m experiments.pronunciation.alignments", description=__doc__
    )
    parser.set_defaults(work=compare)
    parser.add_argument("--attentions", nargs="+", choices=ATTENTIONS, default=COMPARED)
    counts = {"seeds": 3, "steps": 600, "longest": 7}
    for name, default in counts.items():
        text = f"(default: {default})"
        parser.add_argument(f"--{name}", type=command.whole(), default=default, help=text)
    parser.add_argument("--tested", type=command.whole(), metavar="N", help="test words")
    parser.add_out(Path("runs/alignments"))
    parser.add_resume()
    return command.run(parser, typed)


if __name__ == "__main__":
    sys.exit(main())
