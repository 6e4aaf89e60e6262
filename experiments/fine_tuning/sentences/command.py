"""`sentences`: trains, tests and prints a table; `--check` compares with the original instead."""

import argparse
import dataclasses
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments import results
from experiments.command import add_fields, configured, typed
from experiments.fine_tuning.sentences import data, report, train
from experiments.fine_tuning.sentences.config import MAY_BE_ZERO, METHODS, Config
from experiments.fine_tuning.sentences.corpora import CORPORA
from experiments.fine_tuning.sentences.methods import LORA_AXES


def add_options(parser: argparse.ArgumentParser) -> None:
    add_fields(
        parser,
        Config,
        {"method": [*METHODS, "all"], "corpus": list(CORPORA), "adapted": list(LORA_AXES)},
    )
    parser.add_argument("--out", type=Path, default=Path("runs/fine-tuning-sentences"))
    parser.add_argument("--resume", action="store_true", help="continue the run in --out")
    parser.add_argument("--check", action="store_true", help="compare with the original, no more")


def run(options: argparse.Namespace) -> int:
    """Each method's files are in a folder of its name; results.json has the table of all."""
    began = time.perf_counter()
    config = configured(Config(), options, MAY_BE_ZERO)
    if options.check:
        write(options.out / "check.json", config, began, check(config), {})
        return 0
    names = list(METHODS) if config.method == "all" else [config.method]
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
    write(options.out / "results.json", config, began, report.accuracies(runs), figures)
    return 0


def check(config: Config) -> results.Table:
    """A hundred texts to test on, in both."""
    config = dataclasses.replace(config, tested=100)
    tokenize = train.read_pretrained(config.length).tokenize
    return report.fidelity(config, data.parts(config, CORPORA[config.corpus](), tokenize)["test"])


def write(
    path: Path, config: Config, began: float, table: results.Table, runs: Mapping[str, Any]
) -> None:
    command = typed("experiments.fine_tuning")
    more = {"config": dataclasses.asdict(config), "runs": runs}
    record = results.record(
        "fine-tuning", command, seeds=[config.seed], began=began, tables=[table], more=more
    )
    trained = sum(one["seconds"]["all"] for one in runs.values())
    if trained:  # Also of runs that were done before.
        record["minutes"] = round(trained / 60, 1)
    results.write(path, record)
    print(results.text(table))
    print(f"everything is in {path.parent}")
