"""Speakers and other series told apart by a GRU whose states are pooled with and without attention.

Each pooling is trained with several seeds on each set, on its official split. The nearest
neighbour by dynamic time warping is the baseline.
"""

import argparse
import dataclasses
import time
from pathlib import Path

import jax
import numpy as np

from experiments import command, results
from experiments.results import Table
from experiments.speech import classifier, pictures, series
from experiments.speech.classifier import Form
from experiments.speech.config import VOWELS, Vowels
from experiments.speech.series import Split
from jattn import training

ATTENTIVE = ("additive", "local")
# On the official split of JapaneseVowels: two transformers from table 1 of Chen et al. (2023),
# arXiv:2305.19798, and the others from the table of KSig, Toth et al. (2023), arXiv:2311.12214.
PUBLISHED = {
    "JapaneseVowels": (
        ("linear transformer, Chen et al. 2023, table 1", 0.992),
        ("transformer of 2 layers, ibid.", 0.987),
        ("signature kernel by a PDE, as in arXiv:2311.12214", 0.986),
        ("global alignment kernel, ibid.", 0.981),
        ("support vectors with an RBF kernel, ibid.", 0.981),
        ("random warping series, ibid.", 0.955),
    )
}


def add_options(parser: command.Parser) -> None:
    parser.add_presets(VOWELS)
    parser.add_out(Path("runs/speech/vowels"))
    parser.add_resume()


def run(options: argparse.Namespace) -> None:
    """Trains all models, and writes results.json and a picture."""
    began = time.perf_counter()
    config = command.configured(VOWELS[options.preset], options)
    splits = {name: series.read(name) for name in config.data}
    classifier.check_resume(options.resume, options.out)
    command.make_folder(options.out)
    accuracies: dict[str, dict[str, list[float]]] = {}
    tables = []
    for name, split in splits.items():
        accuracies[name] = {}
        for pooling in config.poolings:
            accuracies[name][pooling] = train(
                split, config, pooling, options.out / name, resume=options.resume
            )
        tables.append(table(name, split, accuracies[name]))
        print(results.text(tables[-1]) + "\n")
    seeds = list(range(config.seed, config.seed + config.seeds))
    figures = {"config": dataclasses.asdict(config), "accuracies": accuracies}
    record = results.record(
        "speech", options.typed, seeds=seeds, began=began, tables=tables, more=figures
    )
    results.write(options.out / "results.json", record)
    if set(ATTENTIVE) & set(config.poolings):
        pictures.draw(
            options.out / "vowels.png",
            lambda: pictures.frames(attended(splits, config, options.out)),
        )
    print(f"{time.perf_counter() - began:.0f} s in all; everything is in {options.out}")


def form_of(split: Split, config: Vowels, pooling: str) -> Form:
    features = split.train.rows[0].shape[1]
    sizes = config.units, config.score_units, config.half_width
    return Form(features, len(split.classes), pooling, *sizes)


def train(split: Split, config: Vowels, pooling: str, folder: Path, *, resume: bool) -> list[float]:
    """Trains a model for each seed; returns their accuracies on the test part."""
    form, rows = form_of(split, config, pooling), columns(split)
    checkpoint = folder / f"{pooling}.safetensors"
    command.make_folder(folder)
    params = classifier.train(
        form, rows["train"], config, checkpoint, noise=config.noise, resume=resume
    )
    test = rows["test"]
    found, _ = classifier.predict(params, test["rows"], test["rows_length"], form=form)
    accuracies = (np.asarray(found) == test["labels"]).mean(1).tolist()
    print(f"{folder.name}, {pooling}: {' '.join(f'{accuracy:.3f}' for accuracy in accuracies)}")
    return accuracies


def columns(split: Split) -> dict[str, dict[str, np.ndarray]]:
    """Returns both parts of a set, padded to its longest series."""
    width = max(map(len, split.train.rows + split.test.rows))
    padded = {}
    for part in ("train", "test"):
        chosen = getattr(split, part)
        rows, lengths = training.pad_to(chosen.rows, width)
        padded[part] = {
            "rows": np.asarray(rows),
            "rows_length": np.asarray(lengths),
            "labels": chosen.labels,
        }
    return padded


def table(name: str, split: Split, accuracies: dict[str, list[float]]) -> Table:
    """Returns accuracies on the test part, with the baseline and published ones."""
    rows = [
        (
            f"GRU, {pooling}",
            f"{np.median(found):.3f}",
            f"{np.mean(found):.3f} ± {np.std(found):.3f}",
            " ".join(f"{accuracy:.3f}" for accuracy in found),
        )
        for pooling, found in accuracies.items()
    ]
    rows.append(("nearest neighbour, time warping", f"{series.nearest(split):.3f}", "–", "–"))
    rows += [(method, f"{value:.3f}", "–", "–") for method, value in PUBLISHED.get(name, ())]
    title = (
        f"{name}: {series.DATA[name]}; {len(split.train.rows)} series to train on,"
        f" {len(split.test.rows)} to test on"
    )
    error = training.standard_error(0.975, len(split.test.rows))
    note = f"The standard error of an accuracy of 0.975 on this test is {error:.3f}."
    return Table(title, ("", "median", "mean ± deviation of seeds", "seeds"), rows, [note])


def attended(
    splits: dict[str, Split], config: Vowels, out: Path
) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Returns a name, a series and the weights of its frames, of each set with attention."""
    pooling = next(name for name in config.poolings if name in ATTENTIVE)
    found = []
    for name, split in splits.items():
        form, test = form_of(split, config, pooling), columns(split)["test"]
        start = lambda form=form: classifier.init(jax.random.key(0), form)
        like = jax.eval_shape(jax.vmap(lambda _, start=start: start()), np.zeros(config.seeds))
        path = out / name / f"{pooling}.safetensors"
        params = training.load_checkpoint(path, like=like, part="state/params").tree
        _, weights = classifier.predict(
            params, test["rows"][:1], test["rows_length"][:1], form=form
        )
        length = len(split.test.rows[0])
        found.append((f"{name}, {pooling}", split.test.rows[0], np.asarray(weights)[0, 0, :length]))
    return found
