"""Training of one model of characters, and its files."""

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

import jax
import optax

from experiments.language import data, evaluation, model
from experiments.language.config import Config
from experiments.optimizer import adam, clipped
from experiments.weights import load_config
from jattn import training

EVALUATIONS = 5  # On the books to tune on, evenly through `config.steps`.
NOT_OF_A_RUN = ("models", "seeds", "seed")


def train(
    text: data.Text,
    kind: str,
    seed: int,
    config: Config,
    out: Path,
    *,
    steps: int | None = None,
    resume: bool = False,
) -> model.Params:
    """Trains a model into the folder `out`; returns its weights after the last step.

    Args:
        steps: training steps, `config.steps` by default. With more than these, the checkpoint of
            step `config.steps` is kept; see `weights_at`.
        resume: continue from the checkpoint in `out`, if there is one.

    Raises:
        ValueError: a file of an earlier run is damaged or of another configuration, or the text is
            too short.
        OSError: a file cannot be written.
        KeyboardInterrupt: the run was stopped; its files are saved.
    """
    steps = config.steps if steps is None else steps
    init_rng, train_rng = jax.random.split(jax.random.key(seed))
    params = model.init(init_rng, kind, config, len(text.alphabet))
    score_windows = evaluation.scorer(kind, config)

    def evaluate(params: model.Params) -> dict[str, float]:
        scores = evaluation.score(score_windows, params, text.valid, text.alphabet, config)
        return {"bits": scores.per_character}

    checkpoint = out / "checkpoint.safetensors"
    often = max(1, config.steps // 20)
    fitted = training.fit(
        partial(model.loss, kind=kind, config=config),
        optimizer(config),
        params,
        data.batches(
            text.train,
            text.alphabet,
            context=config.context,
            batch_size=config.batch_size,
            seed=seed,
        ),
        steps=steps,
        rng=train_rng,
        evaluate=evaluate,
        evaluate_every=max(1, config.steps // EVALUATIONS),
        monitor="bits",
        checkpoint=checkpoint,
        checkpoint_every=often if steps == config.steps else max(1, config.steps),
        keep=0 if steps == config.steps else steps // max(1, config.steps),
        resume=resume and checkpoint.exists(),
        log=out / "log.jsonl",
        config=of_run(kind, seed, config),
    )
    if fitted.reason == "interrupted":
        raise KeyboardInterrupt
    params = fitted.state.params
    metadata = {
        "config": dataclasses.asdict(config),
        "model": kind,
        "alphabet": text.alphabet,
    }
    training.save_checkpoint(out / "weights.safetensors", params, metadata=metadata)
    return params


def of_run(kind: str, seed: int, config: Config) -> dict[str, Any]:
    """Returns the part of the configuration that a run of one model depends on."""
    fields = dataclasses.asdict(config)
    rest = {name: value for name, value in fields.items() if name not in NOT_OF_A_RUN}
    return {"model": kind, "seed": seed} | rest


def optimizer(config: Config) -> optax.GradientTransformation:
    """Returns Adam with clipped gradients, at a rate that rises and then stays or falls."""
    if config.schedule == "cosine":
        return clipped(adam(config.learning_rate, config.warmup, config.steps))
    rising = max(1, int(config.warmup * config.steps))
    rate = optax.linear_schedule(0.0, config.learning_rate, rising)
    return clipped(optax.adam(rate, b2=0.98))


def weights_at(out: Path, step: int, params: Any) -> Any:
    """Returns the weights of a step whose checkpoint was kept; `params` gives their structure."""
    path = out / f"checkpoint-{step:08d}.safetensors"
    return training.load_checkpoint(path, like=params, part="state/params").tree


def load_weights(out: Path) -> tuple[model.Params, str, Config, str]:
    """Returns the weights that a run left in `out`, its kind, configuration and alphabet.

    Raises:
        FileNotFoundError: there are none.
        ValueError: the file is damaged or of another experiment.
    """
    path = out / "weights.safetensors"
    config, metadata = load_config(path, Config)
    config = dataclasses.replace(config, models=tuple(config.models))
    kind, alphabet = metadata["model"], metadata["alphabet"]
    like = jax.eval_shape(lambda: model.init(jax.random.key(0), kind, config, len(alphabet)))
    return training.load_checkpoint(path, like=like).tree, kind, config, alphabet
