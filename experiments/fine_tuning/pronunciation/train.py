"""A run: training from the published weights, and errors before and after."""

import dataclasses
import time
from pathlib import Path
from typing import Any

import jax
import optax

from experiments import dictionary as dictionaries
from experiments import results as record
from experiments.dictionary import Dictionary
from experiments.fine_tuning.pronunciation import model, words
from experiments.fine_tuning.pronunciation.config import Config
from experiments.fine_tuning.pronunciation.pretrained import pretrained, read_weights
from experiments.optimizer import adam, clipped
from jattn import training

EVALUATIONS = 4  # Of the words to tune on, evenly through the run.


def start(config: Config) -> model.Params:
    """Returns the weights that the method trains, before its first step."""
    params = pretrained(read_weights())
    if config.method == "control":
        return params
    return model.add_attention(jax.random.key(config.seed), params, config.score_units)


def run(config: Config, out: Path, dictionary: Dictionary, *, resume: bool = False) -> dict:
    """Trains into the folder `out`; returns the results that it writes to results.json."""
    began = time.perf_counter()
    of = words.parts(dictionary, config)
    params = start(config)
    batches = words.batches(of["train"], dictionary, config)
    out.mkdir(parents=True, exist_ok=True)
    fitted = training.fit(
        model.loss,
        optimizer(config, params),
        params,
        batches,
        steps=config.steps,
        rng=jax.random.key(config.seed),
        evaluate=lambda params: figures(params, of["valid"], dictionary)[0],
        evaluate_every=max(1, config.steps // EVALUATIONS),
        monitor="words_with_stress",
        checkpoint=out / "checkpoint.safetensors",
        checkpoint_every=100,
        resume=resume,
        log=out / "log.jsonl",
        config=config,
    )
    if fitted.reason == "interrupted":
        raise KeyboardInterrupt
    trained = time.perf_counter()
    params = fitted.state.params
    training.save_checkpoint(
        out / "weights.safetensors", params, metadata=dataclasses.asdict(config)
    )
    test, right = figures(params, of["test"], dictionary)
    results = {
        "config": dataclasses.asdict(config),
        "valid": figures(params, of["valid"], dictionary)[0],
        "test": test,
        "words": {name: len(part) for name, part in of.items()},
        "weights": training.parameter_count(params),
        "seconds": {
            "training": round(trained - began, 1),
            "all": round(time.perf_counter() - began, 1),
        },
        "test_right": right,
    }
    record.write(out / "results.json", results)
    return results


def figures(params: model.Params, tested: list[str], dictionary: Dictionary) -> tuple[dict, list]:
    """Returns error rates on words, and True for those right with their stress."""
    said = words.said(params, tested)
    right = [phones in dictionary.pronunciations[word] for word, phones in said]
    return dictionaries.errors(said, dictionary)._asdict(), right


def optimizer(config: Config, params: model.Params) -> optax.GradientTransformation:
    """Adam, with a rate for the published weights and another one for what is added to them."""

    added = [name for name in ("attention", "combine") if getattr(params, name) is not None]
    groups = training.label(params, {"added": added} if added else {}, default="published")
    peaks = {"published": config.rate, "added": config.added_rate}
    rates: Any = {name: adam(peak, config.warmup, config.steps) for name, peak in peaks.items()}
    return clipped(optax.partition(rates, groups))
