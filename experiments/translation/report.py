"""The record of a finished run: scores beside those of baselines, and samples."""

import dataclasses
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments import results
from experiments.command import check_count
from experiments.results import Table
from experiments.sentence_pairs import Pair
from experiments.translation import data, evaluation, scores
from experiments.translation.config import Config
from experiments.translation.corpora import CORPORA, Corpus
from experiments.translation.train import Trained
from jattn import training

SHIFTS = (-1, 0, 1)


def measure(trained: Trained, out: Path, *, tested: int | None = None) -> dict[str, Any]:
    """Translates and aligns the tested pairs of a run; writes results.json and returns it.

    Args:
        tested: how many pairs, all of them by default.

    Raises:
        ValueError: there are fewer pairs than `tested`.
    """
    began = time.perf_counter()
    params, learned, config, parts, start_from = trained
    corpus = CORPORA[config.corpus]
    check_count("tested", tested, len(parts.test), "pairs to test on")
    choosing = f"this run, {corpus.valid}"
    test, valid = (data.encode(v, learned) for v in (parts.test[:tested], parts.valid[:tested]))
    translated = evaluation.translations(params, test, learned, config)
    pairs = [example.pair for example in test]
    forced = evaluation.forced(params, test, config)
    rows = {"this run": scores.row(translated, pairs) | {"loss": forced.loss}}
    rows[choosing] = scores.row(
        evaluation.translations(params, valid, learned, config), [example.pair for example in valid]
    )
    shifted = {}
    if evaluation.is_aligned(config):
        rows["this run"]["aer"] = evaluation.error(forced.weights, test)
        rows[choosing]["aer"] = evaluation.progress(params, valid, config)["alignment_error_rate"]
        shifted = evaluation.shifted_errors(params, test, config, SHIFTS)
    rows |= corpus.baselines(pairs, parts.train)
    lengths = scores.by_length(translated, pairs)
    logged = (out / "log.jsonl").read_text("utf-8").splitlines()
    minutes = json.loads(logged[-1])["seconds"] / 60 if logged else 0.0
    record = results.record(
        "translation",
        command(config, start_from),
        seeds=[config.seed],
        began=began,
        tables=_tables(config, rows, lengths, shifted),
        more={
            "minutes_of_training": round(minutes, 1),
            "config": dataclasses.asdict(config),
            "weights": training.parameter_count(params),
            "scores": rows,
            "lengths": [bucket._asdict() for bucket in lengths],
            "shifted": shifted,
            "signatures": scores.signatures(),
            "samples": _samples(pairs, translated, corpus),
            "version": corpus.version(),
        },
    )
    record["minutes"] = round(record["minutes"] + minutes, 1)
    results.write(out / "results.json", record)
    return record


def command(config: Config, start_from: str | None) -> str:
    """Returns the command line of a run of this configuration, begun from another or not."""
    default = dataclasses.asdict(Config())
    changed = {n: v for n, v in dataclasses.asdict(config).items() if v != default[n]}
    options = [f"--{name.replace('_', '-')} {value}" for name, value in changed.items()]
    options += [f"--from {start_from}"] if start_from else []
    return " ".join(["python -m experiments.translation", *options])


def _samples(
    pairs: Sequence[Pair], translated: Sequence[str], corpus: Corpus
) -> list[dict[str, str]]:
    """Returns the corpus's samples alone: a record holds no text that may not be copied."""
    return [
        {"place": corpus.reference(pair), "reference": pair.target.text, "translation": text}
        for pair, text in zip(pairs, translated, strict=True)
        if pair.name in corpus.samples
    ]


def _tables(
    config: Config,
    rows: Mapping[str, Mapping[str, float]],
    lengths: Sequence[scores.Bucket],
    shifted: Mapping[int, float],
) -> list[Table]:
    show = lambda row, name, form: form.format(row[name]) if name in row else "-"
    title = CORPORA[config.corpus].test
    title += ", which was trained on" if config.books == "whole" else ""
    tables = [
        Table(
            f"{title}, attention {config.attention}",
            ("system", "BLEU", "chrF", "BLEU of words", "AER"),
            [
                (
                    name,
                    *(show(row, part, "{:.1f}") for part in ("bleu", "chrf", "word_bleu")),
                    show(row, "aer", "{:.3f}"),
                )
                for name, row in rows.items()
            ],
        ),
        Table(
            "BLEU by words of the reference",
            ("words", "sentences", "BLEU"),
            [(bucket.words, str(bucket.sentences), f"{bucket.bleu:.1f}") for bucket in lengths],
        ),
    ]
    if shifted:
        cells = [(f"{shift:+d}", f"{aer:.3f}") for shift, aer in shifted.items()]
        tables.append(
            Table("AER if each piece is given another's attention", ("rows on", "AER"), cells)
        )
    return tables
