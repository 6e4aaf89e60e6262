"""The training of one model on one set of images, and its predictions."""

import dataclasses
import time
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Key

from experiments import results
from experiments.distortions import distort, erase
from experiments.handwritten_digits import Halves, Images
from experiments.optimizer import adam, clipped
from experiments.vision import deletion
from experiments.vision.config import Config
from experiments.vision.form import FORMS
from experiments.vision.model import MODELS
from experiments.vision.predictions import Predictor
from jattn import training

EVALUATIONS = 8  # On some test images, evenly through the run, for its learning curve alone.
EVALUATED = 1000


class Job(NamedTuple):
    """A model to train on a set of images from a seed."""

    data: str
    model: str
    seed: int

    @property
    def folder(self) -> str:
        """Returns the name of the job's folder."""
        model = self.model.replace(", ", "-").replace(" ", "-").lower()
        return f"{self.data}-{model}-{self.seed}"


def run(job: Job, images: Halves, config: Config, out: Path, *, resume: bool) -> dict[str, Any]:
    """Trains and tests a model into its folder below `out`; returns the content of cell.json.

    With `resume`, a job that was finished is read from there, and one that was begun goes on.

    Raises:
        ValueError: a file of an earlier run is damaged or of another configuration.
        OSError: a file is missing or cannot be written.
    """
    folder = out / job.folder
    file, checkpoint = folder / "cell.json", folder / "checkpoint.safetensors"
    described = {**job._asdict(), "config": _own(config)}
    if resume and file.exists():
        return results.finished(file, described | {"tested": len(images.test.digits)})
    began = time.perf_counter()
    form = FORMS[job.data]
    model = MODELS[job.model]
    init_rng, train_rng = jax.random.split(jax.random.key(job.seed, impl="rbg"))
    params = jax.jit(model.init, static_argnums=(1, 2))(init_rng, form, config)
    predictor = Predictor(job.data, job.model, config)
    some = Images(*(array[:EVALUATED] for array in images.test))

    def evaluate(params: Any) -> dict[str, float]:
        return {"error": 1.0 - predictor.accuracy(params, some)}

    folder.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    fitted = training.fit(
        partial(loss, job=job, config=config),
        clipped(adam(config.learning_rate, config.warmup, config.steps, decay=0.999)),
        params,
        training.shuffled_batches(
            images.train._asdict(), min(config.batch_size, len(images.train.digits)), seed=job.seed
        ),
        steps=config.steps,
        rng=train_rng,
        evaluate=evaluate,
        evaluate_every=max(1, -(-config.steps // EVALUATIONS)),
        monitor="error",
        checkpoint=checkpoint,
        checkpoint_every=200,
        resume=resume and checkpoint.exists(),
        log=folder / "log.jsonl",
        config=described,
    )
    if fitted.reason == "interrupted":
        raise KeyboardInterrupt
    params, trained = fitted.state.params, time.perf_counter()
    training.save_checkpoint(folder / "weights.safetensors", params, metadata=described)
    cell = {
        **described,
        "parameters": training.parameter_count(params),
        "accuracy": predictor.accuracy(params, images.test),
        "tested": len(images.test.digits),
        "removal": deletion.measure(
            predictor, params, Images(*(a[: config.removal_images] for a in images.test)), job.seed
        ),
        "seconds": {
            "training": round(trained - began, 1),
            "all": round(time.perf_counter() - began, 1),
        },
    }
    results.write(file, cell)
    return cell


def loss(
    params: Any, batch: dict[str, Any], rng: Key[Array, ""], *, job: Job, config: Config
) -> tuple[Array, dict[str, Array]]:
    """Returns the cross entropy of a batch of distorted images, and their accuracy."""
    apply, form = MODELS[job.model].apply, FORMS[job.data]
    pixels, digits = jnp.asarray(batch["pixels"]), jnp.asarray(batch["digits"])
    distort_rng, erase_rng = jax.random.split(rng)
    if config.distortion:
        pixels = distort(distort_rng, pixels, config.distortion)
    if config.erased:
        pixels = erase(erase_rng, pixels, form.grid, config.erased)
    scores = jax.vmap(lambda image: apply(params, image, form, config).logits)(pixels)
    labels = jax.nn.one_hot(digits, scores.shape[1], dtype=scores.dtype)
    labels = optax.losses.smooth_labels(labels, config.label_smoothing)
    entropy = optax.losses.softmax_cross_entropy(scores, labels).mean()
    right = scores.argmax(1).astype(digits.dtype) == digits
    return entropy, {"accuracy": right.mean(dtype=scores.dtype)}


def load(job: Job, out: Path, config: Config) -> Any:
    """Returns the weights of a finished job.

    Raises:
        FileNotFoundError: there are none.
        ValueError: the file is damaged.
    """
    form, model = FORMS[job.data], MODELS[job.model]
    like = jax.eval_shape(lambda: model.init(jax.random.key(0, impl="rbg"), form, config))
    return training.load_checkpoint(out / job.folder / "weights.safetensors", like=like).tree


def _own(config: Config) -> dict[str, Any]:
    """Returns the options that a job depends on: not the seeds, of which it has one."""
    fields = dataclasses.asdict(config)
    return {name: value for name, value in fields.items() if name not in ("seed", "seeds")}
