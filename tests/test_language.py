"""The language model in a few steps: its files, its scores, its cache and its mistakes."""

import dataclasses
import itertools
import json
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.language import __main__ as command
from experiments.language import (
    compressors,
    data,
    evaluation,
    model,
    recurrences,
    report,
    run,
    train,
    writing,
)
from experiments.language.config import MODELS, Config
from jattn import training

SIZES: dict[str, Any] = {
    "context": 16,
    "window": 5,
    "layers": 1,
    "size": 8,
    "heads": 2,
    "hidden_size": 6,
}
SMALL = Config(**SIZES, batch_size=4, steps=3)
OPTIONS = [
    f"--{name.replace('_', '-')}={value}" for name, value in {**SIZES, "batch_size": 4}.items()
]
VERSES = {
    f"{book:02}001{verse:03}": f"a{book % 7} light {verse * verse} shines; the dark is no. {verse}"
    for book in (1, 2, *data.VALID, *data.TEST)
    for verse in range(1, 12)
}


@pytest.fixture(autouse=True)
def text(monkeypatch):
    """A text made here instead of the downloaded one, and the promotion that users have."""
    monkeypatch.setattr(data, "read_verses", lambda: VERSES)
    monkeypatch.setattr(report, "SENTENCE", "a light shines; the da")
    monkeypatch.setattr(run, "ROUNDS", 1)
    with (
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
        jax.enable_x64(False),
    ):
        yield data.read()


def weights(kind, config=SMALL, characters=11):
    return model.init(jax.random.key(0), kind, config, characters)


def test_a_run_writes_everything_moves_every_weight_and_continues(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(
        run, "seconds_per_step", lambda *_: {"transformer": 2.0, "gru-attention": 1.0}
    )
    fit, started = training.fit, {}

    def watched(loss, optimizer, params, *rest, **options):
        started[options["config"]["model"]] = params
        return fit(loss, optimizer, params, *rest, **options)

    monkeypatch.setattr(training, "fit", watched)
    options = [*OPTIONS, "--models", "transformer", "gru-attention", "--steps", "3"]
    options += ["--out", str(tmp_path)]
    assert command.main(options) == 0
    printed = capsys.readouterr().out
    assert "Bits per character on the test books" in printed
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["experiment"] == "language"
    assert [of["steps"] for of in results["models"].values()] == [3, 6]  # In the same time.
    for of in results["models"].values():
        assert 3 < of["at_equal_steps"][0] < 9
        assert len(of["by_place"][0]) == 16
    transformer, gru = results["models"].values()
    assert transformer["at_equal_steps"] == transformer["at_the_end"]
    assert gru["at_equal_steps"] != gru["at_the_end"]
    for name in ("curves", "places", "attention-transformer", "attention-gru-attention"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    for kind in results["models"]:
        params, kind_of_file, config, alphabet = train.load_weights(tmp_path / "0" / kind)
        assert (kind_of_file, config.steps, alphabet) == (kind, 3, data.read().alphabet)
        for moved, before in zip(
            jax.tree.leaves(params), jax.tree.leaves(started[kind]), strict=True
        ):
            assert np.isfinite(moved).all()
            assert not np.array_equal(moved, before)

    # A run that ended is not trained again, and its scores are the same.
    assert command.main([*options, "--models", "gru-attention", "--resume"]) == 0
    capsys.readouterr()
    again = json.loads((tmp_path / "results.json").read_text())
    assert again["models"] == {"gru-attention": gru}
    kept, *_ = train.load_weights(tmp_path / "0" / "gru-attention")
    jax.tree.map(np.testing.assert_array_equal, kept, params)

    assert command.main(["--out", str(tmp_path), "write", "a light", "--length", "5"]) == 0
    written, _, speed = capsys.readouterr().out.partition("\n\n")
    assert written.startswith("a light")
    assert "characters a second with the cache" in speed
    for prompt, complaint in (("", "prompt is empty"), ("a Q light @", "has not seen '@' 'Q'")):
        assert command.main(["--out", str(tmp_path), "write", prompt]) == 2
        error = capsys.readouterr().err
        assert complaint in error
        assert error.count("\n") == 1


def test_a_stopped_run_resumes_bit_for_bit(text, tmp_path):
    """Stopped before its last step: batches, the schedule and the optimiser go on as they were."""
    config = dataclasses.replace(SMALL, steps=4, schedule="cosine")
    whole = train.train(text, "gru", 1, config, tmp_path / "whole")
    batches = data.batches

    def stopping(*arguments, **options):
        batch = batches(*arguments, **options)

        def at(step):
            if step == 2:
                raise RuntimeError("stopped")
            return batch(step)

        return at

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "batches", stopping)
        with pytest.raises(RuntimeError, match="stopped"):
            train.train(text, "gru", 1, config, tmp_path / "parts")
    resumed = train.train(text, "gru", 1, config, tmp_path / "parts", resume=True)
    for left, right in zip(jax.tree.leaves(whole), jax.tree.leaves(resumed), strict=True):
        np.testing.assert_array_equal(left, right)
    other = dataclasses.replace(config, warmup=0.5)
    with pytest.raises(ValueError, match="warmup"):
        train.train(text, "gru", 1, other, tmp_path / "parts", resume=True)


OF_ALL_PARTS = ["transformer", "gru-attention", "retention", "gated-linear", "gated-delta"]


@pytest.mark.parametrize("kind", OF_ALL_PARTS)
def test_the_writer_has_the_scores_of_the_whole_pass(kind):
    """With the cache, after a chunk and token by token, past the context; and without it."""
    tokens = np.random.default_rng(0).integers(11, size=25).astype(np.int32)
    with jax.enable_x64(True):
        params = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), weights(kind))
        wanted = jax.jit(model.logits, static_argnums=(2, 3))(params, tokens, kind, SMALL)

        def written(params):
            for ways in (writing.cached, writing.whole):
                state, step = ways(params, jnp.asarray(tokens[:8]), kind, SMALL, 17)
                after = lambda state, token, step=step: step(state, token)[::-1]
                yield jax.lax.scan(after, state, tokens[7:])[1]

        for scores in jax.jit(lambda params: list(written(params)))(params):
            np.testing.assert_allclose(scores, jax.nn.log_softmax(wanted[7:]), atol=1e-12)


@pytest.mark.parametrize("count", [1, 7, 16, 17, 24, 25, 100])
def test_windows_score_each_character_once(count):
    windows = data.windows(count, 16, 8)
    scored = [range(start, last) for _, last, start in windows]
    assert list(itertools.chain(*scored)) == list(range(count))
    for first, last, start in windows:
        assert last - first == min(16, count)
        assert start == 0 or start - first >= 8


def test_every_character_is_scored_once_with_the_characters_before_it():
    """By a model whose character costs its place in the text, from which the sum is known."""
    alphabet, lengths = "\nab", (1, 16, 43)
    texts = ["a" * length for length in lengths]
    seen = []

    def score_windows(params, before, wanted):
        seen.append((before, wanted))
        return np.broadcast_to(np.arange(16.0), before.shape)

    scores = evaluation.score(score_windows, None, texts, alphabet, SMALL)  # type: ignore[arg-type]
    assert scores.characters == sum(lengths)
    # The first window costs 0 to 15; each further one 8 to 15; the last of 43 scores three.
    assert scores.bits == 0 + 120 + 120 + 3 * sum(range(8, 16)) + (13 + 14 + 15)
    assert scores.per_character == scores.bits / 60
    assert scores.by_place.tolist() == list(range(16))
    before, wanted = seen[0]
    assert before[0, 0] == 0  # The first character is scored after the end of a verse.
    assert wanted[0].tolist() == [1] + [0] * 15


def test_scores_are_those_of_the_model_one_character_at_a_time(text):
    """A text within the context: the sum of each character's bits, by the cached step."""
    params = weights("gru", characters=len(text.alphabet))
    short = text.valid[0][:9]
    scorer = evaluation.scorer("gru", SMALL)
    found = evaluation.score(scorer, params, [short], text.alphabet, SMALL)
    tokens = data.encode(data.START + short, text.alphabet)
    state, total = model.start("gru", params, SMALL, 1), 0.0
    step = jax.jit(model.step, static_argnums=(3, 4))
    for before, wanted in itertools.pairwise(tokens):
        scores, state = step(params, state, before[None], "gru", SMALL)
        total -= float(jax.nn.log_softmax(scores[0])[wanted]) / math.log(2)
    assert found.characters == 9
    assert found.bits == pytest.approx(total, rel=1e-5)


def test_books_are_split_and_batches_hold_each_character_once(text):
    assert len(text.valid) == 3
    assert len(text.test) == 2
    assert text.test[0].startswith("a2 light 1 shines")  # Isaiah, book 23.
    assert text.train.startswith("a1 light 1")
    assert text.train.count("\n") == 22
    assert len(text.whole) == sum(map(len, (text.train, *text.valid, *text.test)))
    letters = "".join(chr(200 + place) for place in range(16 * 9))  # No character twice.
    batch = data.batches(letters, "\n" + letters, context=16, batch_size=4, seed=0)
    wanted = []
    for step in range(2):
        pairs = batch(step)
        np.testing.assert_array_equal(pairs["before"] + 1, pairs["wanted"])
        wanted += pairs["wanted"].reshape(-1).tolist()
    assert len(set(wanted)) == len(wanted) == 2 * 4 * 16  # An epoch without its ends.
    assert not np.array_equal(batch(0)["wanted"], batch(2)["wanted"])
    with pytest.raises(ValueError, match="a batch needs 80"):
        data.batches("a" * 60, "\na", context=16, batch_size=4, seed=0)


def test_models_have_equal_weights():
    init = lambda kind: jax.eval_shape(lambda: model.init(jax.random.key(0), kind, SMALL, 11))
    counts = {kind: model.count(init(kind)) for kind in MODELS}
    assert counts["transformer"] == counts["window"]
    for kind, units in (("gru", 3), ("gru-attention", 3)):
        step = 3 * (8 + 2 * units + 9)  # What one unit more costs, about.
        assert abs(counts[kind] - counts["transformer"]) < 2 * step
    for kind in recurrences.KINDS:  # A hidden unit more in each of four blocks.
        init = lambda kind: jax.eval_shape(
            lambda: model.init(jax.random.key(0), kind, Config(), 78)
        )
        counted, wanted = model.count(init(kind)), model.count(init("transformer"))
        assert abs(counted - wanted) <= 4 * 3 * 128 / 2


@pytest.mark.parametrize("kind", recurrences.KINDS)
def test_V3_every_weight_of_a_linear_recurrence_has_a_gradient(kind):
    tokens = np.random.default_rng(0).integers(11, size=(2, 16)).astype(np.int32)
    batch: Any = {"before": tokens, "wanted": np.roll(tokens, -1, 1)}
    total = lambda params: model.loss(params, batch, jax.random.key(0), kind=kind, config=SMALL)[0]
    gradient = jax.jit(jax.grad(total))
    for leaf in jax.tree.leaves(gradient(weights(kind))):
        assert np.isfinite(leaf).all()
        assert np.any(leaf)


def test_compressors_and_tables_of_known_values(text):
    measured = compressors.compressed(text)
    assert set(measured) == {"zlib", "lzma", "bz2"}
    for bits in measured.values():
        assert 0 < bits["after"] < bits["alone"]
    assert report.spread([1.0, 2.0]) == "1.500 ± 0.707"
    assert report.spread([1.25]) == "1.250"
    firsts, means = report.doubling(np.arange(8.0))
    assert (firsts, means) == ([1, 2, 4], [0.0, 1.5, 4.5])


def test_bits_are_those_of_hand():
    scores = jnp.log(jnp.array([[[0.25, 0.75], [0.5, 0.5]]]))
    bits = model.bits(scores, jnp.array([[0, 1]]))
    np.testing.assert_allclose(bits, [[2.0, 1.0]], rtol=1e-6)


def test_speeds_are_measured_of_each_model(text):
    measured = run.seconds_per_step(text, dataclasses.replace(SMALL, models=("gru",)))
    assert list(measured) == ["gru"]
    assert measured["gru"] > 0


def test_bad_options_and_files_exit_with_2_and_one_line(tmp_path, capsys):
    def complaint(*arguments):
        assert command.main([*arguments, "--out", str(tmp_path)]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        return error

    assert "--window is 0" in complaint("--window", "0")
    assert "invalid choice: 'lstm'" in complaint("--models", "lstm")
    assert "--size is 8, expected a multiple of 6" in complaint(*OPTIONS, "--heads", "3")
    assert "a batch needs" in complaint(*OPTIONS, "--batch-size", "5000")
    assert "weights.safetensors" in complaint("write", "word")
    place = tmp_path / "0" / "transformer"
    place.mkdir(parents=True)
    (place / "weights.safetensors").write_bytes(b"damaged")
    assert "weights.safetensors" in complaint("write", "word")
    training.save_checkpoint(place / "weights.safetensors", {"of": np.ones(3)})
    assert "no weights of this experiment" in complaint("write", "word")
    assert "seconds.json: No such file" in complaint(*OPTIONS, "--resume")
    (tmp_path / "seconds.json").write_text("{")
    assert "seconds.json: is no JSON" in complaint(*OPTIONS, "--resume")
    (tmp_path / "seconds.json").write_text("{}")
    assert "seconds.json: has no seconds" in complaint(*OPTIONS, "--resume")
