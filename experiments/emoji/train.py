"""The training of one model on one split, and its measures."""

import dataclasses
import itertools
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments import results
from experiments.contrastive import FOUND, ranks, recall
from experiments.emoji import baseline, data, model
from experiments.emoji.config import Config
from experiments.emoji.data import LANGUAGES, Emoji, Parts
from experiments.optimizer import adam, clipped
from jattn import training

EVALUATIONS = 8  # On the emoji to tune on, evenly through the run.
LIKENESS = (0.0, 0.3, 0.4, 0.5, 1.01)  # Bounds of the bins by likeness to a training name.


class Job(NamedTuple):
    """A way of pooling to train on the split of a seed."""

    pooling: str
    seed: int

    @property
    def folder(self) -> str:
        """Returns the name of the job's folder."""
        return f"{self.pooling}-{self.seed}"


class Asked(NamedTuple):
    """Pictures, and names as tokens [n l t p] with their lengths [n l]."""

    pictures: np.ndarray
    tokens: np.ndarray
    lengths: np.ndarray


def asked(parts: Parts, part: Emoji) -> Asked:
    """Returns a part as arrays, with the tokens of the split."""
    return Asked(part.pictures, *data.read_names(part, data.tokens_of(parts.train)))


def run(job: Job, parts: Parts, config: Config, out: Path, *, resume: bool) -> dict[str, Any]:
    """Trains and tests a model into its folder below `out`; returns the content of cell.json.

    With `resume`, a job that was finished is read from there, and one that was begun goes on. The
    weights kept are those of the best evaluation on the emoji to tune on.

    Raises:
        ValueError: a file of an earlier run is damaged or of another configuration.
        OSError: a file is missing or cannot be written.
    """
    folder = out / job.folder
    file, checkpoint = folder / "cell.json", folder / "checkpoint.safetensors"
    described = {**job._asdict(), "config": own(config), "held_out": len(parts.held_out.emoji)}
    if resume and file.exists():
        return results.finished(file, described)
    began = time.perf_counter()
    trained_on, tuned_on, held_out = (asked(parts, part) for part in parts)
    init_rng, train_rng = jax.random.split(jax.random.key(job.seed, impl="rbg"))

    def evaluate(params: Any) -> dict[str, float]:
        found = ranks_of(params, tuned_on)
        return {"reciprocal_rank": float((1 / found).mean()), "at_10": recall(found)[10]}

    folder.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    fitted = training.fit(
        partial(model.loss, config=config),
        clipped(adam(config.learning_rate, config.warmup, config.steps, decay=0.99)),
        start(init_rng, parts, config, job.pooling),
        training.shuffled_batches(
            trained_on._asdict(), min(config.batch_size, len(trained_on.pictures)), seed=job.seed
        ),
        steps=config.steps,
        rng=train_rng,
        evaluate=evaluate,
        evaluate_every=max(1, config.steps // EVALUATIONS),
        monitor="reciprocal_rank",
        highest_is_best=True,
        checkpoint=checkpoint,
        checkpoint_every=200,
        resume=resume and checkpoint.exists(),
        log=folder / "log.jsonl",
        config=described,
    )
    if fitted.reason == "interrupted":
        raise KeyboardInterrupt
    assert fitted.best is not None
    params = fitted.best.params
    training.save_checkpoint(folder / "weights.safetensors", params, metadata=described)
    cell = {
        **described,
        "parameters": training.parameter_count(params),
        "best_step": fitted.best.step,
        **measures(ranks_of(params, held_out), parts),
        "seconds": round(time.perf_counter() - began, 1),
    }
    results.write(file, cell)
    return cell


def start(rng: jax.Array, parts: Parts, config: Config, pooling: str) -> model.Params:
    """Draws the weights of a model."""
    count = 2 + len(data.tokens_of(parts.train))
    return jax.jit(model.init, static_argnums=(1, 2, 3))(rng, config, pooling, count)


def ranks_of(params: Any, part: Asked) -> np.ndarray:
    """Returns the rank of the picture of each name among all pictures of the part, [l n]."""
    return ranks_by_language(np.asarray(model.scores(params, *part)))


def ranks_by_language(scores: np.ndarray) -> np.ndarray:
    """Returns the rank of the picture of each name, from scores [l m n]."""
    return np.stack([ranks(each) for each in scores])


def measures(found: np.ndarray, parts: Parts) -> dict[str, Any]:
    """Returns recall of held-out pictures by language, and by likeness to a training name.

    Args:
        found: ranks [l n].
    """
    alike = baseline.nearest_names(parts.train, parts.held_out)[1]
    inside = [(alike >= low) & (alike < high) for low, high in itertools.pairwise(LIKENESS)]
    return {
        "recall": {
            language: list(recall(each).values())
            for language, each in zip(LANGUAGES, found, strict=True)
        },
        "by_likeness": [
            {"names": int(each.sum()), "found": int((found[each] <= FOUND[-1]).sum())}
            for each in inside
        ],
    }


def describe(parts: Parts) -> dict[str, Any]:
    """Returns the sizes of a split, what its names have in common, and what needs no training."""
    alike = baseline.nearest_names(parts.train, parts.held_out)[1]
    near = data.difference(parts.held_out.pictures, parts.train.pictures).min(1)
    found = ranks_by_language(baseline.scores(parts.train, parts.held_out))
    return {
        "train": len(parts.train.emoji),
        "tune": len(parts.tune.emoji),
        "held_out": len(parts.held_out.emoji),
        "train_groups": len(np.unique(parts.train.group)),
        "tokens": 2 + len(data.tokens_of(parts.train)),
        "nearest_training_picture": {"least": float(near.min()), "median": float(np.median(near))},
        "unseen": data.unseen(parts.train, parts.held_out),
        "likeness": dict(zip(LANGUAGES, alike.mean(1).tolist(), strict=True)),
        "baseline": measures(found, parts),
    }


def load(job: Job, parts: Parts, config: Config, out: Path) -> model.Params:
    """Returns the weights of a finished job.

    Raises:
        FileNotFoundError: there are none.
        ValueError: the file is damaged.
    """
    like = jax.eval_shape(lambda: start(jax.random.key(0, impl="rbg"), parts, config, job.pooling))
    return training.load_checkpoint(out / job.folder / "weights.safetensors", like=like).tree


def own(config: Config) -> dict[str, Any]:
    """Returns the options that a job depends on, as JSON has them."""
    fields: Mapping[str, Any] = dataclasses.asdict(config)
    kept = {
        name: value for name, value in fields.items() if name not in ("models", "seed", "seeds")
    }
    return kept | {"channels": list(config.channels)}
