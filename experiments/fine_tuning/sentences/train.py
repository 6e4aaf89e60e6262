"""A run: data, training, guesses on the tested texts, and the files that it writes."""

import dataclasses
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jattn
from experiments import results as record
from experiments.fine_tuning.sentences import beside, data, methods, scores
from experiments.fine_tuning.sentences.config import Config
from experiments.fine_tuning.sentences.corpora import CORPORA
from experiments.fine_tuning.sentences.embeddings import encoded, guesses, pooled
from experiments.fine_tuning.sentences.pretrained import read_pretrained
from jattn import training


def run(config: Config, out: Path, *, resume: bool = False) -> dict[str, Any]:
    """Trains into the folder `out`; returns the results that it writes to results.json."""
    began = time.perf_counter()
    pretrained = read_pretrained(config.length)
    corpus = CORPORA[config.corpus]()
    texts = data.parts(config, corpus, pretrained.tokenize)
    parts = methods.parts(config, pretrained, len(corpus.names))
    steps = config.steps * (10 if config.method == "frozen" else 1)
    out.mkdir(parents=True, exist_ok=True)
    states = out / "states.safetensors"
    if not resume:
        states.unlink(missing_ok=True)
    make_batch, preparing = batches(config, parts, texts["train"], states)
    marks = []

    def batch(step: int) -> dict[str, Any]:
        marks.append(time.process_time())
        # An argument of the compiled step, not a constant in it.
        return {**make_batch(step), "frozen": parts.frozen}

    fitted = training.fit(
        partial(loss, together=parts.together, attend_by=config.attend),
        methods.optimizer(config, parts.trained, steps),
        parts.trained,
        batch,
        steps=steps,
        rng=jax.random.key(config.seed),
        checkpoint=out / "checkpoint.safetensors",
        checkpoint_every=max(1, steps // 2),
        resume=resume and (out / "checkpoint.safetensors").exists(),
        log=out / "log.jsonl",
        config=config,
    )
    marks.append(time.process_time())
    if fitted.reason == "interrupted":
        raise KeyboardInterrupt
    training.save_checkpoint(
        out / "weights.safetensors", fitted.state.params, metadata=dataclasses.asdict(config)
    )
    params = parts.together(fitted.state.params, parts.frozen)
    guessed = {name: guesses(params, texts[name], config) for name in ("valid", "test")}
    right = {name: guess == texts[name].groups for name, guess in guessed.items()}
    words = len(params.encoder.words.weight)
    by_words = scores.by_words(texts["train"], texts["test"], words) == texts["test"].groups
    results = {
        "config": dataclasses.asdict(config),
        "question": corpus.question,
        "text": corpus.text,
        "whole": corpus.wholes,
        "version": corpus.version,
        "accuracy": {name: float(these.mean()) for name, these in right.items()},
        "standard_error": scores.standard_error(right["test"], texts["test"].wholes),
        "words_alone": float(by_words.mean()),
        "words_alone_standard_error": scores.standard_error(by_words, texts["test"].wholes),
        "largest_group": float(np.bincount(texts["test"].groups).max() / len(right["test"])),
        "texts": {name: len(part.wholes) for name, part in texts.items()},
        "trained": training.parameter_count(parts.trained),
        "weights": training.parameter_count(params),
        "steps": steps,
        "seconds": {
            "batches": preparing,
            "step": seconds_a_step(marks),
            "all": round(time.perf_counter() - began, 1),
        },
        "test_wholes": texts["test"].wholes,
        "test_right": right["test"].tolist(),
    }
    if config.method in methods.LORA_AXES:
        longest = max(map(len, texts["test"].tokens))
        padded = training.pad_to(texts["test"].tokens[:100], longest)
        results["merged_differs"] = beside.merged_differs(
            config, parts, fitted.state.params, *padded
        )
    record.write(out / "results.json", results)
    return results


def seconds_a_step(marks: list[float]) -> float | None:
    """Returns seconds of processor time, without the first steps, in which shapes are compiled.

    Training fetches its metrics after each tenth step, so no work is pending at the twentieth.
    """
    first = min(20, len(marks) // 2)
    steps = len(marks) - 1 - first
    return round((marks[-1] - marks[first]) / steps, 4) if steps > 0 else None


def batches(
    config: Config, parts: methods.Parts, train: data.Texts, kept: Path
) -> tuple[Callable[[int], Any], float]:
    """Returns batches of padded texts, or of a frozen encoder's states, which do not change.

    Also returns the seconds of processor time that computing the states took.

    Args:
        kept: the file of the states, which is read if it exists.
    """
    if config.method == "frozen":
        if not kept.exists():
            params = parts.together(parts.trained, parts.frozen)
            began = time.process_time()
            states = pooled(params.encoder, train, config)
            seconds = round(time.process_time() - began, 2)
            training.save_checkpoint(kept, states, metadata={"seconds": seconds})
        states = training.load_checkpoint(kept)
        index = np.arange(len(train.groups))
        arrays = {"states": states.tree[""], "groups": train.groups, "index": index}
        drawn = training.shuffled_batches(arrays, config.batch_size, seed=config.seed)
        return drawn, states.metadata["seconds"]
    padded = data.batches(train, config, config.batch_size)
    return lambda step: data.with_groups(padded(step), train), 0.0


def loss(
    trained: Any,
    batch: dict[str, Any],
    rng: Any,
    *,
    together: Callable[[Any, Any], methods.Params],
    attend_by: str = "dense",
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Returns the cross entropy of each text's group, and the accuracy."""
    params = together(trained, batch["frozen"])
    if "states" in batch:
        states = batch["states"]
    else:
        states = encoded(params.encoder, batch, attend_by=attend_by)
    logits = jattn.affine(params.head, states)
    counts = jnp.asarray(batch["index"] >= 0, logits.dtype)
    mean = lambda values: (values * counts).sum() / counts.sum()
    entropy = optax.softmax_cross_entropy_with_integer_labels(logits, batch["groups"])
    right = jnp.asarray(logits.argmax(-1) == batch["groups"], logits.dtype)
    return mean(entropy), {"accuracy": mean(right)}
