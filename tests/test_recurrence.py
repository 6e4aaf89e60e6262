"""Attention as a recurrent network and back: both forms agree, and states hold what they can."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import recurrence


@pytest.fixture(autouse=True)
def as_users_run_it():
    with (
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
        jax.enable_x64(False),
    ):
        yield


def test_steps_have_the_outputs_of_the_whole_and_the_state_that_is_told():
    rng = np.random.default_rng(0)
    query, key, value = (jnp.asarray(recurrence.unit(rng, 6)) for _ in range(3))
    kept = {}
    for name, form in recurrence.FORMS.items():
        outputs, kept[name] = recurrence.step_by_step(form, query, key, value)
        np.testing.assert_allclose(outputs, form.whole(query, key, value), atol=1e-5)
    square = recurrence.SIZE**2
    assert kept == {
        "softmax attention": 2 * 6 * recurrence.SIZE,
        "linear attention": square + recurrence.SIZE,
        "DeltaNet": square,
    }


def test_a_gated_recurrence_is_attention_over_its_candidates():
    rng = np.random.default_rng(0)
    logits, candidates = rng.standard_normal(7), rng.standard_normal((7, 3))
    states, weights = recurrence.gated_as_attention(logits, candidates)
    wanted = recurrence.gated(1 / (1 + np.exp(-logits)), candidates)
    np.testing.assert_allclose(states, wanted, atol=1e-6)
    assert np.abs(np.triu(weights, 1)).max() == 0.0


def test_orthogonal_keys_are_all_found_and_the_delta_rule_replaces():
    keys = np.eye(recurrence.SIZE, dtype="float32")[:5]
    old, new = (np.eye(recurrence.SIZE, dtype="float32")[start : start + 5] for start in (8, 16))
    for kind in recurrence.RECALL:
        assert recurrence.recalled(kind, keys, new) == 1.0
    assert recurrence.recalled("DeltaNet", keys, old, new) == 1.0
    assert recurrence.recalled("sum of products", keys, old, new) == 0.0  # Of equals, the first.


def test_a_run_writes_its_record_and_picture(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(recurrence, "LENGTHS", (4, 8))
    monkeypatch.setattr(recurrence, "PAIRS", (2, 4))
    monkeypatch.setattr(recurrence, "SEEDS", 1)
    assert recurrence.main(["--out", str(tmp_path)]) == 0
    record = json.loads((tmp_path / "results.json").read_text("utf-8"))
    assert [len(table["rows"]) for table in record["tables"]] == [4, 3, 3, 3]
    assert (tmp_path / "recurrence.png").stat().st_size > 10_000
    assert "Keys that find their value" in capsys.readouterr().out
