"""`pronunciation`: checks the published weights, trains each method and prints both tables."""

import argparse
import dataclasses
import json
import time
from pathlib import Path
from typing import Any

from experiments import results
from experiments.command import Parser, configured
from experiments.fine_tuning.pronunciation import pictures, report, train, words
from experiments.fine_tuning.pronunciation.config import ALL, METHODS, Config


def add_options(parser: Parser) -> None:
    parser.add_config(Config)
    parser.add_out(Path("runs/fine-tuning-pronunciation"))
    parser.add_resume()


def run(options: argparse.Namespace) -> None:
    """Trains each method into a folder of its name, and writes results.json with both tables."""
    began = time.perf_counter()
    config = configured(Config(), options)
    dictionary = words.read_words()
    words.check(dictionary, config)
    names = list(METHODS) if config.method == ALL else [config.method]
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
    more = {"config": as_dict(config)}
    more |= {name: figures(part) for name, part in {"published": published, **runs}.items()}
    record = results.record(
        "fine-tuning-pronunciation",
        options.typed,
        seeds=[config.seed],
        began=began,
        tables=tables,
        more=more,
    )
    # Runs that were finished before are counted.
    trained = sum(run["seconds"]["all"] for run in runs.values())
    record["minutes"] = round(max(trained / 60, record["minutes"]), 1)
    results.write(options.out / "results.json", record)
    for table in tables:
        print(results.text(table), end="\n\n")
    if "attention" in runs:
        print(pictures.draw(options.out / "attention", options.out / "attention.png"))
    print(f"everything is in {options.out}")


def as_dict(config: Config) -> dict[str, Any]:
    return dataclasses.asdict(config)


def done(path: Path, resume: bool, name: str, asked: dict[str, Any]) -> dict[str, Any] | None:
    """Returns the content of a file of an earlier run with the same options, if resuming.

    Raises:
        ValueError: the file is none of this command's.
    """
    if not resume or not path.exists():
        return None
    try:
        earlier = json.loads(path.read_text("utf-8"))
        return earlier if earlier[name] == asked else None
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path} is not what this command writes") from None


def figures(results: dict[str, Any]) -> dict[str, Any]:
    """Returns the results without those in the record's tables and without lists of words."""
    return {name: value for name, value in results.items() if name not in ("table", "test_right")}
