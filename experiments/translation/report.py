"""What a finished run says: scores beside baselines, and samples."""

import dataclasses
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments import results
from experiments.new_testament import Verse, read_verses
from experiments.results import Table
from experiments.translation import alignment, data, evaluation, ibm, scores
from experiments.translation.config import Config
from experiments.translation.pictures import SAMPLES, reference
from experiments.translation.train import Trained, weights

SHIFTS = (-1, 0, 1)


def measure(trained: Trained, out: Path, *, tested: int | None = None) -> dict[str, Any]:
    """Translates and aligns the verses of a run; writes results.json and returns it.

    Args:
        tested: verses of John, all of them by default.
    """
    began = time.perf_counter()
    params, learned, config, parts, start_from = trained
    test, valid = (data.encode(v, learned) for v in (parts.test[:tested], parts.valid[:tested]))
    translated = evaluation.translations(params, test, learned, config)
    verses = [example.verse for example in test]
    forced = evaluation.forced(params, test, config)
    rows = {"this run": _row(translated, verses) | {"loss": forced.loss}}
    rows["this run, Hebrews"] = _row(
        evaluation.translations(params, valid, learned, config), [one.verse for one in valid]
    )
    shifted = {}
    if config.attention != "none":
        rows["this run"]["aer"] = evaluation.error(forced.weights, test)
        rows["this run, Hebrews"]["aer"] = evaluation.progress(params, valid, config)[
            "alignment_error_rate"
        ]
        shifted = evaluation.shifted_errors(params, test, config, SHIFTS)
    rows |= baselines(verses, parts.train)
    lengths = scores.by_length(translated, verses)
    logged = (out / "log.jsonl").read_text("utf-8").splitlines()
    training = json.loads(logged[-1])["seconds"] / 60 if logged else 0.0
    record = results.record(
        "translation",
        command(config, start_from),
        seeds=[config.seed],
        began=began,
        tables=_tables(config, rows, lengths, shifted),
        more={
            "minutes_of_training": round(training, 1),
            "config": dataclasses.asdict(config),
            "weights": weights(params),
            "scores": rows,
            "lengths": [bucket._asdict() for bucket in lengths],
            "shifted": shifted,
            "signatures": scores.signatures(),
            "samples": _samples(verses, translated),
        },
    )
    record["minutes"] = round(record["minutes"] + training, 1)
    results.write(out / "results.json", record)
    return record


def baselines(verses: Sequence[Verse], train: Sequence[Verse]) -> dict[str, dict[str, float]]:
    """What needs no network: glosses for translations; IBM Model 1 and the diagonal for links."""
    gold = [verse.links for verse in verses]
    found = {
        "IBM Model 1, verses to train on": ibm.align(verses, train),
        "IBM Model 1, all verses": ibm.align(verses, read_verses()),
        "diagonal": [alignment.diagonal(verse) for verse in verses],
    }
    rows = {n: {"aer": alignment.alignment_error_rate(links, gold)} for n, links in found.items()}
    return {"glosses in Greek order": _row([scores.gloss(v) for v in verses], verses), **rows}


def command(config: Config, start_from: str | None) -> str:
    """What is typed for a run of this configuration that begins with another's weights or none."""
    default = dataclasses.asdict(Config())
    given = {n: v for n, v in dataclasses.asdict(config).items() if v != default[n]}
    options = [f"--{name.replace('_', '-')} {value}" for name, value in given.items()]
    options += [f"--from {start_from}"] if start_from else []
    return " ".join(["python -m experiments.translation", *options])


def _row(translated: Sequence[str], verses: Sequence[Verse]) -> dict[str, float]:
    return scores.scores(translated, [verse.text for verse in verses])._asdict()


def _samples(verses: Sequence[Verse], translated: Sequence[str]) -> list[dict[str, str]]:
    return [
        {"verse": reference(v), "reference": v.text, "translation": text}
        for v, text in zip(verses, translated, strict=True)
        if v.name in SAMPLES
    ]


def _tables(
    config: Config,
    rows: Mapping[str, Mapping[str, float]],
    lengths: Sequence[scores.Bucket],
    shifted: Mapping[int, float],
) -> list[Table]:
    show = lambda row, name, form: form.format(row[name]) if name in row else "-"
    john = "John, which was trained on" if config.books == "whole" else "John"
    tables = [
        Table(
            f"{john}, attention {config.attention}",
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
            ("words", "verses", "BLEU"),
            [(bucket.words, str(bucket.verses), f"{bucket.bleu:.1f}") for bucket in lengths],
        ),
    ]
    if shifted:
        cells = [(f"{shift:+d}", f"{aer:.3f}") for shift, aer in shifted.items()]
        tables.append(
            Table("AER if each piece is given another's attention", ("rows on", "AER"), cells)
        )
    return tables
