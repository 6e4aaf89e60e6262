"""`pronunciation`: checks the published weights, trains each method, prints both tables."""

import argparse
import dataclasses
import json
import time
from pathlib import Path
from typing import Any

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
        runs[name] = done(out / "results.json", options.resume, "config", as_dict(of_method))
        if runs[name] is None:
            resume = options.resume and (out / "checkpoint.safetensors").exists()
            runs[name] = train.run(of_method, out, dictionary, resume=resume)
    path = options.out / "published.json"
    asked = {name: getattr(config, name) for name in report.ASKED}
    published = done(path, options.resume, "asked", asked)
    if published is None:
        published = report.of_published(config, dictionary)
        results.write(path, published)
    tables = [results.Table(**published["table"]), report.errors(runs, published)]
    whole = {"published": published, **runs}
    more = {"config": as_dict(config)} | {name: figures(one) for name, one in whole.items()}
    record = results.record(
        "fine-tuning-pronunciation",
        typed("experiments.fine_tuning"),
        seeds=[config.seed],
        began=began,
        tables=tables,
        more=more,
    )
    # Also of runs that were done before.
    trained = sum(one["seconds"]["all"] for one in runs.values())
    record["minutes"] = round(max(trained / 60, record["minutes"]), 1)
    results.write(options.out / "results.json", record)
    for table in tables:
        print(results.text(table), end="\n\n")
    if "attention" in runs:
        print(pictures.draw(options.out / "attention", options.out / "attention.png"))
    print(f"everything is in {options.out}")
    return 0


def as_dict(config: Config) -> dict[str, Any]:
    return dataclasses.asdict(config)


def done(path: Path, resume: bool, name: str, asked: dict[str, Any]) -> dict[str, Any] | None:
    """What stands in a file, if it is to be used again and was asked the same."""
    if not resume or not path.exists():
        return None
    kept = json.loads(path.read_text("utf-8"))
    return kept if kept[name] == asked else None


def figures(one: dict[str, Any]) -> dict[str, Any]:
    """Without what stands in the record's tables, and whole lists of words."""
    return {name: value for name, value in one.items() if name not in ("table", "test_right")}
