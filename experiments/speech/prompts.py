"""Whisper's errors on recorded English prompts, and how closely it agrees with other programs.

The text of each prompt is published with the recording, so that the word error rate is known.
Logits are compared with plain NumPy in float64, and, with `--compare`, tokens, logits and times of
words with CTranslate2, which reads the same file.
"""

import argparse
import dataclasses
import json
import os
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments import command, results
from experiments.results import Table
from experiments.speech import pictures, plain, pretrained, transcription, voices
from experiments.speech.audio import RATE
from experiments.speech.config import PROMPTS, Prompts
from experiments.speech.peer import PACKAGE, Peer
from experiments.speech.pretrained import Pretrained
from experiments.speech.spectrogram import SECONDS
from experiments.speech.transcription import Window
from experiments.speech.voices import Prompt
from jattn import training

DRAWN = "agent-alreadyon"
RESAMPLES = 1000


def add_options(parser: command.Parser) -> None:
    parser.add_presets(PROMPTS)
    parser.add_argument(
        "--compare", action="store_true", help=f"run CTranslate2 as well, of {PACKAGE}"
    )
    parser.add_out(Path("runs/speech/prompts"))


def run(options: argparse.Namespace) -> None:
    """Transcribes the prompts; writes results.json, every text, and a picture."""
    began = time.perf_counter()
    config = command.configured(PROMPTS[options.preset], options)
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    peer = Peer(threads or 1) if options.compare else None
    chosen = voices.spread_out(config.prompts)
    model = pretrained.load()
    command.make_folder(options.out)
    rows, times = [], []
    list(
        transcription.transcribe(model, chosen[0].samples(), beam_size=config.beam_size)
    )  # Compiles.
    for prompt in chosen:
        samples = prompt.samples()
        start = time.perf_counter()
        found = list(transcription.transcribe(model, samples, beam_size=config.beam_size))
        times.append((time.perf_counter() - start, len(samples) / RATE))
        rows.append(row_of(model, prompt, found))
        if peer is not None:
            rows[-1] |= compared(peer, model, found)
        if len(rows) <= config.plain:
            rows[-1]["plain"] = against_plain(model, found[0])
        if prompt.name == DRAWN:
            pictures.draw(
                options.out / "attention.png", lambda found=found: pictures.heard(model, found[0])
            )
        if len(rows) % 20 == 0:
            wrong = error_rate(rows, "text")
            print(f"{len(rows)} prompts of {len(chosen)}, {wrong:.1%} of words wrong")
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    (options.out / "texts.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    tables = [errors_table(rows, config), speed_table(model, chosen[0], times)]
    if peer is not None or config.plain:
        tables.append(agreement_table(rows))
    for table in tables:
        print(results.text(table) + "\n")
    figures = {
        "config": dataclasses.asdict(config),
        "word_error_rate": error_rate(rows, "text"),
        "version": voices.version("en"),
    }
    record = results.record(
        "speech", options.typed, seeds=[0], began=began, tables=tables, more=figures
    )
    results.write(options.out / "results.json", record)
    print(f"{time.perf_counter() - began:.0f} s in all; everything is in {options.out}")


def row_of(model: Pretrained, prompt: Prompt, found: list[Window]) -> dict[str, Any]:
    """Returns the text of a prompt as published and as written by the model."""
    return {
        "name": prompt.name,
        "published": prompt.text,
        "text": " ".join(window.text for window in found),
        "words": [
            (word.text, round(window.start + word.start, 2), round(window.start + word.end, 2))
            for window in found
            for word in window.aligned.words
        ],
    }


def error_rate(rows: list[dict[str, Any]], name: str) -> float:
    """Returns the share of words that are wrong in the texts of this name."""
    said = [voices.words(row[name]) for row in rows]
    return training.token_error_rate(said, [[voices.words(row["published"])] for row in rows])


def deviation(rows: list[dict[str, Any]], name: str, seed: int = 0) -> float:
    """Returns the standard error of the error rate, by drawing prompts with replacement."""
    pairs = [(voices.words(row[name]), voices.words(row["published"])) for row in rows]
    edits = np.array([training.edit_distance(*pair) for pair in pairs])
    sizes = np.array([len(published) for _, published in pairs])
    draws = np.random.default_rng(seed).integers(len(rows), size=(RESAMPLES, len(rows)))
    return float((edits[draws].sum(1) / sizes[draws].sum(1)).std())


def compared(peer: Peer, model: Pretrained, found: list[Window]) -> dict[str, Any]:
    """Returns the text by CTranslate2, and the largest differences of logits and times."""
    texts, same, logits, times = [], True, [], []
    for window in found:
        written = peer.write(window.spectrogram, model.rules)
        texts.append(model.tokenizer.text(written.tokens).strip())
        same = same and written.tokens == window.tokens
        if written.tokens != window.tokens or not window.tokens:
            continue
        samples = round(window.seconds * RATE)
        starts = peer.token_starts(window.spectrogram, model.rules, window.tokens, samples)
        places = [place for span in window.aligned.spans for place in (span.first, span.end)]
        times += np.abs(starts - window.aligned.token_starts)[places].tolist()
        ours = logits_of(model, window)[1 : 1 + len(written.logits)]
        usable = written.logits > np.finfo(np.float32).min
        logits.append(float(np.abs(ours - written.logits)[usable].max()))
    return {
        "peer": " ".join(texts),
        "same": same,
        "logits": max(logits, default=0.0),
        "times": times,
    }


def logits_of(model: Pretrained, window: Window) -> np.ndarray:
    """Returns the logits after each token of the prompt and of a window's text."""
    states = transcription.listen_again(model.params, window.spectrogram)
    tokens = transcription.padded((*model.rules.prompt, *window.tokens), model.rules)
    logits, _ = transcription.read(model.params, states, tokens, heads=model.rules.alignment_heads)
    return np.asarray(logits)[: len(model.rules.prompt) + len(window.tokens)]


def against_plain(model: Pretrained, window: Window) -> float:
    """Returns the largest difference of logits from plain NumPy in float64."""
    tokens = np.array([*model.rules.prompt, *window.tokens])
    states = plain.encode(model.arrays, window.spectrogram)
    expected, _ = plain.read(model.arrays, states, tokens)
    return float(np.abs(logits_of(model, window) - expected).max())


def errors_table(rows: list[dict[str, Any]], config: Prompts) -> Table:
    """Returns word error rates and the share of prompts without an error."""
    search = "greedy search" if config.beam_size == 1 else f"beam search of {config.beam_size}"
    kinds = {"text": f"Whisper tiny.en on jattn, {search}", "peer": "CTranslate2, greedy search"}
    lines = []
    for name, kind in kinds.items():
        if name in rows[0]:
            said = [voices.words(row[name]) for row in rows]
            published = [[voices.words(row["published"])] for row in rows]
            wrong = training.sequence_error_rate(said, published)
            rate = f"{100 * error_rate(rows, name):.2f} % ± {100 * deviation(rows, name):.2f}"
            lines.append((kind, rate, f"{100 * wrong:.1f} %"))
    words = sum(len(voices.words(row["published"])) for row in rows)
    title = f"{len(rows)} prompts of {words:,} words; case and marks do not count"
    return Table(title, ("", "words wrong", "prompts with an error"), lines)


def speed_table(model: Pretrained, prompt: Prompt, times: list[tuple[float, float]]) -> Table:
    """Returns the time of a window, and times relative to the length of the recordings."""
    spent, heard = (sum(column) for column in zip(*times, strict=True))
    samples = np.zeros(SECONDS * RATE, np.float32)
    samples[: len(prompt.samples())] = prompt.samples()[: len(samples)]
    encoding = []
    for _ in range(5):
        start = time.perf_counter()
        jax.block_until_ready(transcription.listen(model.params, samples))
        encoding.append(time.perf_counter() - start)
    rows = [
        ("spectrogram and encoder, a window of 30 s", f"{min(encoding):.2f} s"),
        ("all of a prompt, mean", f"{spent / len(times):.2f} s"),
        ("relative to the prompts' length, padded to 30 s each", f"{spent / heard:.2f}"),
    ]
    return Table(
        f"Time; the prompts last {heard / len(times):.1f} s on average", ("", "time"), rows
    )


def agreement_table(rows: list[dict[str, Any]]) -> Table:
    """Returns the largest differences from other programs with the same weights."""
    lines = []
    checked = [row["plain"] for row in rows if "plain" in row]
    if checked:
        name = f"logits, plain NumPy in float64, {len(checked)} prompts"
        lines.append((name, f"largest difference {max(checked):.1e}"))
    if "same" in rows[0]:
        same = [row for row in rows if row["same"]]
        times = np.array([time for row in same for time in row["times"]])
        within = f"within 0.02 s in {int((times <= 0.021).sum()):,} of {len(times):,} limits"
        lines += [
            ("tokens, CTranslate2", f"the same in {len(same)} of {len(rows)} prompts"),
            ("logits, CTranslate2", f"largest difference {max(row['logits'] for row in same):.1e}"),
            ("times of words, CTranslate2", f"{within}, largest {times.max():.2f} s"),
        ]
    return Table("Agreement with the same weights elsewhere", ("", "agreement"), lines)
