"""`pronunciation`: checks the published weights, trains each method, prints both tables."""

import argparse
import dataclasses
import json
import time
from pathlib import Path

from experiments import results
from experiments.command import add_fields, configured, typed
from experiments.fine_tuning.pronunciation import pictures, report, train, words
from experiments.fine_tuning.pronunciation.config import MAY_BE_ZERO, METHODS, Config


def add_options(parser: argparse.ArgumentParser) -> None:
    add_fields(parser, Config, {"method": [*METHODS, "all"]})
    parser.add_argument("--out", type=Path, default=Path("runs/fine-tuning-pronunciation"))
    parser.add_argument("--resume", action="store_true", help="continue the run in --out")


def run(options: argparse.Namespace) -> int:
    """Each method's files are in a folder of its name; results.json has both tables."""
    began = time.perf_counter()
    config = configured(Config(), options, MAY_BE_ZERO)
    dictionary = words.read_words()
    names = list(METHODS) if config.method == "all" else [config.method]
    runs = {}
    for name in names:
        out, of_method = options.out / name, dataclasses.replace(config, method=name)
        done = out / "results.json"
        kept = json.loads(done.read_text("utf-8")) if options.resume and done.exists() else None
        if kept is None or kept["config"] != dataclasses.asdict(of_method):
            resume = options.resume and (out / "checkpoint.safetensors").exists()
            kept = train.run(of_method, out, dictionary, resume=resume)
        runs[name] = kept
    check, checked = report.fidelity(config, dictionary)
    table, before = report.errors(runs, config, dictionary)
    kept = {
        name: {key: value for key, value in one.items() if key != "test_right"}
        for name, one in runs.items()
    }
    more = {
        "config": dataclasses.asdict(config),
        "published": {"drawn": checked, "test": before},
        "runs": kept,
    }
    record = results.record(
        "fine-tuning-pronunciation",
        typed("experiments.fine_tuning"),
        seeds=[config.seed],
        began=began,
        tables=[check, table],
        more=more,
    )
    # Also of runs that were done before.
    trained = sum(one["seconds"]["all"] for one in runs.values())
    record["minutes"] = round(max(trained / 60, record["minutes"]), 1)
    results.write(options.out / "results.json", record)
    for one in (check, table):
        print(results.text(one), end="\n\n")
    if "attention" in runs:
        print(pictures.draw(options.out / "attention", options.out / "attention.png"))
    print(f"everything is in {options.out}")
    return 0
