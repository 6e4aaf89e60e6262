"""The published pronouncer on made-up weights: its equations, and attention that is added."""

import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jattn
from experiments.archive import DataError
from experiments.dictionary import Dictionary
from experiments.fine_tuning import __main__ as command
from experiments.fine_tuning.pronunciation import (
    model,
    original,
    pictures,
    pretrained,
    report,
    train,
    words,
)
from experiments.fine_tuning.pronunciation.config import Config
from jattn import training

UNITS, SIZE = 7, 5
SMALL = [
    *("--tuned", "11", "--tested", "20", "--drawn", "20", "--score-units", "3", "--buckets", "1"),
    *("--batch-size", "16", "--steps", "3"),
]


@pytest.fixture
def published(monkeypatch):
    """Made-up weights of few units, and a dictionary of short words."""
    rng = np.random.default_rng(0)
    shapes = {"w_ih": (3 * UNITS, SIZE), "w_hh": (3 * UNITS, UNITS), "b_ih": (21,), "b_hh": (21,)}
    weights = {"enc_emb": (29, SIZE), "dec_emb": (74, SIZE), "fc_w": (74, UNITS), "fc_b": (74,)}
    weights |= {f"{part}_{name}": shapes[name] for part in ("enc", "dec") for name in shapes}
    made = {name: rng.normal(size=shape).astype(np.float32) for name, shape in weights.items()}
    made["fc_b"][model.STOP] += 2  # So that some words end before the longest.
    drawn = {"".join(map(chr, 97 + rng.integers(0, 26, 3 + n % 6))): n for n in range(900)}
    spoken = {word: [("K", "AE1", "T")[: 1 + n % 3]] for word, n in drawn.items()}
    dictionary = Dictionary(spoken, ("AE1", "K", "T"))
    monkeypatch.setattr(train, "read_weights", lambda: made)
    monkeypatch.setattr(report, "read_weights", lambda: made)
    monkeypatch.setattr(words.dictionaries, "read_dictionary", lambda: dictionary)
    with (
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
        jax.enable_x64(False),
    ):
        yield made, list(spoken)


def test_phones_are_those_of_the_equations_in_numpy(published):
    weights, few = published[0], published[1][:31]
    ours = [one.tokens for one in words.pronounce(pretrained.pretrained(weights), few)]
    theirs = original.pronounce(weights, few)
    assert [one.tolist() for one in ours] == [one.tolist() for one in theirs]
    assert len({tuple(one) for one in theirs}) > 5
    assert min(map(len, theirs)) < model.LONGEST
    swapped = {**weights, "enc_w_hh": np.roll(weights["enc_w_hh"], UNITS, axis=0)}
    others = original.pronounce(swapped, few)
    assert [one.tolist() for one in others] != [one.tolist() for one in theirs]


def test_added_attention_changes_no_bit_before_it_is_trained(published):
    params = model.add_attention(
        jax.random.key(0), pretrained.pretrained(published[0]), score_units=3
    )
    normal = np.random.default_rng(1).standard_normal
    values, hidden = (normal((size, UNITS), np.float32) for size in (5, 11))
    read = model.reader(params, jattn.Memory(jnp.asarray(values), jnp.asarray(values[0]), 4))
    seen, weights = read(jnp.asarray(hidden))
    assert np.array_equal(seen, hidden)
    assert np.allclose(weights.sum(1), 1)
    assert not weights[:, 4:].any()


def test_three_steps_write_everything_and_move_every_weight(
    published, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(pictures, "DRAWN", ("jattn", "knock"))  # As short as the others.
    arguments = ["pronunciation", *SMALL, "--method", "attention", "--out", str(tmp_path)]
    assert command.main(arguments) == 0
    printed = capsys.readouterr().out
    assert re.search(r"words of 20 with the phones of the equations in NumPy +20\n", printed)
    assert "attention: trained on with attention added" in printed
    record = json.loads((tmp_path / "results.json").read_text())
    assert [len(table["rows"]) for table in record["tables"]] == [6, 2]
    assert (record["published"]["drawn"]["same"], record["published"]["drawn"]["changed"]) == (
        20,
        0,
    )
    assert (tmp_path / "attention.png").read_bytes().startswith(b"\x89PNG")

    config = Config(**record["attention"]["config"])
    like = train.start(config)
    trained = training.load_checkpoint(tmp_path / "attention" / "weights.safetensors", like=like)
    for moved, before in zip(jax.tree.leaves(trained.tree), jax.tree.leaves(like), strict=True):
        assert np.isfinite(moved).all()
        assert not np.array_equal(moved, before)

    (tmp_path / "attention" / "checkpoint.safetensors").unlink()  # A finished run is not repeated.
    assert command.main([*arguments, "--resume"]) == 0
    assert not (tmp_path / "attention" / "checkpoint.safetensors").exists()


def test_no_stem_is_trained_on_and_tested(published):
    parts = words.parts(words.read_words(), Config(tuned=7, tested=0))
    stems = {name: set(map(words.dictionaries.stem, part)) for name, part in parts.items()}
    assert not stems["train"] & stems["test"]
    assert (len(parts["valid"]), len(parts["test"]) > 40) == (7, True)


def test_bad_options_and_files_exit_with_2_and_one_line(published, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("JATTN_DATA", str(tmp_path))
    (tmp_path / "g2p_en-2.1.0.whl").write_bytes(b"not a wheel")
    with pytest.raises(DataError, match=r"g2p_en-2.1.0.whl: checksum"):
        pretrained.read_weights()
    assert command.main(["pronunciation", "--batch-size", "0"]) == 2
    assert "--batch-size is 0" in capsys.readouterr().err
