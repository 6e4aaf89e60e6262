"""The article: its model trains, its zero start never does, and its mistakes are mistakes.

L and T with a number are the rows of the tables in docs/article.md.
"""

import json
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jattn
from experiments.article import __main__ as command
from experiments.article.data import INPUT, KEYS, QUERIES, VALUES
from experiments.article.example import work
from experiments.article.model import apply_article, init_article, squared_error, zero_attention
from experiments.article.train import Config, draw, train_all

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "docs" / name for name in ("article.md", "article.zh.md")]
RNG = np.random.default_rng(0)
SEQUENCE = jnp.asarray(RNG.standard_normal((5, 3)))
SCORER = jattn.AdditiveParams(
    *(jnp.asarray(RNG.standard_normal(shape)) for shape in ((7, 3), (7, 3), 7))
)


def softmax(scores, axis):
    exponentials = np.exp(scores - scores.max(axis=axis, keepdims=True))
    return exponentials / exponentials.sum(axis=axis, keepdims=True)


@pytest.fixture(scope="module")
def trained():
    """Seeds 4 and 5, and seed 4 from the zero start, for the article's 1,000 steps."""
    return train_all(Config(steps=1000, seed=4, seeds=2))


def test_two_seeds_reach_the_bar(trained):
    seeds, _ = trained
    assert seeds.losses.shape == (2, 1001)
    assert seeds.losses.min(axis=1).max() < 1e-3
    np.testing.assert_allclose(seeds.weights.sum(axis=-1), 1, rtol=1e-14)
    assert seeds.weights.max(axis=(1, 2)).min() >= 0.5


def test_the_zero_start_never_moves(trained):
    """L10: exactly zero and exactly 1/3, while every other layer learns until it has arrived."""
    _, stuck = trained
    assert not any(leaf.any() for leaf in jax.tree.leaves(stuck.params.attention))
    assert (stuck.weights == 1 / 3).all()
    for gradients in (stuck.first_gradients, stuck.last_gradients):
        assert set(gradients) == set(stuck.params._fields)
        assert gradients["attention"] == 0
    others = set(stuck.params._fields) - {"attention"}
    assert all(stuck.first_gradients[name] > 0.01 for name in others)
    assert all(stuck.last_gradients[name] < 1e-9 for name in others)
    np.testing.assert_allclose(stuck.losses[-1], 6, rtol=1e-4)
    assert stuck.losses.min() >= 6 - 1e-12
    np.testing.assert_allclose(stuck.output, np.tile(INPUT.mean(axis=0), (3, 1)), atol=0.05)


def test_either_zero_alone_can_learn():
    """L10: v alone at zero moves; W and U at zero move by W (the key's weight) first."""
    params = init_article(jax.random.key(0), jnp.asarray(INPUT), hidden_size=3)
    zero, drawn = zero_attention(params).attention, params.attention
    gradient = jax.jit(jax.grad(squared_error, has_aux=True))

    def largest(attention):
        gradients, _ = gradient(params._replace(attention=attention), jnp.asarray(INPUT))
        return [float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(gradients.attention)]

    assert largest(zero) == [0, 0, 0]
    query, key, score = largest(zero._replace(score_weight=drawn.score_weight))
    assert (query < 1e-15, key > 1e-3, score) == (True, True, 0)
    query, key, score = largest(drawn._replace(score_weight=zero.score_weight))
    assert (query, key, score > 1e-3) == (0, 0, True)


def test_options_go_by_name():
    """L1: a stray positional option is an error, not another option."""
    params = jattn.GRUParams(*map(jnp.zeros, ((3, 3, 3), (3, 3, 3), (3, 3), (3, 3))))
    with pytest.raises(TypeError, match="positional"):
        jattn.gru(params, jnp.asarray(INPUT), 1)  # type: ignore[call-arg]


def test_an_embedding_takes_known_words():
    """L2, L3, L4, T12."""
    table = jattn.init_embedding(jax.random.key(0), words=3, size=3)
    with pytest.raises(ValueError, match="tokens has dtype float64, expected an integer"):
        jattn.embedding(table, jnp.asarray(INPUT[0]))
    for row in INPUT.astype(int)[1:]:
        with pytest.raises(ValueError, match=f"tokens holds {row.max()}, expected 0 to 2"):
            jattn.embedding(table, jnp.asarray(row))
    assert table.weight[INPUT.astype(int) % 3].shape == (3, 3, 3)


def test_unpacking_splits_the_batch():
    """L5: three sequences are an error, two lose one."""
    with pytest.raises(ValueError, match="too many values to unpack"):
        output, _ = np.zeros((3, 3, 3))
    output, _ = RNG.standard_normal((2, 3, 3))
    assert output.shape == (3, 3)


def test_any_hidden_size_fits():
    """L6: the listing's product of what its Linear gives with what its attention wants."""
    with pytest.raises(ValueError, match="matmul"):
        _ = np.zeros((9, 3)) @ np.zeros((4, 4))

    def run(rng):
        params = init_article(rng, jnp.asarray(INPUT), hidden_size=4)
        return apply_article(params, jnp.asarray(INPUT))

    output, weights = jax.eval_shape(run, jax.random.key(0))
    assert (output.shape, weights.shape) == ((3, 3), (3, 3))


@pytest.mark.parametrize("steps", [2, 3, 5])
def test_weights_times_outputs_needs_one_step(steps):
    """L7."""
    with pytest.raises(ValueError, match="matmul"):
        np.matmul(np.zeros((3, steps, 1)), np.zeros((3, steps, 7)))
    assert np.matmul(np.zeros((3, 1, 1)), np.zeros((3, 1, 7))).shape == (3, 1, 7)


def test_matching_positions_give_one_context():
    """L8: s scores for the listing, t s for attention, of which the listing's are the diagonal."""
    by_key, by_query = SEQUENCE @ SCORER.key_weight.T, SEQUENCE @ SCORER.query_weight.T
    listing = jnp.tanh(by_key + by_query) @ SCORER.score_weight
    scores = jattn.trace(jattn.additive_attention, SCORER, SEQUENCE, SEQUENCE, SEQUENCE)["scores"]
    assert (listing.shape, scores.shape) == ((5,), (5, 5))
    np.testing.assert_allclose(np.diag(scores.value), listing, rtol=1e-12)


@pytest.mark.parametrize("row", RNG.standard_normal((3, 3)))
def test_three_rows_alike_lose_six(row):
    """L8, L10: and the mean is the row that loses least; two rows alike lose 1.5."""
    assert np.mean((row - INPUT) ** 2) > np.mean((INPUT.mean(axis=0) - INPUT) ** 2) == 6
    two_alike = np.stack([INPUT[:2].mean(axis=0)] * 2 + [INPUT[2]])
    assert np.mean((two_alike - INPUT) ** 2) == 1.5


def test_softmax_over_the_wrong_axis():
    """L9."""
    scores = RNG.standard_normal((2, 5, 5))
    np.testing.assert_allclose(softmax(scores, 1).sum(axis=1), 1)
    assert np.abs(softmax(scores, 1).sum(axis=2) - 1).max() > 0.1
    np.testing.assert_allclose(softmax(scores, 2).sum(axis=2), 1)
    assert (softmax(scores[0, :, :1], 1) == 1).all()


def test_the_loss_broadcasts():
    """L11: strict ranks and optax's loss refuse it."""
    output = np.zeros((3, 1, 3)) + INPUT.mean(axis=0)
    assert (output - INPUT).shape == (3, 3, 3)
    assert np.mean((output - INPUT) ** 2) == 6
    with pytest.raises(ValueError, match="rank_promotion"):
        _ = jnp.asarray(output) - jnp.asarray(INPUT)
    with pytest.raises(ValueError, match="Shape mismatch"):
        optax.losses.squared_error(jnp.asarray(output), jnp.asarray(INPUT))


def test_two_directions_are_twice_as_wide():
    """L12."""

    def run(rng):
        params = jattn.init_bidirectional_gru(rng, input_size=3, units=3)
        return jattn.bidirectional_gru(params, jnp.asarray(INPUT)).outputs

    assert jax.eval_shape(run, jax.random.key(0)).shape == (3, 6)


def test_a_seed_gives_the_same_run():
    """L13: and seeds differ."""
    first, again = draw(Config(seed=3, seeds=2)), draw(Config(seed=3, seeds=2))
    for one, two in zip(jax.tree.leaves(first), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(*first.attention.key_weight)


def test_it_learns_one_matrix_by_heart(trained):
    """L14."""
    seeds, _ = trained
    assert (seeds.unseen_loss > 1).all()


def test_local_and_self_combine():
    """T2, T3: self-attention attends within what it is given, near or everywhere."""
    near = jattn.masks.window(1, 1)
    attended = jattn.additive_attention(SCORER, SEQUENCE, SEQUENCE, SEQUENCE, mask=near)
    distance = np.abs(np.subtract.outer(np.arange(5), np.arange(5)))
    np.testing.assert_array_equal(attended.weights > 0, distance <= 1)


def test_the_formula_lacks_v():
    """T7, T8: without V there are weights; with one Z for all, rows do not sum to one."""
    worked = work(QUERIES, KEYS, VALUES)
    assert worked.weights.shape == (5, 5) != worked.output.shape == VALUES.shape
    for_all = worked.exponentials / worked.exponentials.sum()
    assert for_all.sum(axis=1).max() < 0.3
    np.testing.assert_allclose(worked.weights.sum(axis=1), 1, rtol=1e-15)


def test_the_worked_example():
    """T5, T10: against the library, and the numbers that docs/article.md derives by hand."""
    worked = work(QUERIES, KEYS, VALUES)
    attended = jattn.scaled_dot_product_attention(*map(jnp.asarray, (QUERIES, KEYS, VALUES)))
    np.testing.assert_allclose(attended.weights, worked.weights, rtol=1e-14)
    np.testing.assert_allclose(attended.context, worked.output, rtol=1e-14)
    e = np.e
    np.testing.assert_allclose(worked.normalizers[:, 0], [2 * e**2 + 3] * 4 + [3 * e**2 + 2 * e])
    np.testing.assert_allclose(worked.output[0, 0], (e**2 + 3) / (2 * e**2 + 3))


def test_formula_and_listing_differ():
    """T9: no scaled dot product, whatever its weights, has the additive scores' bound."""
    large = 1e6 * SEQUENCE
    additive = jattn.trace(jattn.additive_attention, SCORER, large, large, large)["scores"]
    scaled = jattn.trace(jattn.scaled_dot_product_attention, large, large, large)["scores"]
    assert jnp.abs(additive.value).max() <= jnp.abs(SCORER.score_weight).sum()
    assert jnp.abs(scaled.value).max() > 1e9


def test_attention_adds_parameters_and_work():
    """T13: every pair of five steps passes through seven units."""
    params = jax.eval_shape(lambda: draw(Config(seeds=1)))
    assert sum(leaf.size for leaf in jax.tree.leaves(params.attention)) == 21
    traced = jattn.trace(jattn.additive_attention, SCORER, SEQUENCE, SEQUENCE, SEQUENCE)
    assert traced["hidden"].shape == (5, 5, 7)
    assert traced.operations > 2 * 5 * 5 * 7


def test_attention_has_no_order():
    """T14: contexts move with their steps; a GRU's states do not."""
    order = jnp.array([3, 0, 4, 1, 2])

    def attend(sequence):
        return jattn.additive_attention(SCORER, sequence, sequence, sequence).context

    gru = jattn.init_gru(jax.random.key(0), input_size=3, units=3)
    np.testing.assert_allclose(attend(SEQUENCE[order]), attend(SEQUENCE)[order], rtol=1e-12)
    states, moved = (jattn.gru(gru, x).outputs for x in (SEQUENCE, SEQUENCE[order]))
    assert jnp.abs(moved - states[order]).max() > 0.01


def test_the_command_runs_and_writes(tmp_path, capsys):
    out = tmp_path / "new" / "folder"
    arguments = ["--steps", "3", "--seeds", "2", "--seed", "7", "--out", str(out)]
    assert command.main(arguments) == 0
    printed = capsys.readouterr().out
    assert printed.count("attention weights") == 6
    assert "every weight is exactly 1/3: yes" in printed
    results = json.loads((out / "results.json").read_text())
    assert [entry["seed"] for entry in results["seeds"]] == [7, 8]
    assert len(results["seeds"][0]["curve"]) == 4
    assert (out / "weights.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in out.iterdir()) == ["results.json", "weights.png"]


BAD_OPTIONS = {
    "--steps 0": "--steps is 0, expected at least 1",
    "--steps many": "--steps is 'many', expected a whole number",
    "--seeds 0": "--seeds is 0, expected at least 1",
    "--seed -1": "--seed is -1, expected at least 0",
    "--hidden-size 0": "--hidden-size is 0, expected at least 1",
    "--learning-rate nan": "--learning-rate is nan, expected more than 0",
    "--out {file}": "{file}: File exists",
    "--gates 3": "unrecognized arguments: --gates 3",
}


@pytest.mark.parametrize("options", BAD_OPTIONS)
def test_a_bad_option_is_one_clear_line(tmp_path, capsys, options):
    file = tmp_path / "file"
    file.touch()
    assert command.main(options.format(file=file).split()) == 2
    complaint = capsys.readouterr().err
    assert complaint.count("\n") == 1
    assert BAD_OPTIONS[options].format(file=file) in complaint


def test_a_full_disk_leaves_nothing_half_written(tmp_path, capsys, monkeypatch, trained):
    def refuse(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", refuse)
    monkeypatch.setattr(command, "train_all", lambda config: trained)
    arguments = ["--steps=1000", "--seed=4", "--seeds=2", f"--out={tmp_path}"]
    assert command.main(arguments) == 2
    assert "results.json: cannot write: No space left" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def fences(page):
    """(language, text) of every fenced block; tests/test_docs.py runs those of both pages."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def test_both_languages_have_the_same_code():
    english, chinese = map(fences, PAGES)
    assert english == chinese
    assert sum(language == "python" for language, _ in english) > 15


def test_every_test_that_the_pages_name_exists():
    listed = [f"L{n}" for n in range(1, 16)] + [f"T{n}" for n in range(1, 16)]
    for page in PAGES:
        rows = re.findall(r"^\| ([LT]\d+) .*\|(.*)\|$", page.read_text("utf-8"), re.MULTILINE)
        rows = rows[-len(listed) :]
        assert [number for number, _ in rows] == listed
        shown = {name for _, cell in rows for name in re.findall(r"`(\w+)`", cell)}
        assert {f"test_{name}" for name in shown} <= set(globals())
