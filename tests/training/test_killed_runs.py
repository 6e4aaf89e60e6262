"""A run that was killed or interrupted, and resumed, has the same bits as one that was not.

Run as a program, this file is the run to kill: `python test_killed_runs.py FOLDER`.
"""

import functools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jattn
from jattn import training
from jattn.training import loop
from jattn.training.state import make_train_step

STEPS = 60
EXAMPLES = np.random.default_rng(0).normal(size=(41, 5)).astype(np.float32)
OPTIMIZER = optax.chain(
    optax.clip_by_global_norm(0.5),
    optax.adamw(optax.warmup_cosine_decay_schedule(0.0, 0.05, 5, STEPS)),
)
BATCHES = training.shuffled_batches(EXAMPLES, 8, seed=1)


def loss(params, batch, rng):
    """Returns the loss of a small autoencoder with dropout, so random numbers change weights."""
    hidden = jnp.tanh(batch @ params["encode"])
    hidden = jnp.where(jax.random.bernoulli(rng, 0.8, hidden.shape), hidden, jnp.zeros_like(hidden))
    return jnp.mean((hidden @ params["decode"] - batch) ** 2), {"hidden": jnp.mean(hidden)}


def evaluate(params):
    return {"loss": jnp.mean((EXAMPLES @ params["encode"]) ** 2)}


def run(folder, **changes):
    rng = np.random.default_rng(2)
    arguments = {"batches": BATCHES, "evaluate": evaluate, **changes}
    return training.fit(
        loss,
        OPTIMIZER,
        {
            "encode": rng.normal(size=(5, 7)).astype(np.float32),
            "decode": rng.normal(size=(7, 5)).astype(np.float32),
        },
        steps=STEPS,
        rng=jax.random.key(3),
        evaluate_every=4,
        patience=50,
        checkpoint=folder / "checkpoint.safetensors",
        checkpoint_every=3,
        log=folder / "log.jsonl",
        log_every=1,
        config={"seed": 1},
        **arguments,
    )


def result(folder):
    """Returns the whole checkpoint, and the log except the time that each step took."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    seconds = [line.pop("seconds") for line in lines]
    assert seconds == sorted(seconds)
    return (folder / "checkpoint.safetensors").read_bytes(), lines


@pytest.fixture(scope="module", autouse=True)
def compile_once():
    """Shares one compiled step between the runs of this file; processes compile their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "make_train_step", functools.cache(make_train_step))
        yield


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    assert run(folder).reason == "steps"
    return result(folder)


def start(folder, **environment):
    flags = ("jax_enable_x64", "jax_numpy_dtype_promotion")
    settings = {flag.upper(): str(getattr(jax.config, flag)) for flag in flags}
    settings["PYTHONPATH"] = str(Path(jattn.__file__).parents[1])
    command = [sys.executable, __file__, str(folder)]
    return subprocess.Popen(command, env={**os.environ, **settings, **environment})


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_run_killed_at_any_moment_resumes_to_the_same_bits(seed, uninterrupted, tmp_path):
    rng = np.random.default_rng(seed)
    log, lines, delay = tmp_path / "log.jsonl", rng.integers(1, STEPS - 15), rng.uniform(0, 0.02)
    process = start(tmp_path)
    try:
        while process.poll() is None and (
            not log.exists() or log.read_bytes().count(b"\n") < lines
        ):
            time.sleep(0.001)
        time.sleep(delay)
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL
    assert log.read_bytes().count(b"\n") < STEPS
    assert run(tmp_path, resume=True).reason == "steps"
    assert result(tmp_path) == uninterrupted


def test_a_run_killed_while_saving_resumes_to_the_same_bits(uninterrupted, tmp_path):
    process = start(tmp_path, KILL_WHILE_SAVING="9")
    assert process.wait(timeout=60) == -signal.SIGKILL
    assert len(list(tmp_path.glob(".checkpoint.safetensors.*.partial"))) == 1
    run(tmp_path, resume=True)
    assert result(tmp_path) == uninterrupted
    assert sorted(os.listdir(tmp_path)) == ["checkpoint.safetensors", "log.jsonl"]


def signalling(number, at, times=1):
    def batches(step):
        if step == at:
            for _ in range(times):
                signal.raise_signal(number)
        return BATCHES(step)

    return batches


def pressing_ctrl_c(at, times=1):
    return signalling(signal.SIGINT, at, times)


@pytest.fixture
def heeds_ctrl_c():
    """A program that starts in the background may have inherited that Ctrl-C is ignored."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, handler)


@pytest.mark.usefixtures("heeds_ctrl_c")
@pytest.mark.parametrize("step", [0, 16, 30])
def test_ctrl_c_finishes_the_step_and_resumes_to_the_same_bits(
    step, uninterrupted, tmp_path, capfd
):
    handler = signal.getsignal(signal.SIGINT)
    fitted = run(tmp_path, batches=pressing_ctrl_c(step))
    assert (fitted.reason, int(fitted.state.step)) == ("interrupted", step + 1)
    assert signal.getsignal(signal.SIGINT) is handler
    assert "Ctrl-C again stops at once" in capfd.readouterr().err
    saved = training.load_checkpoint(tmp_path / "checkpoint.safetensors")
    monitor = {"metric": "loss", "highest_is_best": False}
    assert saved.metadata == {"step": step + 1, "config": {"seed": 1}, "monitor": monitor}
    run(tmp_path, resume=True)
    assert result(tmp_path) == uninterrupted


@pytest.mark.usefixtures("heeds_ctrl_c")
def test_a_second_ctrl_c_stops_at_once(uninterrupted, tmp_path):
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, batches=pressing_ctrl_c(31, times=2))
    assert signal.getsignal(signal.SIGINT) is handler
    saved = training.load_checkpoint(tmp_path / "checkpoint.safetensors")
    assert saved.metadata["step"] == 30
    run(tmp_path, resume=True)
    assert result(tmp_path) == uninterrupted


class Mistake(Exception):
    """An error of the user's own functions."""


def failing(function, at):
    """Returns a function that fails at one of its calls, counted from 0."""
    calls = iter(range(at + 1))

    def fails(*arguments):
        if next(calls) == at:
            raise Mistake
        return function(*arguments)

    return fails


@pytest.mark.parametrize(
    ("changes", "step"),
    [
        ({"batches": failing(BATCHES, 31)}, 31),
        ({"evaluate": failing(evaluate, 7)}, 32),
        ({"evaluate": failing(evaluate, STEPS // 4 - 1)}, STEPS),
    ],
    ids=["batches", "evaluate", "the last evaluation"],
)
def test_an_error_of_the_user_saves_the_steps_and_resumes_to_the_same_bits(
    changes, step, uninterrupted, tmp_path
):
    with pytest.raises(Mistake) as raised:
        run(tmp_path, **changes)
    path = tmp_path / "checkpoint.safetensors"
    assert raised.value.__notes__ == [f"fit: the {step} steps done are saved in {path}"]
    assert training.load_checkpoint(path).metadata["step"] == step
    assert run(tmp_path, resume=True).reason == "steps"
    assert result(tmp_path) == uninterrupted


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_leaving_the_program_saves_the_steps_too(error, uninterrupted, tmp_path):
    def leaving(step):
        if step == 31:
            raise error
        return BATCHES(step)

    with pytest.raises(error):
        run(tmp_path, batches=leaving)
    path = tmp_path / "checkpoint.safetensors"
    assert training.load_checkpoint(path).metadata["step"] == 31
    run(tmp_path, resume=True)
    assert result(tmp_path) == uninterrupted


def test_a_terminated_run_saves_ends_and_resumes_to_the_same_bits(uninterrupted, tmp_path):
    """SIGTERM, twice as `timeout` sends it, in the middle of a step between two saves."""
    process = start(tmp_path, TERMINATE_AT="31")
    assert process.wait(timeout=60) == -signal.SIGTERM
    saved = training.load_checkpoint(tmp_path / "checkpoint.safetensors")
    assert saved.metadata["step"] == 32
    run(tmp_path, resume=True)
    assert result(tmp_path) == uninterrupted


def test_a_handler_of_sigterm_is_called_once_all_is_saved(uninterrupted, tmp_path, capfd):
    path, saved_steps = tmp_path / "checkpoint.safetensors", []

    def handle(number, _frame):
        saved_steps.append((number, training.load_checkpoint(path).metadata["step"]))

    previous = signal.signal(signal.SIGTERM, handle)
    try:
        fitted = run(tmp_path, batches=signalling(signal.SIGTERM, 7, times=3))
        assert signal.getsignal(signal.SIGTERM) is handle
    finally:
        signal.signal(signal.SIGTERM, previous)
    assert saved_steps == [(signal.SIGTERM, 8)]
    assert fitted.reason == "interrupted"
    assert capfd.readouterr().err.count("to save before terminating") == 1
    run(tmp_path, resume=True)
    assert result(tmp_path) == uninterrupted


@pytest.mark.usefixtures("heeds_ctrl_c")
def test_kept_checkpoints_are_the_last_and_the_best_and_each_resumes(uninterrupted, tmp_path):
    """Also after the run was stopped at a step that is saved for this reason alone."""
    run(tmp_path, batches=pressing_ctrl_c(31), keep=2)
    assert {path.name for path in tmp_path.glob("checkpoint*")} == {
        "checkpoint.safetensors",
        "checkpoint-00000027.safetensors",
        "checkpoint-00000030.safetensors",
        "checkpoint-best.safetensors",
    }
    run(tmp_path, keep=2, resume=True)
    assert result(tmp_path) == uninterrupted
    names = {path.name for path in tmp_path.glob("checkpoint-*")}
    last = {f"checkpoint-{step:08d}.safetensors" for step in (STEPS - 3, STEPS)}
    assert names == last | {"checkpoint-best.safetensors"}
    best = training.load_checkpoint(tmp_path / "checkpoint-best.safetensors")
    assert best.metadata["step"] == best.tree["best/step"]
    for name in names:
        (tmp_path / name).replace(tmp_path / "checkpoint.safetensors")
        run(tmp_path, resume=True)
        assert result(tmp_path) == uninterrupted


def test_an_ignored_ctrl_c_stays_ignored(uninterrupted, tmp_path):
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert run(tmp_path, batches=pressing_ctrl_c(5)).reason == "steps"
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, handler)
    assert result(tmp_path) == uninterrupted


def test_it_runs_where_signals_cannot_be_handled(uninterrupted, tmp_path):
    thread = threading.Thread(target=run, args=(tmp_path,))
    thread.start()
    thread.join()
    assert result(tmp_path) == uninterrupted


def test_a_finished_run_resumes_to_itself(uninterrupted, tmp_path):
    run(tmp_path)
    assert run(tmp_path, resume=True).reason == "steps"
    assert result(tmp_path) == uninterrupted


def slowly(step):
    time.sleep(0.002)  # So that the run is still there when the signal arrives.
    return BATCHES(step)


def kill_while_saving(call):
    """Replaces `os.replace`: at the given call, when all is written, the process kills itself."""
    replace, calls = os.replace, iter(range(1, call + 1))

    def replace_or_die(*paths):
        if next(calls) == call:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(*paths)

    os.replace = replace_or_die


if __name__ == "__main__":
    if "KILL_WHILE_SAVING" in os.environ:
        kill_while_saving(int(os.environ["KILL_WHILE_SAVING"]))
    batches = slowly
    if "TERMINATE_AT" in os.environ:
        batches = signalling(signal.SIGTERM, int(os.environ["TERMINATE_AT"]), times=2)
    run(Path(sys.argv[1]), batches=batches)
