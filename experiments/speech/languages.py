"""Languages told apart by attention pooling over the states of Whisper's frozen encoder.

Each language has one voice, so inside this corpus a language is a voice and a studio too. English
and Spanish are spoken by the same woman, which is the one control. Heads that are trained on the
spectrogram alone show how much the voice and the channel tell.
"""

import argparse
import dataclasses
import hashlib
import time
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Array, Float

from experiments import command, results
from experiments.results import Table
from experiments.speech import classifier, pictures, pretrained, voices, whisper
from experiments.speech.audio import RATE
from experiments.speech.classifier import Form
from experiments.speech.config import LANGUAGES, Languages
from experiments.speech.spectrogram import HOP, log_mel
from experiments.speech.voices import Prompt
from experiments.speech.whisper import Whisper

FEATURES = {"whisper": "states of Whisper's encoder", "spectrogram": "log-mel spectrogram"}
POOLINGS = ("additive", "mean")
FRAMES = 10  # Of the spectrogram, in one row: 0.1 s. A state is two frames.


def add_options(parser: command.Parser) -> None:
    parser.add_presets(LANGUAGES)
    parser.add_out(Path("runs/speech/languages"))
    parser.add_resume()


def run(options: argparse.Namespace) -> None:
    """Computes features, trains all heads, and writes results.json and a picture."""
    began = time.perf_counter()
    config = command.configured(LANGUAGES[options.preset], options)
    if len(set(config.languages)) < 2:
        raise ValueError(f"--languages is {' '.join(config.languages)}, expected at least 2")
    chosen = select({name: voices.prompts(name) for name in config.languages}, config.prompts)
    classifier.check_resume(options.resume, options.out)
    model = pretrained.load()
    command.make_folder(options.out)
    labels = np.array([config.languages.index(language) for language, _ in chosen], np.int32)
    is_test = np.array([held_out(prompt.name) for _, prompt in chosen])
    columns = listen(model.params, chosen, config, is_test)
    found = {
        f"{kind}, {pooling}": train(
            columns[kind] | {"labels": labels}, is_test, config, f"{kind}-{pooling}", options
        )
        for kind in FEATURES
        for pooling in POOLINGS
    }
    tested = labels[is_test]
    tables = [table(found, tested, config)]
    print(results.text(tables[0]))
    best = found[f"whisper, {POOLINGS[0]}"][0]
    counts = np.zeros((len(config.languages),) * 2, int)
    np.add.at(counts, (tested, best), 1)
    figures = {
        "config": dataclasses.asdict(config),
        "accuracies": {name: (runs == tested).mean(1).tolist() for name, runs in found.items()},
        "confusion": counts.tolist(),
        "recordings": {"train": int((~is_test).sum()), "test": len(tested)},
    }
    record = results.record(
        "speech",
        options.typed,
        seeds=list(range(config.seed, config.seed + config.seeds)),
        began=began,
        tables=tables,
        more=figures,
    )
    results.write(options.out / "results.json", record)
    title = "test recordings, Whisper's states"
    pictures.draw(
        options.out / "languages.png",
        lambda: pictures.confusion(counts, config.languages, title),
    )
    print(f"{time.perf_counter() - began:.0f} s in all; everything is in {options.out}")


def select(prompts: dict[str, list[Prompt]], count: int) -> list[tuple[str, Prompt]]:
    """Returns `count` prompts of each language, the same in all, or as many as all have.

    They are chosen by a hash of their names, so that all kinds of prompts are among them.
    """
    common = set.intersection(*({prompt.name for prompt in found} for found in prompts.values()))
    names = set(sorted(common, key=_hash)[:count])
    return [
        (language, prompt)
        for language, found in prompts.items()
        for prompt in found
        if prompt.name in names
    ]


def held_out(name: str) -> bool:
    """Returns whether a prompt is for testing, in every language."""
    return _hash(name) % 2 == 1


def _hash(name: str) -> int:
    return int(hashlib.sha256(name.encode()).hexdigest()[:12], 16)


@jax.jit
def features(
    params: Whisper, samples: Float[Array, " n"]
) -> tuple[Float[Array, "t d"], Float[Array, "t m"]]:
    """Returns the encoder's states and the spectrogram, each averaged over tenths of a second."""
    spectrogram = log_mel(samples)
    states = whisper.encode(params, spectrogram)
    averaged = lambda rows: rows.reshape(len(samples) // (HOP * FRAMES), -1, rows.shape[1]).mean(1)
    return averaged(states), averaged(spectrogram.T)


def listen(
    params: Whisper, chosen: list[tuple[str, Prompt]], config: Languages, is_test: np.ndarray
) -> dict[str, dict[str, np.ndarray]]:
    """Returns the features of each recording, padded, and the number of their rows.

    Features have mean zero and deviation one over the recordings to train on.
    """
    row = FRAMES * HOP
    size = int(config.seconds * RATE) // row * row
    found, lengths = [], []
    for place, (_, prompt) in enumerate(chosen):
        samples = prompt.samples()[:size]
        lengths.append(max(1, len(samples) // row))
        window = np.pad(samples, (0, size - len(samples))).astype(np.float32)
        found.append([np.asarray(rows) for rows in features(params, window)])
        if (place + 1) % 100 == 0:
            print(f"{place + 1} recordings of {len(chosen)} heard")
    counts = np.array(lengths, np.int32)
    columns = {}
    for column, kind in enumerate(FEATURES):
        rows = np.stack([rows[column] for rows in found])
        is_row = np.arange(rows.shape[1]) < counts[:, None]
        kept = rows[is_row & ~is_test[:, None]]
        rows = (rows - kept.mean(0)) / (kept.std(0) + 1e-8)
        columns[kind] = {"rows": rows.astype(np.float32), "rows_length": counts}
    return columns


def train(
    columns: dict[str, np.ndarray],
    is_test: np.ndarray,
    config: Languages,
    name: str,
    options: argparse.Namespace,
) -> np.ndarray:
    """Trains a head for each seed; returns the classes that each gives the test recordings."""
    pooling = name.rpartition("-")[2]
    form = Form(columns["rows"].shape[-1], len(config.languages), pooling, 0, config.score_units)
    part = lambda chosen: {name: column[chosen] for name, column in columns.items()}
    checkpoint = options.out / f"{name}.safetensors"
    params = classifier.train(form, part(~is_test), config, checkpoint, resume=options.resume)
    test = part(is_test)
    found, _ = classifier.predict(params, test["rows"], test["rows_length"], form=form)
    return np.asarray(found)


def table(found: dict[str, np.ndarray], tested: np.ndarray, config: Languages) -> Table:
    """Returns accuracies over all languages, and between the two of the same woman."""
    rows = []
    pair = [config.languages.index(name) for name in ("en", "es") if name in config.languages]
    of_pair = np.isin(tested, pair)
    for name, runs in found.items():
        kind, pooling = name.split(", ")
        of_all = (runs == tested).mean(1)
        cells = [f"{FEATURES[kind]}, {pooling}", f"{of_all.mean():.3f} ± {of_all.std():.3f}"]
        of_two = (runs == tested)[:, of_pair].mean(1)
        cells.append(f"{of_two.mean():.3f} ± {of_two.std():.3f}" if len(pair) == 2 else "–")
        rows.append(tuple(cells))
    share = max(np.bincount(tested)) / len(tested)
    rows.append(("the most frequent language", f"{share:.3f}", "–"))
    columns = ("", "accuracy", "of English and Spanish alone, one woman")
    title = f"{len(config.languages)} languages, {len(tested)} test recordings of other prompts"
    note = "± is the deviation over seeds. Each language has one voice."
    return Table(title, columns, rows, [note])
