"""`sentences`: trains, tests and prints a table; `--check` compares with the original instead."""

import argparse
import dataclasses
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments import results
from experiments.command import add_fields, configured, typed
from experiments.fine_tuning.sentences import data, report, train
from experiments.fine_tuning.sentences.config import MAY_BE_ZERO, METHODS, Config
from experiments.fine_tuning.sentences.corpora import CORPORA

ALL = "all"


def add_options(parser: argparse.ArgumentParser) -> None:
    choices = {"method": [*METHODS, ALL], "corpus": list(CORPORA)}
    add_fields(parser, Config, choices, several=["method"])
    parser.add_argument("--out", type=Path, default=Path("runs/fine-tuning-sentences"))
    parser.add_argument("--resume", action="store_true", help="continue the run in --out")
    parser.add_argument("--check", action="store_true", help="compare with the original, no more")


def run(options: argparse.Namespace) -> int:
    """Each method's files are in a folder of its name; results.json has the table of all."""
    began = time.perf_counter()
    names = chosen(options.method)
    options.method = names[0]
    config = configured(Config(), options, MAY_BE_ZERO)
    shared = dataclasses.asdict(config) | {"method": " ".join(names)}
    if options.check:
        write(options.out / "check.json", shared, began, check(config), {})
        return 0
    runs = {}
    for name in names:
        out, of_method = options.out / name, dataclasses.replace(config, method=name)
        done = out / "results.json"
        kept = json.loads(done.read_text("utf-8")) if options.resume and done.exists() else None
        if kept is None or kept["config"] != dataclasses.asdict(of_method):
            kept = train.run(of_method, out, resume=options.resume)
        runs[name] = kept
    figures = {
        name: {key: value for key, value in one.items() if not key.startswith("test_")}
        for name, one in runs.items()
    }
    write(options.out / "results.json", shared, began, report.accuracies(runs), figures)
    return 0


def chosen(given: Sequence[str] | None) -> list[str]:
    """The methods to train, each once; the default one where none is given."""
    if given and ALL in given:
        return list(METHODS)
    return list(dict.fromkeys(given or [Config.method]))


def check(config: Config) -> results.Table:
    """A hundred texts to test on, in both."""
    config = dataclasses.replace(config, tested=100)
    tokenize = train.read_pretrained(config.length).tokenize
    return report.fidelity(config, data.parts(config, CORPORA[config.corpus](), tokenize)["test"])


def write(
    path: Path,
    config: Mapping[str, Any],
    began: float,
    table: results.Table,
    runs: Mapping[str, Any],
) -> None:
    command = typed("experiments.fine_tuning")
    more = {"config": config, "runs": runs}
    record = results.record(
        "fine-tuning", command, seeds=[config["seed"]], began=began, tables=[table], more=more
    )
    trained = sum(one["seconds"]["all"] for one in runs.values())
    if trained:  # Also of runs that were done before.
        record["minutes"] = round(trained / 60, 1)
    results.write(path, record)
    print(results.text(table))
    print(f"everything is in {path.parent}")
