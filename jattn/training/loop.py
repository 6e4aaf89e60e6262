"""Training loop."""

import math
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import optax
from tqdm import tqdm

from jattn.training.counts import check_count
from jattn.training.early_stop import BestEvaluation, better, first_best
from jattn.training.interrupt import deferred_signals
from jattn.training.log import open_log, scalars
from jattn.training.resume import RunFiles, as_json
from jattn.training.state import TrainState, init_train_state, make_train_step


class FitResult(NamedTuple):
    """The end of a run.

    `best` is None without an evaluation; `reason` is "steps", "patience" or "interrupted".
    """

    state: TrainState
    best: BestEvaluation | None
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
    highest_is_best: bool = False,
    least_gain: float = 0.0,
    patience: int | None = None,
    checkpoint: str | os.PathLike | None = None,
    checkpoint_every: int = 1000,
    keep: int = 0,
    resume: bool = False,
    log: str | os.PathLike | None = None,
    log_every: int = 10,
    config: Any = None,
    progress: bool | None = None,
) -> FitResult:
    """Takes `steps` optimiser steps on `loss`; a run can be stopped and resumed at any step.

    A step is a function of the state, of `batches(step)` and of `fold_in(rng, step)`. So a run
    that was stopped, even by SIGKILL, and resumed has the same bits as one that was not.

    Ctrl-C finishes the step, saves, and returns with reason "interrupted"; a second one stops at
    once. SIGTERM, which clusters send, finishes the step, saves, and then ends the process as
    before. If `batches`, `evaluate` or `loss` raises, the steps done are saved.

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
        params: the initial parameters; they are copied, and keep their shardings.
        batches: a function from a step, counted from 0, to its batch; the same step has to give
            the same batch.
        steps: number of steps in all, those before a resume included.
        rng: a key of `jax.random.key`.
        evaluate: `evaluate(params) -> metrics`, run every `evaluate_every` steps and after the
            last. It may not keep `params`, whose memory the next step reuses.
        evaluate_every: number of steps between evaluations.
        monitor: the metric of `evaluate` whose best value selects `FitResult.best`.
        highest_is_best: whether the best value is the highest, as for an accuracy.
        least_gain: the least improvement that counts, for `best` and for `patience`.
        patience: stop after this many evaluations in a row without a better value.
        checkpoint: the file to save to: at the start, every `checkpoint_every` steps, at the end.
            It holds `state` (params, optimizer_state, step, rng) and `best`.
        checkpoint_every: number of steps between saves.
        keep: the number of periodic saves to keep beside `checkpoint`, as `NAME-00002000.EXT`. If
            it is not 0, `NAME-best.EXT` is the run at its best evaluation. A run can be resumed
            from each of them.
        resume: continue from `checkpoint`, and cut `log` back to its step; `params` then only
            give the expected structure and shardings. Without it both files are replaced.
        log: a file of JSON lines: metrics of the training batch every `log_every` steps, and all
            evaluations; values that are not finite are null.
        log_every: number of steps between the log's lines of the training batch.
        config: a dataclass or mapping, kept in the checkpoint; resuming with another is refused.
        progress: show a bar on stderr; by default if that is a terminal.

    Raises:
        FileNotFoundError: if there is no checkpoint to resume from.
        ValueError: if an argument is out of range, if the checkpoint is damaged or of another model
            or configuration, or if `evaluate` does not return `monitor`.
        OSError: if a file cannot be written; the previous checkpoint is intact.
    """
    _check(locals())
    config = as_json(config)
    files = None
    if checkpoint is not None:
        objective = {"metric": monitor, "highest_is_best": highest_is_best}
        objective = objective if evaluate else None
        files = RunFiles(Path(checkpoint), config, objective, checkpoint_every, keep)
        files.check_log(log)
    state = init_train_state(params, optimizer, rng)
    best = first_best(state.params, highest_is_best=highest_is_best) if evaluate else None
    is_evaluated = True
    if files is not None and resume:
        state, best, is_evaluated = files.resume(state, best)
    first = step = int(state.step)
    if step > steps:
        raise ValueError(f"fit: {checkpoint} is at step {step}, past steps={steps}")
    train_step = make_train_step(loss, optimizer)
    saved = step if resume and is_evaluated else None

    def reason_to_stop():
        if best is not None and patience is not None and best.stale >= patience:
            return "patience"
        return "steps" if step == steps else "interrupted" if interrupted() else None

    quiet = None if progress is None else not progress  # None lets tqdm look for a terminal.
    with (
        deferred_signals() as interrupted,
        tqdm(total=steps, initial=first, file=sys.stderr, disable=quiet) as bar,
        open_log(log, first if resume else None) as write,
    ):
        try:
            while True:
                if evaluate and best and not is_evaluated:
                    metrics = scalars(evaluate(state.params))
                    best_now = better(
                        best,
                        state.params,
                        metrics,
                        monitor,
                        step,
                        highest_is_best=highest_is_best,
                        least_gain=least_gain,
                    )
                    write(step, "evaluate", metrics)
                    best, is_evaluated = best_now, True
                    if files is not None and best.step == step:
                        files.save_best(state, best)
                reason = reason_to_stop()
                is_due = reason or step % checkpoint_every == 0
                if files is not None and is_due and step != saved:
                    files.save(state, best, is_evaluated)
                    saved = step
                if reason:
                    return FitResult(state, best, reason)
                state, metrics = train_step(state, batches(step))
                step += 1
                is_evaluated = not (evaluate and (step % evaluate_every == 0 or step == steps))
                bar.update()
                is_logged = step % log_every == 0 or step == steps
                if is_logged or step == first + 1:  # A bad metric is refused at the first step.
                    metrics = scalars(metrics)
                if is_logged:
                    write(step, "train", metrics)
                    bar.set_postfix(loss=metrics["loss"], refresh=False)
        except BaseException as error:
            at_once = isinstance(error, KeyboardInterrupt) and interrupted()
            if files is not None and step != saved and not at_once:
                _save_after(error, files, state, best, is_evaluated)
            raise


def _save_after(
    error: BaseException,
    files: RunFiles,
    state: TrainState,
    best: BestEvaluation | None,
    is_evaluated: bool,
) -> None:
    """Saves the steps done before an error of the user's functions, and notes it in the error."""
    try:
        files.save(state, best, is_evaluated)
    except Exception as failure:  # The error may have taken the state's memory with it.
        error.add_note(f"fit: the last steps could not be saved: {failure}")
    else:
        error.add_note(f"fit: the {int(state.step)} steps done are saved in {files.path}")


def _check(arguments: Mapping[str, Any]) -> None:
    for name in ("loss", "batches", "evaluate"):
        if not callable(arguments[name]) and (name != "evaluate" or arguments[name] is not None):
            held = type(arguments[name]).__name__
            raise ValueError(f"fit: {name} is a {held}, expected a function")
    for name in ("evaluate_every", "checkpoint_every", "log_every", "patience"):
        if name != "patience" or arguments[name] is not None:
            check_count("fit", name, arguments[name], 1)
    for name in ("steps", "keep"):
        check_count("fit", name, arguments[name])
    gain = arguments["least_gain"]
    if isinstance(gain, bool) or not isinstance(gain, int | float) or not 0 <= gain < math.inf:
        raise ValueError(f"fit: least_gain is {gain!r}, expected a finite number of at least 0")
    if not isinstance(arguments["highest_is_best"], bool):
        raise ValueError(
            f"fit: highest_is_best is {arguments['highest_is_best']!r}, expected True or False"
        )
    if not isinstance(arguments["monitor"], str):
        raise ValueError(f"fit: monitor is {arguments['monitor']!r}, expected the name of a metric")
    for name, needed in (
        ("patience", "evaluate"),
        ("resume", "checkpoint"),
        ("keep", "checkpoint"),
    ):
        if arguments[name] and arguments[needed] is None:
            raise ValueError(f"fit: {name} needs {needed}")
