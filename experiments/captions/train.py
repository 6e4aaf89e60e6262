"""A run: canvases, one model after the other, their measures, and the files that it writes."""

import dataclasses
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments import results
from experiments.captions import model as captioning
from experiments.captions import retrieval
from experiments.captions.canvases import Canvases, Writers, read_writers, to_test_on, to_train_on
from experiments.captions.config import Config
from experiments.captions.evaluation import Measured, distinct, measure, measure_retrieval
from experiments.captions.tables import pointing_table, retrieval_table
from experiments.captions.words import captions
from experiments.optimizer import adam, clipped
from experiments.weights import load_config
from jattn import training

EVALUATIONS = 4  # Of canvases to tune on, evenly through a run.
TUNED_ON = 250
STAGES = (0.1, 0.2)  # Shares of the steps with canvases of one digit, and of up to two.
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
    canvases = to_train_on(config.seed, config.canvases, writers)
    tests = tests_of(config, writers)
    figures: dict[str, Any] = {"config": dataclasses.asdict(config), "models": {}}
    first = None
    for index, name in enumerate(config.models):
        into = out / name
        goes_on = resume and (index == 0 or (into / "checkpoint.safetensors").exists())
        params, seconds = train(config, name, into, canvases, writers, first, resume=goes_on)
        first = params.encoder if first is None else first
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


def train(
    config: Config,
    name: str,
    out: Path,
    canvases: Canvases,
    writers: Writers,
    encoder: Any,
    *,
    resume: bool,
) -> tuple[Any, float]:
    """Trains one model into `out`; returns its weights and the seconds that it took.

    Args:
        encoder: weights that its encoder starts with, drawn if None.
    """
    began = time.perf_counter()
    steps = config.steps if encoder is None else config.later_steps
    scheduled = dataclasses.replace(config, steps=steps)
    tokens, lengths, _ = captions(canvases.scenes, config.languages, captioning.LONGEST)
    arrays = {"images": canvases.images, "tokens": tokens, "lengths": lengths}
    batches = by_stage(arrays, canvases, scheduled)
    rng = jax.random.key(config.seed, impl="rbg")  # Much faster than the default on a CPU.
    init_rng, train_rng = jax.random.split(rng)
    params = jax.jit(init, static_argnums=(1, 2))(init_rng, config, name)
    if encoder is not None:
        params = params._replace(encoder=encoder)
    tuned_on = to_test_on(config.seed + 1, TUNED_ON, "seen", writers.train)
    if name == "retrieval":
        loss: Any = partial(retrieval.loss, config=config)
        optimizer = clipped(adam(config.learning_rate, config.warmup, steps, decay=0.99))
        gallery = distinct(tuned_on, TUNED_ON)
        evaluate = lambda params: {
            "recall_at_1": np.mean([each[1] for each in measure_retrieval(params, gallery, config)])
        }
    else:
        loss = partial(captioning.loss, config=config, model=name)
        optimizer = captioning.optimizer(scheduled)
        evaluate = lambda params: {
            "exact": np.mean([m.exact.mean() for m in measure(params, tuned_on, config, name)])
        }
    out.mkdir(parents=True, exist_ok=True)
    fitted = training.fit(
        loss,
        optimizer,
        params,
        batches,
        steps=steps,
        rng=train_rng,
        evaluate=evaluate,
        evaluate_every=max(1, steps // EVALUATIONS),
        monitor="recall_at_1" if name == "retrieval" else "exact",
        highest_is_best=True,
        checkpoint=out / "checkpoint.safetensors",
        checkpoint_every=200,
        resume=resume,
        log=out / "log.jsonl",
        config=scheduled,
    )
    if fitted.reason == "interrupted":
        raise KeyboardInterrupt
    metadata = {"config": dataclasses.asdict(config)}
    params = fitted.state.params
    training.save_checkpoint(out / "weights.safetensors", params, metadata=metadata)
    return params, round(time.perf_counter() - began, 1)


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
    lists = ("models", "languages")  # JSON has no tuples.
    config = dataclasses.replace(config, **{each: tuple(getattr(config, each)) for each in lists})
    like = jax.eval_shape(lambda: init(jax.random.key(0), config, name))
    return training.load_checkpoint(path, like=like).tree, config
