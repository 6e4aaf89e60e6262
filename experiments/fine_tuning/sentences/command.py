"""`sentences`: trains, tests and prints a table; `--check` compares with the original weights."""

import argparse
import dataclasses
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments import results
from experiments.command import Parser, configured
from experiments.fine_tuning.sentences import data, report, train
from experiments.fine_tuning.sentences.config import ALL, METHODS, Config
from experiments.fine_tuning.sentences.corpora import CORPORA


def add_options(parser: Parser) -> None:
    parser.add_config(Config, several=["method"])
    parser.add_out(Path("runs/fine-tuning-sentences"))
    parser.add_resume()
    parser.add_argument(
        "--check", action="store_true", help="compare with the original weights instead"
    )


def run(options: argparse.Namespace) -> None:
    """Trains each method into a folder of its name, and writes results.json with the table."""
    began = time.perf_counter()
    names = chosen(options.method)
    options.method = names[0]
    config = configured(Config(), options)
    shared = dataclasses.asdict(config) | {"method": " ".join(names)}
    if options.check:
        write(options, "check.json", shared, began, check(config), {})
        return
    runs = {}
    for name in names:
        out, of_method = options.out / name, dataclasses.replace(config, method=name)
        finished = earlier(out / "results.json", of_method) if options.resume else None
        runs[name] = finished or train.run(of_method, out, resume=options.resume)
    figures = {
        name: {key: value for key, value in results.items() if not key.startswith("test_")}
        for name, results in runs.items()
    }
    write(options, "results.json", shared, began, report.accuracies(runs), figures)


def earlier(path: Path, config: Config) -> dict[str, Any] | None:
    """Returns the results of an earlier run of the same configuration, if there are any.

    Raises:
        ValueError: the file is none of this command's.
    """
    if not path.exists():
        return None
    try:
        results = json.loads(path.read_text("utf-8"))
        return results if results["config"] == dataclasses.asdict(config) else None
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path} is not what this command writes") from None


def chosen(names: Sequence[str] | None) -> list[str]:
    """Returns the methods to train, each once, or the default."""
    if names and ALL in names:
        return list(METHODS)
    return list(dict.fromkeys(names or [Config.method]))


def check(config: Config) -> results.Table:
    """Compares the embeddings of a hundred texts with those of the original."""
    corpus = CORPORA[config.corpus]()
    config = dataclasses.replace(config, tested=min(100, len(corpus.split()["test"])))
    tokenize = train.read_pretrained(config.length).tokenize
    return report.fidelity(config, data.parts(config, corpus, tokenize)["test"])


def write(
    options: argparse.Namespace,
    file: str,
    config: Mapping[str, Any],
    began: float,
    table: results.Table,
    runs: Mapping[str, Any],
) -> None:
    """Writes the record and prints its table."""
    record = results.record(
        "fine-tuning",
        options.typed,
        seeds=[config["seed"]],
        began=began,
        tables=[table],
        more={"config": config, "runs": runs},
    )
    trained = sum(run["seconds"]["all"] for run in runs.values())
    if trained:  # Runs that were finished before are counted.
        record["minutes"] = round(trained / 60, 1)
    results.write(options.out / file, record)
    print(results.text(table))
    print(f"everything is in {options.out}")
