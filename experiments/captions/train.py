"""A run: canvases, one model after the other, their measures, and the files that it writes."""

import dataclasses
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax

from experiments import results
from experiments.captions import model as captioning
from experiments.captions import pretraining, retrieval
from experiments.captions.canvases import (
    VARIANTS,
    Canvases,
    Writers,
    distorted,
    read_writers,
    to_test_on,
    to_train_on,
)
from experiments.captions.config import Config
from experiments.captions.encoder import EncoderParams
from experiments.captions.evaluation import Measured, distinct, measure, measure_retrieval
from experiments.captions.tables import pointing_table, retrieval_table
from experiments.captions.words import captions
from experiments.optimizer import adam, clipped
from experiments.weights import load_config
from jattn import training

EVALUATIONS = 2  # Of canvases to tune on, evenly through a run.
TUNED_ON = 250
STAGES = (0.15, 0.3)  # Shares of the steps with canvases of one digit, and of up to two.
GALLERY = 500  # Canvases among which a caption finds its own.


def run(config: Config, out: Path, *, resume: bool = False, command: str = "") -> dict[str, Any]:
    """Trains the models into folders of `out`; returns the record of results.json.

    Args:
        resume: continue from the checkpoints in `out`.
        command: the command line, for the record.

    Raises:
        ValueError: a file of an earlier run is damaged or of another configuration.
        OSError: a file is missing or cannot be written.
        DataError: the digits cannot be had.
    """
    began = time.perf_counter()
    writers = read_writers()
    tests = tests_of(config, writers)
    figures: dict[str, Any] = {"config": dataclasses.asdict(config), "models": {}}
    encoder, figures["encoder"] = train_encoder(config, out / "encoder", writers, resume=resume)
    canvases = to_train_on(config.seed, config.canvases, writers)
    for name in config.models:
        into = out / name
        goes_on = resume and (into / "checkpoint.safetensors").exists()
        params, seconds = train(config, name, into, canvases, writers, encoder, resume=goes_on)
        figures["models"][name] = {
            "weights": training.parameter_count(params),
            "seconds": seconds,
            "tests": measured(params, tests, config, name),
        }
    tables = [*pointing_table(figures), *retrieval_table(figures)]
    record = results.record(
        "captions", command, seeds=[config.seed], began=began, tables=tables, more=figures
    )
    results.write(out / "results.json", record)
    return record


def train_encoder(
    config: Config, out: Path, writers: Writers, *, resume: bool
) -> tuple[EncoderParams, dict[str, Any]]:
    """Trains the encoder into `out`; returns its weights, and how often it is right."""
    began = time.perf_counter()
    rng = np.random.default_rng([config.seed, 2])
    images, digits = pretraining.examples(rng, distorted(rng, writers.train, VARIANTS))
    arrays = {"images": images, "digits": digits}
    other_images, other_digits = pretraining.examples(rng, writers.test)
    rngs = jax.random.split(key_of(config))
    params = jax.jit(pretraining.init, static_argnums=1)(rngs[0], config)
    params = fit(
        partial(pretraining.loss, config=config),
        optimizer_of(config, config.encoder_steps),
        params,
        training.shuffled_batches(arrays, 4 * config.batch_size, seed=config.seed),
        steps=config.encoder_steps,
        rng=rngs[1],
        out=out,
        config=config,
        resume=resume,
    )
    told = pretraining.told(params, other_images)
    figures = {
        "seconds": round(time.perf_counter() - began, 1),
        "other_writers": float((np.asarray(told) == other_digits).mean()),
    }
    return params.encoder, figures


def train(
    config: Config,
    name: str,
    out: Path,
    canvases: Canvases,
    writers: Writers,
    encoder: EncoderParams,
    *,
    resume: bool,
) -> tuple[Any, float]:
    """Trains one model into `out`; returns its weights and the seconds that it took.

    Retrieval compares all captions of a batch with all canvases, so it takes half as many, and half
    as many steps.
    """
    began = time.perf_counter()
    if name == "retrieval":
        fewer = {"batch_size": max(2, config.batch_size // 2), "steps": config.steps // 2}
        config = dataclasses.replace(config, **fewer)
    tokens, lengths, _ = captions(canvases.scenes, config.languages, captioning.LONGEST)
    arrays = {"images": canvases.images, "tokens": tokens, "lengths": lengths}
    rngs = jax.random.split(key_of(config))
    params = jax.jit(init, static_argnums=(1, 2))(rngs[0], config, name)
    tuned_on = to_test_on(config.seed + 1, TUNED_ON, "seen", writers.train)
    if name == "retrieval":
        loss: Any = partial(retrieval.loss, config=config)
        optimizer = optimizer_of(config, config.steps)
        measure_one = lambda params: [
            found[1] for found in measure_retrieval(params, distinct(tuned_on, TUNED_ON), config)
        ]
    else:
        loss = partial(captioning.loss, config=config, model=name)
        optimizer = captioning.optimizer(config)
        measure_one = lambda params: [
            found.exact.mean() for found in measure(params, tuned_on, config, name)
        ]
    metric = "recall_at_1" if name == "retrieval" else "exact"
    params = fit(
        loss,
        optimizer,
        params._replace(encoder=encoder),
        by_stage(arrays, canvases, config),
        steps=config.steps,
        rng=rngs[1],
        out=out,
        config=config,
        resume=resume,
        evaluate=lambda params: {metric: np.mean(measure_one(params))},
        evaluate_every=max(1, config.steps // EVALUATIONS),
        monitor=metric,
        highest_is_best=True,
    )
    return params, round(time.perf_counter() - began, 1)


def fit(
    loss: Any, optimizer: Any, params: Any, batches: Any, *, out: Path, config: Config, **options
) -> Any:
    """Trains with a checkpoint and a log in `out`; returns the weights, and saves them there."""
    out.mkdir(parents=True, exist_ok=True)
    fitted = training.fit(
        loss,
        optimizer,
        params,
        batches,
        checkpoint=out / "checkpoint.safetensors",
        checkpoint_every=200,
        log=out / "log.jsonl",
        config=config,
        **options,
    )
    if fitted.reason == "interrupted":
        raise KeyboardInterrupt
    metadata = {"config": dataclasses.asdict(config)}
    training.save_checkpoint(out / "weights.safetensors", fitted.state.params, metadata=metadata)
    return fitted.state.params


def key_of(config: Config) -> jax.Array:
    """Returns the key of a run; this kind is much faster than the default on a CPU."""
    return jax.random.key(config.seed, impl="rbg")


def optimizer_of(config: Config, steps: int) -> optax.GradientTransformation:
    return clipped(adam(config.learning_rate, config.warmup, steps, decay=0.99))


def by_stage(arrays: Any, canvases: Canvases, config: Config) -> Callable[[int], Any]:
    """Returns batches of canvases of one digit, then of up to two, then of all.

    So the encoder learns digits before attention has to tell them apart. No place is ever given.
    """
    counts = np.array([sum(map(len, scene)) for scene in canvases.scenes])
    batches = []
    for most in (1, 2, 5):
        rows = np.flatnonzero(counts <= most)
        chosen = jax.tree.map(lambda leaf, rows=rows: leaf[rows], arrays)
        size = min(config.batch_size, len(rows))
        batches.append(training.shuffled_batches(chosen, size, seed=config.seed))
    ends = [round(share * config.steps) for share in STAGES]
    return lambda step: batches[sum(step >= end for end in ends)](step)


def init(rng: jax.Array, config: Config, name: str) -> Any:
    """Draws the weights of a model by its name."""
    if name == "retrieval":
        return retrieval.init(rng, config)
    return captioning.init(rng, config, name)


def tests_of(config: Config, writers: Writers) -> dict[str, Canvases]:
    """Returns the tests: what training is like, other writers, and what is held out of training."""
    draw = partial(to_test_on, config.seed, config.tested)
    return {
        "as in training": draw("seen", writers.train),
        "other writers": draw("seen", writers.test),
        "held out": draw("held-out", writers.test),
    }


def measured(
    params: Any, tests: Mapping[str, Canvases], config: Config, name: str
) -> dict[str, Any]:
    """Returns the measures of a model by test and language."""
    found: dict[str, Any] = {}
    for test, canvases in tests.items():
        if name == "retrieval":
            gallery = distinct(canvases, GALLERY)
            recalls = measure_retrieval(params, gallery, config)
            found[test] = {
                language: {"canvases": len(gallery.scenes), "recall": each}
                for language, each in zip(config.languages, recalls, strict=True)
            }
        else:
            each = measure(params, canvases, config, name)
            found[test] = {
                language: summary(one, canvases)
                for language, one in zip(config.languages, each, strict=True)
            }
    return found


def summary(one: Measured, canvases: Canvases) -> dict[str, Any]:
    """Returns means, and the share of right captions by the number of digits."""
    counts = np.array([sum(map(len, scene)) for scene in canvases.scenes])
    return {
        "exact": float(one.exact.mean()),
        "standard_error": training.standard_error(float(one.exact.mean()), len(one.exact)),
        "pointed": float(one.pointed.mean()),
        "mass": float(one.mass.mean()),
        "exact_by_count": {
            str(count): float(one.exact[counts == count].mean()) for count in np.unique(counts)
        },
    }


def load_weights(out: Path, name: str) -> tuple[Any, Config]:
    """Returns the weights of a model that a run left in `out`, and the configuration.

    Raises:
        FileNotFoundError: there are none.
        ValueError: the file is damaged or of another experiment.
    """
    path = out / name / "weights.safetensors"
    config, _ = load_config(path, Config)
    lists = ("models", "languages", "channels")  # JSON has no tuples.
    config = dataclasses.replace(config, **{each: tuple(getattr(config, each)) for each in lists})
    like = jax.eval_shape(lambda: init(jax.random.key(0), config, name))
    return training.load_checkpoint(path, like=like).tree, config
