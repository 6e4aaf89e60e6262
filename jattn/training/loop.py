"""The training loop."""

import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import optax
from tqdm import tqdm

from jattn.training.early_stop import Best, better, first_best
from jattn.training.interrupt import deferred_interrupt
from jattn.training.log import open_log, scalars
from jattn.training.resume import as_json, resume_run, save_run
from jattn.training.state import TrainState, init_train_state, make_train_step


class FitResult(NamedTuple):
    """The end of a run. `reason` says why: "steps", "patience" or "interrupted"."""

    state: TrainState
    best: Best | None
    reason: str


def fit(
    loss: Callable[..., tuple[jax.Array, dict[str, jax.Array]]],
    optimizer: optax.GradientTransformation,
    params: Any,
    batches: Callable[[int], Any],
    *,
    steps: int,
    rng: jax.Array,
    evaluate: Callable[[Any], Mapping[str, Any]] | None = None,
    evaluate_every: int = 100,
    monitor: str = "loss",
    patience: int | None = None,
    checkpoint: str | os.PathLike | None = None,
    checkpoint_every: int = 1000,
    resume: bool = False,
    log: str | os.PathLike | None = None,
    log_every: int = 10,
    config: Any = None,
    progress: bool | None = None,
) -> FitResult:
    """Takes `steps` optimiser steps on `loss`, and can be stopped and resumed at any of them.

    A step is a function of the state, of `batches(step)` and of `fold_in(rng, step)`, so a run
    that was stopped, by Ctrl-C or SIGKILL, and resumed has the bits of one that was not. Ctrl-C
    finishes the step, saves, and returns with reason "interrupted"; a second one stops at once.

    >>> import jax, jax.numpy as jnp, numpy as np, optax
    >>> from jattn import training
    >>> inputs = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
    >>> targets = inputs @ np.float32([1, -2, 3]) + np.float32(0.5)
    >>> def loss(params, batch, rng):
    ...     predicted = batch["inputs"] @ params["weight"] + params["bias"]
    ...     return optax.losses.squared_error(predicted, batch["targets"]).mean(), {}
    >>> data = {"inputs": inputs, "targets": targets}
    >>> schedule = optax.warmup_cosine_decay_schedule(0.0, 0.1, warmup_steps=20, decay_steps=300)
    >>> fitted = training.fit(
    ...     loss,
    ...     optax.chain(optax.clip_by_global_norm(1.0), optax.adam(schedule)),
    ...     {"weight": jnp.zeros(3, jnp.float32), "bias": jnp.zeros((), jnp.float32)},
    ...     training.shuffled_batches(data, batch_size=16, seed=0),
    ...     steps=300,
    ...     rng=jax.random.key(0),
    ...     evaluate=lambda params: {"loss": loss(params, data, None)[0]},
    ...     patience=2,  # Also: checkpoint="run/checkpoint.safetensors", log="run/log.jsonl".
    ... )
    >>> fitted.reason, fitted.best.params["weight"].round(2).tolist()
    ('steps', [1.0, -2.0, 3.0])

    Args:
        loss: `loss(params, batch, rng) -> (scalar, metrics)`; see `make_train_step`.
        params: where to start; they are copied.
        batches: the batch of a step, counted from 0, always the same for the same step.
        evaluate: `evaluate(params) -> metrics`, run every `evaluate_every` steps and after the
            last. It may not keep `params`, whose memory the next step reuses.
        monitor: the metric of `evaluate` whose lowest value makes `FitResult.best`.
        patience: stop after this many evaluations in a row without a lower value.
        checkpoint: the file to save to: at the start, every `checkpoint_every` steps, at the end.
            It holds `state` (params, optimizer_state, step, rng) and `best`.
        resume: continue from `checkpoint`, and cut `log` back to its step; `params` then only
            say what to expect. Without it both files are begun anew.
        log: a file of JSON lines: metrics of the training batch every `log_every` steps, and all
            evaluations; values that are not finite are null.
        config: a dataclass or mapping, kept in the checkpoint; resuming with another is refused.
        progress: show a bar on stderr; by default if that is a terminal.

    Raises:
        FileNotFoundError: there is no checkpoint to resume from.
        ValueError: the checkpoint is damaged or of another model or configuration, or `evaluate`
            does not return `monitor`.
        OSError: a file cannot be written; the previous checkpoint is intact.
    """
    _check(locals())
    state = init_train_state(params, optimizer, rng)
    best = first_best(state.params) if evaluate else None
    config = as_json(config)
    if checkpoint is not None and resume:
        state, best = resume_run(checkpoint, state, best, config)
    first = step = int(state.step)
    if step > steps:
        raise ValueError(f"fit: {checkpoint} is at step {step}, past steps={steps}")
    train_step = make_train_step(loss, optimizer)
    saved = step if resume else None

    def reason_to_stop():
        if best is not None and patience is not None and best.stale >= patience:
            return "patience"
        return "steps" if step == steps else "interrupted" if interrupted() else None

    quiet = None if progress is None else not progress  # None lets tqdm look for a terminal.
    with (
        tqdm(total=steps, initial=first, file=sys.stderr, disable=quiet) as bar,
        open_log(log, first if resume else None) as write,
        deferred_interrupt() as interrupted,
    ):
        while True:
            reason = reason_to_stop()
            is_due = reason or step % checkpoint_every == 0
            if checkpoint is not None and is_due and step != saved:
                save_run(checkpoint, state, best, config)
                saved = step
            if reason:
                return FitResult(state, best, reason)
            state, metrics = train_step(state, batches(step))
            step += 1
            bar.update()
            if step % log_every == 0 or step == steps:
                metrics = scalars(metrics)
                write(step, "train", metrics)
                bar.set_postfix(loss=metrics["loss"], refresh=False)
            if evaluate and best and (step % evaluate_every == 0 or step == steps):
                metrics = scalars(evaluate(state.params))
                write(step, "evaluate", metrics)
                best = better(best, state.params, metrics, monitor, step)


def _check(arguments: Mapping[str, Any]) -> None:
    for name in ("steps", "evaluate_every", "checkpoint_every", "log_every", "patience"):
        least = 0 if name == "steps" else 1
        if arguments[name] is not None and arguments[name] < least:
            raise ValueError(f"fit: {name} is {arguments[name]}, expected at least {least}")
    for name, needed in (("patience", "evaluate"), ("resume", "checkpoint")):
        if arguments[name] and arguments[needed] is None:
            raise ValueError(f"fit: {name} needs {needed}")
