"""One run: training from the published weights, and errors before and after."""

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
from experiments.schedule import warmup_cosine
from jattn import training

EVALUATIONS = 4  # Of the words to tune on, evenly through the run.


def start(config: Config) -> model.Params:
    """What the method trains, before its first step."""
    params = pretrained(read_weights())
    if config.method == "control":
        return params
    return model.add_attention(jax.random.key(config.seed), params, config.score_units)


def run(config: Config, out: Path, dictionary: Dictionary, *, resume: bool = False) -> dict:
    """Trains into the folder `out`; returns what it writes to results.json."""
    began = time.perf_counter()
    out.mkdir(parents=True, exist_ok=True)
    of = words.parts(dictionary, config)
    params = start(config)
    fitted = training.fit(
        model.loss,
        optimizer(config, params),
        params,
        words.batches(of["train"], dictionary, config),
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
    found = {
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
    record.write(out / "results.json", found)
    return found


def figures(params: model.Params, given: list[str], dictionary: Dictionary) -> tuple[dict, list]:
    """Error rates on words, and which of them are right with their stress."""
    said = words.said(params, given)
    right = [phones in dictionary.pronunciations[word] for word, phones in said]
    return dictionaries.errors(said, dictionary)._asdict(), right


def optimizer(config: Config, params: model.Params) -> optax.GradientTransformation:
    """Adam, with a rate for the published weights and another one for what is added to them."""

    def adam(rate):
        return optax.adam(warmup_cosine(rate, config.warmup, config.steps), b2=0.98)

    added = [name for name in ("attention", "combine") if getattr(params, name) is not None]
    groups = training.label(params, {"added": added} if added else {}, rest="published")
    rates: Any = {"published": adam(config.rate), "added": adam(config.added_rate)}
    return optax.chain(optax.clip_by_global_norm(1.0), optax.partition(rates, groups))
