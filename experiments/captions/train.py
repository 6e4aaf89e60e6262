"""A run: canvases, one model after the other, their measures, and the files that it writes."""

import dataclasses
import json
import time
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments import results
from experiments.captions import encoder, pretraining, retrieval
from experiments.captions import model as captioning
from experiments.captions.canvases import (
    VARIANTS,
    Canvases,
    distorted,
    read_writers,
    to_test_on,
    to_train_on,
)
from experiments.captions.config import Config
from experiments.captions.encoder import EncoderParams
from experiments.captions.evaluation import distinct, measure, measure_retrieval, measured
from experiments.captions.tables import pointing_table, retrieval_table
from experiments.captions.words import captions
from experiments.handwritten_digits import Halves, Images
from experiments.optimizer import adam, clipped
from experiments.weights import load_config
from jattn import training

EVALUATIONS = 2  # Of canvases to tune on, evenly through a run.
TUNED_ON = 250
ENCODER_BATCH = 16  # Canvases, of six digits on average.
ENCODERS = (
    *("channels", "canvases", "encoder_steps", "encoder_rate", "label_smoothing"),
    *("warmup", "seed"),
)  # The options that the encoder depends on.


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
    digits = distorted(config.seed, writers.train, VARIANTS)
    figures: dict[str, Any] = {"config": dataclasses.asdict(config), "models": {}}
    trained, figures["encoder"] = train_encoder(
        config, out / "encoder", digits, tests, resume=resume
    )
    began -= max(0.0, figures["encoder"]["seconds"] - (time.perf_counter() - began))
    see = lambda canvases: Seen(canvases, encoder.described(trained, canvases.images))
    canvases = see(to_train_on(config.seed, config.canvases, digits))
    tuned_on = see(to_test_on(config.seed + 1, TUNED_ON, "seen", writers.train))
    tested = {name: see(test) for name, test in tests.items()}
    record: dict[str, Any] = {}
    for name in config.models:
        into = out / name
        goes_on = resume and (into / "checkpoint.safetensors").exists()
        now = time.perf_counter()
        params, seconds = train(config, name, into, canvases, tuned_on, resume=goes_on)
        # Training that an earlier command did counts as well.
        began -= max(0.0, seconds - (time.perf_counter() - now))
        figures["models"][name] = {
            "weights": training.parameter_count(params),
            "seconds": seconds,
            "tests": measured(params, tested, config, name),
        }
        tables = [*pointing_table(figures), *retrieval_table(figures)]
        record = results.record(
            "captions", command, seeds=[config.seed], began=began, tables=tables, more=figures
        )
        results.write(out / "results.json", record)
    return record


class Seen(NamedTuple):
    """Canvases, and the encoder's features of them [n s v]."""

    canvases: Canvases
    features: np.ndarray


def train_encoder(
    config: Config, out: Path, digits: Images, tests: Mapping[str, Canvases], *, resume: bool
) -> tuple[EncoderParams, dict[str, Any]]:
    """Trains the encoder into `out`; returns its weights, and how often it is right."""
    canvases = pretraining.examples(
        np.random.default_rng([config.seed, 2]), digits, config.canvases
    )
    arrays = {"images": canvases.images, "labels": pretraining.labels(canvases)}
    rngs = jax.random.split(key_of(config))
    params = fit(
        partial(pretraining.loss, smoothing=config.label_smoothing),
        clipped(adam(config.encoder_rate, config.warmup, config.encoder_steps, decay=0.999)),
        jax.jit(encoder.init, static_argnums=1)(rngs[0], config.channels),
        training.shuffled_batches(
            arrays, min(ENCODER_BATCH, len(canvases.images)), seed=config.seed
        ),
        steps=config.encoder_steps,
        rng=rngs[1],
        out=out,
        config=own(config, ENCODERS),
        resume=resume,
    )
    right = {name: pretraining.accuracy(params, test) for name, test in tests.items()}
    return params, {"seconds": logged_seconds(out), "right": right}


def logged_seconds(out: Path) -> float:
    """Returns the seconds of training in the log of a model, in all commands that trained it."""
    lines = (out / "log.jsonl").read_text("utf-8").splitlines()
    return json.loads(lines[-1])["seconds"] if lines else 0.0


def train(
    config: Config, name: str, out: Path, canvases: Seen, tuned_on: Seen, *, resume: bool
) -> tuple[Any, float]:
    """Trains one model into `out`; returns its weights and the seconds in its log.

    Retrieval compares all captions of a batch with all canvases, so it takes half as many, and half
    as many steps.
    """
    if name == "retrieval":
        fewer = {"batch_size": max(2, config.batch_size // 2), "steps": config.steps // 2}
        config = dataclasses.replace(config, **fewer)
    tokens, lengths, _ = captions(canvases.canvases.scenes, config.languages, captioning.LONGEST)
    arrays = {"seen": canvases.features, "tokens": tokens, "lengths": lengths}
    rngs = jax.random.split(key_of(config))
    params = jax.jit(init, static_argnums=(1, 2))(rngs[0], config, name)
    if name == "retrieval":
        loss: Any = partial(retrieval.loss, config=config)
        optimizer = clipped(adam(config.learning_rate, config.warmup, config.steps, decay=0.99))
        gallery = distinct(tuned_on.canvases, TUNED_ON)
        scenes = [tuned_on.canvases.scenes[row] for row in gallery]
        measure_one = lambda params: [
            found[1]
            for found in measure_retrieval(params, scenes, tuned_on.features[gallery], config)
        ]
    else:
        loss = partial(captioning.loss, config=config, model=name)
        optimizer = captioning.optimizer(config, name)
        measure_one = lambda params: [
            found.exact.mean() for found in measure(params, *tuned_on, config, name)
        ]
    metric = "recall_at_1" if name == "retrieval" else "exact"
    params = fit(
        loss,
        optimizer,
        params,
        training.shuffled_batches(arrays, min(config.batch_size, len(tokens)), seed=config.seed),
        steps=config.steps,
        rng=rngs[1],
        out=out,
        config=own(config),
        resume=resume,
        evaluate=lambda params: {metric: np.mean(measure_one(params))},
        evaluate_every=max(1, config.steps // EVALUATIONS),
        monitor=metric,
        highest_is_best=True,
    )
    return params, logged_seconds(out)


def fit(
    loss: Any,
    optimizer: Any,
    params: Any,
    batches: Any,
    *,
    out: Path,
    config: dict[str, Any],
    **options,
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
    metadata = {"config": config}
    training.save_checkpoint(out / "weights.safetensors", fitted.state.params, metadata=metadata)
    return fitted.state.params


def own(config: Config, names: Collection[str] = ()) -> dict[str, Any]:
    """Returns the options that a checkpoint depends on: those named, or all but the models.

    So `--resume` may train further models, or others on the same encoder.
    """
    fields = dataclasses.asdict(config)
    return {
        name: value
        for name, value in fields.items()
        if (name in names if names else name not in ("models", "tested"))
    }


def key_of(config: Config) -> jax.Array:
    """Returns the key of a run; this kind is much faster than the default on a CPU."""
    return jax.random.key(config.seed, impl="rbg")


def init(rng: jax.Array, config: Config, name: str) -> Any:
    """Draws the weights of a model by its name."""
    if name == "retrieval":
        return retrieval.init(rng, config)
    return captioning.init(rng, config, name)


def tests_of(config: Config, writers: Halves) -> dict[str, Canvases]:
    """Returns the tests: what training is like, other writers, and what is held out of training."""
    draw = partial(to_test_on, config.seed, config.tested)
    return {
        "as in training": draw("seen", writers.train),
        "other writers": draw("seen", writers.test),
        "held out": draw("held-out", writers.test),
    }


def load_weights(out: Path, name: str) -> tuple[Any, Config]:
    """Returns the weights of a model that a run left in `out`, and the configuration.

    Raises:
        FileNotFoundError: there are none.
        ValueError: the file is damaged or of another experiment.
    """
    return _loaded(out / name, lambda config: init(jax.random.key(0), config, name))


def load_encoder(out: Path) -> EncoderParams:
    """Returns the weights of the encoder that a run left in `out`.

    Raises:
        FileNotFoundError: there are none.
        ValueError: the file is damaged or of another experiment.
    """
    draw = lambda config: encoder.init(jax.random.key(0), config.channels)
    return _loaded(out / "encoder", draw)[0]


def _loaded(folder: Path, draw: Any) -> tuple[Any, Config]:
    path = folder / "weights.safetensors"
    config, _ = load_config(path, Config)
    lists = ("models", "languages", "channels")  # JSON has no tuples.
    config = dataclasses.replace(config, **{each: tuple(getattr(config, each)) for each in lists})
    return training.load_checkpoint(path, like=jax.eval_shape(lambda: draw(config))).tree, config
