"""The training loop: its log, its reasons to stop, its best evaluation, its errors."""

import dataclasses
import errno
import json
import math
import os
import threading
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jattn import training
from jattn.training.log import cut_back

START = {"x": np.float32(0.0)}


def loss(params, batch, rng):
    """Returns x, whose gradient is 1: a step of gradient descent subtracts the learning rate."""
    return params["x"], {"batch": batch}


def run(steps=12, **changes):
    """Trains from x = 0, subtracting 0.5 a step."""
    arguments = {
        "loss": loss,
        "optimizer": optax.sgd(0.5),
        "params": START,
        "batches": lambda step: np.int32(step),
        "steps": steps,
        "rng": jax.random.key(0),
    }
    return training.fit(**{**arguments, **changes})


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_it_takes_the_steps_on_the_batches_in_order(tmp_path):
    fitted = run(log=tmp_path / "log", log_every=1)
    assert (fitted.reason, fitted.best) == ("steps", None)
    assert int(fitted.state.step) == 12
    assert float(fitted.state.params["x"]) == -6
    assert [line["batch"] for line in lines(tmp_path / "log")] == list(range(12))
    assert [line["loss"] for line in lines(tmp_path / "log")] == [-0.5 * n for n in range(12)]


def test_the_log_has_a_line_every_so_often_and_at_the_end(tmp_path):
    path = tmp_path / "run" / "log"
    evaluate = lambda params: {"loss": params["x"] ** 2}
    run(steps=11, log=path, log_every=4, evaluate=evaluate, evaluate_every=5)
    logged = [(line["step"], line["phase"], line["loss"]) for line in lines(path)]
    assert logged == [
        (4, "train", -1.5),
        (5, "evaluate", 6.25),
        (8, "train", -3.5),
        (10, "evaluate", 25.0),
        (11, "train", -5.0),
        (11, "evaluate", 30.25),
    ]


def test_each_line_is_in_the_file_before_the_next_step(tmp_path):
    def batches(step):
        if step:
            assert len(lines(tmp_path / "log")) == step
        return np.int32(step)

    run(log=tmp_path / "log", log_every=1, batches=batches)


def test_values_that_are_not_finite_are_logged_as_null(tmp_path):
    evaluate = lambda params: {"loss": jnp.nan, "other": -math.inf, "x": 1}
    fitted = run(steps=1, log=tmp_path / "log", evaluate=evaluate)
    assert lines(tmp_path / "log")[-1]["loss"] is None
    assert lines(tmp_path / "log")[-1]["other"] is None
    assert lines(tmp_path / "log")[-1]["x"] == 1
    assert fitted.best is not None
    assert fitted.best[1:] == (math.inf, 0, 1)


def test_it_stops_when_there_is_no_better_value_for_long_enough(tmp_path):
    """(x + 2)^2 is lowest at step 4; with an evaluation every 2 steps, 6, 8 and 10 are worse."""
    options = {
        "evaluate": lambda params: {"far": (params["x"] + 2) ** 2},
        "evaluate_every": 2,
        "monitor": "far",
        "patience": 3,
        "checkpoint": tmp_path / "checkpoint",
    }
    fitted = run(steps=30, **options)
    assert (fitted.reason, int(fitted.state.step)) == ("patience", 10)
    assert fitted.best is not None
    assert fitted.best[1:] == (0.0, 4, 3)
    assert float(fitted.best.params["x"]) == -2
    assert float(fitted.state.params["x"]) == -5
    again = run(steps=30, **options, resume=True)
    assert (again.reason, int(again.state.step)) == ("patience", 10)
    assert again.best == fitted.best


def from_a_list(values):
    """Returns an evaluation that returns the next of these values each time."""
    remaining = iter(values)
    return lambda params: {"loss": next(remaining)}


@pytest.mark.parametrize(
    ("values", "options", "best", "stale"),
    [
        ([3.0, 1.0, 2.0, 1.0], {}, (1.0, 4), 2),
        ([3.0, 1.0, 5.0, 2.0], {"highest_is_best": True}, (5.0, 6), 1),
        ([5.0, 4.5, 4.0, 3.5], {"least_gain": 1.0}, (4.0, 6), 1),
        ([1.0, 1.5, 1.75, 2.25], {"least_gain": 0.75, "highest_is_best": True}, (1.75, 6), 1),
        ([math.nan, -math.inf, 2.0, math.nan], {"highest_is_best": True}, (2.0, 6), 1),
        ([math.nan, math.inf, math.nan, 2.0], {}, (2.0, 8), 0),
        ([-5.0, -5.0, -5.0, -6.0], {"least_gain": 1.0}, (-6.0, 8), 0),
        ([0.0, 0.0, 0.0, 0.0], {"highest_is_best": True}, (0.0, 2), 3),
    ],
)
def test_the_best_evaluation_is_the_lowest_or_highest_by_a_least_gain(values, options, best, stale):
    fitted = run(steps=8, evaluate=from_a_list(values), evaluate_every=2, **options)
    assert fitted.best is not None
    assert (fitted.best.value, fitted.best.step, fitted.best.stale) == (*best, stale)
    assert float(fitted.best.params["x"]) == -0.5 * best[1]


def test_patience_counts_gains_that_are_too_small():
    values = [9.0, 8.0, 7.75, 7.5, 7.25, 1.0]
    evaluate = from_a_list(values)
    fitted = run(steps=6, least_gain=1.0, evaluate=evaluate, evaluate_every=1, patience=3)
    assert (fitted.reason, int(fitted.state.step)) == ("patience", 5)


def test_the_checkpoint_of_the_best_evaluation_is_kept(tmp_path):
    path = tmp_path / "run.bin"
    options = {"evaluate_every": 2, "checkpoint": path, "checkpoint_every": 4, "keep": 1}
    run(steps=10, evaluate=from_a_list([3.0, 1.0, 2.0, 4.0, 5.0]), **options)
    assert sorted(os.listdir(tmp_path)) == ["run-00000008.bin", "run-best.bin", "run.bin"]
    loaded = training.load_checkpoint(tmp_path / "run-best.bin")
    assert (loaded.metadata["step"], loaded.tree["state/params/x"]) == (4, -2)
    assert training.load_checkpoint(path).tree["best/params/x"] == -2


def test_kept_checkpoints_of_a_run_without_an_evaluation(tmp_path):
    (tmp_path / "run-00000001.bin").write_text("of someone else")
    run(steps=9, checkpoint=tmp_path / "run.bin", checkpoint_every=2, keep=3)
    steps = [f"run-{step:08d}.bin" for step in (1, 4, 6, 8)]
    assert sorted(os.listdir(tmp_path)) == [*steps, "run.bin"]
    for step in (4, 6, 8):
        loaded = training.load_checkpoint(tmp_path / f"run-{step:08d}.bin")
        assert loaded.metadata["step"] == step


def test_a_monitor_that_was_not_measured_can_be_mended(tmp_path):
    """All steps are saved, and the resumed run begins with the evaluation."""
    options: dict[str, Any] = {
        "evaluate": lambda params: {"loss": params["x"] ** 2},
        "evaluate_every": 5,
    }
    options |= {"checkpoint": tmp_path / "checkpoint", "log": tmp_path / "log", "steps": 12}
    with pytest.raises(ValueError, match="without monitor='losss'"):
        run(**options, monitor="losss")
    assert training.load_checkpoint(tmp_path / "checkpoint").metadata["step"] == 5
    mended = run(**options, resume=True)
    evaluated = [line["step"] for line in lines(tmp_path / "log") if line["phase"] == "evaluate"]
    assert evaluated == [5, 10, 12]
    assert mended.best == run(**options).best


@pytest.mark.parametrize("changes", [{"monitor": "other"}, {"highest_is_best": True}])
def test_a_best_value_is_not_compared_with_another_metric(changes, tmp_path):
    options: dict[str, Any] = {"evaluate": lambda params: {"loss": 1.0, "other": 2.0}}
    options |= {"checkpoint": tmp_path / "checkpoint"}
    run(**options)
    with pytest.raises(ValueError, match=r"was written with monitor=.*'loss'.* cannot continue"):
        run(**options, **changes, resume=True)


def test_an_error_that_took_the_state_is_not_hidden(tmp_path, monkeypatch):
    """The steps cannot be saved, as after a failure in the middle of a donated step."""

    def broken(step):
        monkeypatch.setattr(os, "replace", no_space)
        raise KeyError("batch")

    with pytest.raises(KeyError, match="batch") as raised:
        run(checkpoint=tmp_path / "checkpoint", batches=lambda s: s if s < 3 else broken(s))
    assert raised.value.__notes__[0].startswith("fit: the last steps could not be saved: ")
    monkeypatch.undo()
    assert training.load_checkpoint(tmp_path / "checkpoint").metadata["step"] == 0


def no_space(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    "log", ["checkpoint", "./checkpoint", "link", "checkpoint-best", "checkpoint-00000100"]
)
def test_a_log_that_is_a_checkpoint_is_refused_before_work(log, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to("checkpoint")
    with pytest.raises(ValueError, match=r"fit: log is .*, expected another file than "):
        run(checkpoint=tmp_path / "checkpoint", log=log, keep=2)
    assert os.listdir(tmp_path) == ["link"]


def test_a_log_may_be_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    received = []
    for resume in (False, True):
        reader = threading.Thread(target=lambda: received.append((tmp_path / "pipe").read_text()))
        reader.start()
        run(checkpoint=tmp_path / "checkpoint", log=tmp_path / "pipe", resume=resume, steps=12)
        reader.join()
    assert json.loads(received[0].splitlines()[-1])["step"] == 12
    assert received[1] == ""


def test_optax_makes_the_schedule_and_the_clip():
    schedule = optax.piecewise_constant_schedule(0.5, {2: 0.5})
    chain = optax.chain(optax.clip_by_global_norm(0.5), optax.sgd(schedule))
    assert float(run(steps=4, optimizer=chain).state.params["x"]) == -2 * 0.25 - 2 * 0.125


def test_an_optimizer_that_reads_the_loss_gets_it():
    plateau = optax.contrib.reduce_on_plateau(factor=0.5, patience=1, atol=10.0, rtol=0.0)
    fitted = run(steps=6, optimizer=optax.chain(optax.sgd(0.5), plateau))
    assert float(fitted.state.params["x"]) > -2.5


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64, jnp.bfloat16])
def test_a_step_is_compiled_once(dtype, tmp_path):
    traces = []

    def counted(params, batch, rng):
        traces.append(rng)
        return jnp.sum(params["w"] ** 2) + params["weak"].astype(dtype), {}

    params = {"w": np.ones(3, dtype), "weak": 1.0}
    options = {"loss": counted, "params": params, "optimizer": optax.adamw(1e-2)}
    options |= {"checkpoint": tmp_path / "checkpoint", "checkpoint_every": 1}
    fitted = run(steps=3, **options)
    assert len(traces) == 1
    assert fitted.state.params["w"].dtype == dtype
    run(steps=6, **options, resume=True)
    assert len(traces) == 2


def test_the_parameters_passed_in_are_left_alone():
    params = {"x": jnp.float32(0.0)}
    rng = jax.random.key(0)
    fitted = run(params=params, rng=rng, evaluate=lambda params: {"loss": params["x"]})
    assert float(params["x"]) == 0
    assert (jax.random.key_data(rng) == jax.random.key_data(fitted.state.rng)).all()
    assert fitted.best is not None
    assert float(fitted.best.params["x"]) == float(fitted.state.params["x"]) == -6


def test_the_state_passed_to_a_step_is_donated_unless_told():
    state = training.init_train_state(START, optax.sgd(0.5), jax.random.key(0))
    kept, metrics = training.make_train_step(loss, optax.sgd(0.5), donates=False)(
        state, np.int32(1)
    )
    assert [float(x) for x in (state.params["x"], kept.params["x"])] == [0, -0.5]
    training.make_train_step(loss, optax.sgd(0.5))(state, np.int32(1))
    assert state.params["x"].is_deleted()
    assert metrics.keys() == {"loss", "batch"}


def test_every_step_has_random_numbers_of_its_own(tmp_path):
    def noisy(params, batch, rng):
        return params["x"], {"noise": jax.random.normal(rng, (), jnp.float32)}

    for name, seed in (("first", 0), ("again", 0), ("other", 1)):
        run(loss=noisy, rng=jax.random.key(seed), log=tmp_path / name, log_every=1)
    names = ("first", "again", "other")
    first, again, other = ([x["noise"] for x in lines(tmp_path / name)] for name in names)
    assert first == again
    assert len({*first, *other}) == 24


def test_the_bar_is_shown_on_demand_alone(capsys):
    run()
    assert capsys.readouterr() == ("", "")
    run(progress=True)
    shown = capsys.readouterr()
    assert "12/12" in shown.err
    assert shown.out == ""
    run(progress=False)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("torn", ["", '{"step": 4, "pha', '{"step": 4, "phase": "train"}'])
def test_later_lines_and_a_torn_one_are_cut_from_the_log(torn, tmp_path):
    path = tmp_path / "log"
    entries = [{"step": step, "loss": 1.0, "seconds": 0.25 * step} for step in (1, 2, 2, 3, 4)]
    written = [json.dumps(entry) + "\n" for entry in entries]
    path.write_text("".join(written) + torn)
    assert cut_back(path, 2) == 0.5
    assert path.read_text() == "".join(written[:3])
    path.write_text("".join(written) + torn)
    assert cut_back(path, 9) == 1.0
    assert path.read_text() == "".join(written)
    path.write_text(torn)
    assert cut_back(path, 9) == 0.0
    assert path.read_text() == ""


def test_a_file_that_is_no_log_is_not_cut(tmp_path):
    options = {"checkpoint": tmp_path / "checkpoint", "log": tmp_path / "log"}
    run(**options)
    for text in ("a letter\nto a friend\n", "[1]\n", '{"step": 1}\n', '{"step": "1"}\n'):
        (tmp_path / "log").write_text(text)
        with pytest.raises(ValueError, match=r"fit: line 1 of .*log is not a line of a log"):
            run(**options, resume=True)
        assert (tmp_path / "log").read_text() == text


def test_the_seconds_go_on_where_they_were(tmp_path):
    options = {"checkpoint": tmp_path / "checkpoint", "log": tmp_path / "log", "log_every": 1}
    run(steps=2, **options)
    first, second = lines(tmp_path / "log")
    entries = [first, second | {"seconds": 900}]
    (tmp_path / "log").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    run(steps=3, **options, resume=True)
    assert 900 < lines(tmp_path / "log")[2]["seconds"] < 960


def test_without_resume_everything_begins_anew(tmp_path):
    options = {"checkpoint": tmp_path / "checkpoint", "log": tmp_path / "log", "log_every": 1}
    run(steps=5, **options)
    run(steps=3, **options)
    assert [line["step"] for line in lines(tmp_path / "log")] == [1, 2, 3]
    assert training.load_checkpoint(tmp_path / "checkpoint").metadata["step"] == 3


def test_a_full_disk_leaves_the_previous_checkpoint(tmp_path, monkeypatch):
    path, fsync = tmp_path / "checkpoint", os.fsync
    calls = iter([fsync] * 4)  # Two saves: the file and the folder it is in.

    def fill(descriptor):
        call = next(calls, None)
        if call is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        call(descriptor)

    monkeypatch.setattr(os, "fsync", fill)
    with pytest.raises(OSError, match=f"cannot write: No space left on device: '{path}'"):
        run(checkpoint=path, checkpoint_every=5)
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["checkpoint"]
    assert training.load_checkpoint(path).metadata["step"] == 5
    assert float(run(checkpoint=path, resume=True).state.params["x"]) == -6


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no /dev/full")
def test_a_log_on_a_full_disk_is_named():
    with pytest.raises(OSError, match="cannot write: No space left on device: '/dev/full'"):
        run(log="/dev/full")


@dataclasses.dataclass(frozen=True)
class Config:
    rate: float
    sizes: tuple[int, ...] = (1, 2)


def test_another_configuration_is_refused_by_name(tmp_path):
    path = tmp_path / "checkpoint"
    run(steps=2, checkpoint=path, config=Config(0.5))
    saved = training.load_checkpoint(path).metadata
    assert saved == {"step": 2, "config": {"rate": 0.5, "sizes": [1, 2]}}
    run(steps=3, checkpoint=path, config={"sizes": [1, 2], "rate": 0.5}, resume=True)
    with pytest.raises(ValueError, match=r"was written with rate=0.5 and cannot .* with rate=0.1"):
        run(steps=4, checkpoint=path, config=Config(0.1), resume=True)
    with pytest.raises(ValueError, match=r"was written with rate=0.5 and cannot .* with rate=None"):
        run(steps=4, checkpoint=path, config={"sizes": [1, 2]}, resume=True)


def test_every_configuration_that_is_taken_can_be_resumed_with(tmp_path):
    path = tmp_path / "checkpoint"
    config = {"clip": float("inf"), "value": float("nan"), "sizes": {1: (2, 3)}, "none": None}
    run(steps=2, checkpoint=path, config=config)
    run(steps=3, checkpoint=path, config=config, resume=True)
    with pytest.raises(ValueError, match="fit: config is not JSON: two keys are '1' as strings"):
        run(config={"sizes": {1: 2, "1": 3}})


def test_a_checkpoint_that_is_of_no_run_is_refused(tmp_path):
    path = tmp_path / "checkpoint"
    state = training.init_train_state(START, optax.sgd(0.5), jax.random.key(0))
    training.save_checkpoint(path, {"state": state, "best": None}, metadata={"config": 3})
    with pytest.raises(ValueError, match=r"fit: .*checkpoint is not the checkpoint of a run"):
        run(checkpoint=path, resume=True)


def test_another_model_is_refused_by_name(tmp_path):
    path = tmp_path / "checkpoint"
    run(checkpoint=path)
    other = {"x": np.zeros(2, np.float32)}
    with pytest.raises(ValueError, match=r"state/params/x is float32 \(\) in the file"):
        run(checkpoint=path, params=other, resume=True)
    with pytest.raises(ValueError, match=r"best is None in the file and missing in like"):
        run(checkpoint=path, evaluate=lambda params: {"loss": 0}, resume=True)


def test_there_must_be_a_whole_checkpoint_to_resume_from(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no checkpoint: .*checkpoint'"):
        run(checkpoint=tmp_path / "checkpoint", resume=True)
    (tmp_path / "checkpoint").write_bytes(b"torn")
    with pytest.raises(ValueError, match="checkpoint is damaged"):
        run(checkpoint=tmp_path / "checkpoint", resume=True)


def test_it_does_not_go_back(tmp_path):
    run(steps=5, checkpoint=tmp_path / "checkpoint")
    with pytest.raises(ValueError, match=r"fit: .*checkpoint is at step 5, past steps=3"):
        run(steps=3, checkpoint=tmp_path / "checkpoint", resume=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": -1}, "steps is -1, expected at least 0"),
        ({"log_every": 0}, "log_every is 0, expected at least 1"),
        ({"evaluate_every": 0}, "evaluate_every is 0, expected at least 1"),
        ({"checkpoint_every": -2}, "checkpoint_every is -2, expected at least 1"),
        ({"patience": 0}, "patience is 0, expected at least 1"),
        ({"patience": 2}, "patience needs evaluate"),
        ({"resume": True}, "resume needs checkpoint"),
        ({"config": {1, 2}}, "config is set, expected a dataclass or mapping"),
        ({"config": {"rate": 1j}}, "config is not JSON: .*complex"),
        (
            {"evaluate": lambda _: {"accuracy": 1.0}},
            "evaluate returned .'accuracy'., without monitor='loss'",
        ),
        ({"evaluate": lambda _: {"loss": np.ones(3)}}, r"metric loss has shape \(3,\), expected a"),
        ({"evaluate": lambda _: {"step": 1}}, "a metric may not be called step"),
        ({"evaluate": lambda _: {3: 1.0}}, "a metric is called 3, expected a string"),
        ({"evaluate": lambda _: {"loss": "low"}}, "metric loss is 'low', expected a real number"),
        ({"evaluate": lambda _: {"loss": 1j}}, "metric loss is 1j, expected a real number"),
        ({"evaluate": lambda _: 0.5}, "metrics are a float, expected a dict"),
        ({"steps": 2.5}, "steps is 2.5, expected an integer"),
        ({"steps": True}, "steps is True, expected an integer"),
        ({"log_every": 0.5}, "log_every is 0.5, expected an integer"),
        ({"evaluate_every": 2.0}, "evaluate_every is 2.0, expected an integer"),
        ({"checkpoint_every": None}, "checkpoint_every is None, expected an integer"),
        ({"patience": 1.5, "evaluate": loss}, "patience is 1.5, expected an integer"),
        ({"keep": -1}, "keep is -1, expected at least 0"),
        ({"keep": 1}, "keep needs checkpoint"),
        ({"least_gain": -0.1}, "least_gain is -0.1, expected a finite number"),
        ({"least_gain": math.nan}, "least_gain is nan, expected a finite number"),
        ({"least_gain": math.inf}, "least_gain is inf, expected a finite number"),
        ({"highest_is_best": "max"}, "highest_is_best is 'max', expected True or False"),
        ({"monitor": 3}, "monitor is 3, expected the name of a metric"),
        ({"batches": [1, 2]}, "batches is a list, expected a function"),
        ({"evaluate": 3}, "evaluate is a int, expected a function"),
        ({"loss": None}, "loss is a NoneType, expected a function"),
    ],
)
def test_bad_arguments_are_named(changes, message):
    with pytest.raises(ValueError, match=f"^fit: {message}"):
        run(**changes)


def test_a_metric_that_is_none_is_found_at_the_first_step():
    with pytest.raises(ValueError, match="fit: a metric may not be called seconds") as raised:
        run(loss=lambda params, batch, rng: (params["x"], {"seconds": batch}), log_every=10)
    assert "step" not in str(raised.value)


def test_parameters_that_jax_would_change_are_named():
    rng = jax.random.key(0)
    with jax.enable_x64(False):
        for params, message in (
            ({"count": np.array([2**40])}, "params count is int64, and int32 does not hold"),
            ({"w": np.array([1e300])}, "params w is float64, and float32 does not hold"),
            ({"w": "text"}, "params w: "),
            ({"w": 2**40}, "params w: "),
        ):
            with pytest.raises(ValueError, match=f"init_train_state: {message}"):
                training.init_train_state(params, optax.sgd(0.1), rng)
        held = {"w": np.array([0.1, np.inf]), "count": np.array([3]), "on": np.True_}
        params = training.init_train_state(held, optax.identity(), rng).params
        assert params["w"].dtype == jnp.float32


def test_other_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"rng is int, expected a jax.random.key"):
        run(rng=0)
    with pytest.raises(ValueError, match="a metric may not be called loss"):
        run(loss=lambda params, batch, rng: (params["x"], {"loss": 0.0}))
