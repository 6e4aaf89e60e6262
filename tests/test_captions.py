"""Captions in a few steps, the grammar and its inverse, and what hard attention learns from."""

import itertools
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jattn
from experiments import coattention, contrastive, handwritten_digits, lettering
from experiments.captions import __main__ as command
from experiments.captions import (
    canvases,
    encoder,
    evaluation,
    grammar,
    grid,
    pictures,
    places,
    pretraining,
    train,
    words,
)
from experiments.captions import model as captioning
from experiments.captions.config import Config
from experiments.handwritten_digits import Halves, Images
from jattn import training

SMALL = [
    *("--channels", "4", "4", "4", "4", "8", "--features", "8", "--units", "8"),
    *("--score-units", "4", "--layers", "1", "--heads", "2", "--languages", "english", "chinese"),
    *("--canvases", "60", "--tested", "4", "--batch-size", "4", "--steps", "3"),
    *("--encoder-steps", "3"),
]  # fmt: skip


@pytest.fixture
def made(monkeypatch):
    """Digits of noise instead of the downloaded ones, and the modes that users have."""
    rng = np.random.default_rng(0)
    half = Images(rng.random((200, 8, 8), np.float32), np.tile(np.arange(10, dtype=np.int32), 20))
    digits = Halves(half, half)
    monkeypatch.setattr(canvases, "read_digits", lambda: digits)
    monkeypatch.setattr(canvases, "VARIANTS", 1)
    monkeypatch.setattr(train, "TUNED_ON", 4)
    monkeypatch.setattr(pictures, "DRAWN", pictures.DRAWN[:1])
    monkeypatch.setattr(train, "EVALUATIONS", 1)
    with (
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
        jax.enable_x64(False),
    ):
        yield digits


def every_scene(step):
    """Every layout, with every `step`-th choice of digits."""
    for count in canvases.COUNTS:
        for layout in grammar.layouts(count):
            ends = np.cumsum(layout)
            choices = itertools.product(range(10), repeat=count)
            for chosen in itertools.islice(choices, 0, None, 1 if count < 3 else step):
                yield tuple(
                    chosen[end - size : end] for end, size in zip(ends, layout, strict=True)
                )


@pytest.mark.parametrize("language", grammar.LANGUAGES)
def test_a_caption_has_one_scene_and_parse_returns_it(language):
    scenes = {}
    for rows in every_scene(997):
        said = grammar.caption(rows, language)
        assert scenes.setdefault(said.words, rows) == rows
        assert grammar.parse(said.words, language) == rows
        assert set(said.words) <= set(grammar.vocabulary(language))
        assert len(said.words) < captioning.LONGEST
        # Each digit is named once, by its own word.
        named = {place: word for word, place in zip(*said, strict=True) if place >= 0}
        flat = [digit for row in rows for digit in row]
        names = grammar.LANGUAGES[language].digits
        assert [names[digit] for digit in flat] == [named[place] for place in range(len(flat))]


def test_captions_of_hand_written_scenes():
    said = {
        ((8,),): ("an eight", "这是八"),
        ((7,), (3,)): ("a seven above a three", "上面是七，下面是三"),
        ((3,), (7,)): ("a seven below a three", "上面是三，下面是七"),
        ((3, 7),): ("a seven right of a three", "左边是三，右边是七"),
        ((4, 4),): ("a four left of a four", "左边是四，右边是四"),
        ((1, 2, 8),): ("a row of a one, a two and an eight", "横排是一、二和八"),
        ((1, 2), (8,)): ("above a one and a two, below an eight", "上面是一和二，下面是八"),
        ((0,), (6, 6), (9,)): (
            "above a zero, in the middle a six and a six, below a nine",
            "上面是零，中间是六和六，下面是九",
        ),
    }
    for rows, texts in said.items():
        for language, text in zip(grammar.LANGUAGES, texts, strict=True):
            assert grammar.text(grammar.caption(rows, language).words, language) == text
    assert grammar.layouts(3) == ((1, 1, 1), (1, 2), (2, 1), (3,))


def test_what_is_no_caption_is_refused():
    for language, text in (("english", "a seven above"), ("english", ""), ("chinese", "七")):
        with pytest.raises(ValueError, match="is no caption in"):
            grammar.parse(text.split(), language)
    for rows in ((), ((),), ((1, 2, 3), (4, 5, 6))):
        with pytest.raises(ValueError, match="expected 1 to 5 digits"):
            grammar.caption(rows, "english")


def test_captions_as_tokens():
    tokens, lengths, named = words.captions([((7,), (3,))], ("english", "chinese"), 11)
    meaning = words.names(("english", "chinese"))
    assert [meaning[token] for token in tokens[0, 0]] == [
        *("<english>", "a", "seven", "above", "a", "three"), *["<stop>"] * 6,
    ]  # fmt: skip
    assert "".join(meaning[token] for token in tokens[0, 1, 1:10]) == "上面是七，下面是三"
    assert lengths.tolist() == [[6, 10]]
    assert named[0, 0].tolist() == [-1, 0, -1, -1, 1, *[-1] * 6]
    # Of two languages no token is shared, even a comma.
    tables = words.tokens_of(("english", "chinese"))
    assert (
        len({*tables[0].values(), *tables[1].values()})
        == words.word_count(("english", "chinese")) - 3
    )


def test_canvases_hold_out_what_the_page_says(made):
    writers = canvases.read_writers()
    assert len(writers.train.digits) == len(writers.test.pixels) == 130
    assert np.array_equal(writers.train.pixels, made.train.pixels[:130])
    assert np.array_equal(writers.test.pixels, made.test.pixels[-130:])
    drawn = canvases.to_train_on(0, 60, writers.train)
    flat = lambda rows: [digit for row in rows for digit in row]
    for rows in drawn.scenes:
        assert not canvases.has_held_out_pair(flat(rows))
        assert tuple(map(len, rows)) not in canvases.HELD_OUT_LAYOUTS
    for rows in canvases.to_test_on(0, 40, "held-out", writers.test).scenes:
        in_layout = tuple(map(len, rows)) in canvases.HELD_OUT_LAYOUTS
        assert canvases.has_held_out_pair(flat(rows)) != in_layout
    assert canvases.has_held_out_pair([4, 1, 9])
    assert not canvases.has_held_out_pair([4, 4, 1])


def test_digits_are_whole_apart_and_in_reading_order(made):
    drawn = canvases.to_test_on(1, 60, "seen", canvases.read_writers().test)
    for image, rows, corners in zip(*drawn, strict=True):
        count = sum(map(len, rows))
        assert (corners[count:] == -1).all()
        covered = np.zeros_like(image)
        for y, x in corners[:count]:
            assert min(y, x) >= 0
            covered[y : y + 8, x : x + 8] += 1
        assert covered.sum() == 64 * count
        assert covered.max() == 1
        assert not image[covered == 0].any()
        ends = np.cumsum([len(row) for row in rows])
        for end, row in zip(ends, rows, strict=True):
            in_row = corners[end - len(row) : end]
            assert (np.diff(in_row[:, 1]) >= 9).all()
            assert np.ptp(in_row[:, 0]) <= 2
            if end < count:
                assert corners[end, 0] - in_row[:, 0].max() >= 8


def test_the_encoder_is_told_the_digit_at_each_place(made):
    full = pretraining.examples(np.random.default_rng(0), made.train, 40)
    told = pretraining.labels(full)
    for rows, labels in zip(full.scenes, told, strict=True):
        flat = [digit for row in rows for digit in row]
        assert not canvases.has_held_out_pair(flat)
        counts = np.bincount(labels, minlength=encoder.CLASSES)
        assert counts[:10].tolist() == (4 * np.bincount(flat, minlength=10)).tolist()


def test_distortions_keep_the_digit_and_the_first_are_untouched():
    image = np.zeros((1, 8, 8), np.float32)
    image[0, 2:6, 3:5] = 1
    copies = canvases.distorted(0, Images(image, np.array([7])), 20)
    assert np.array_equal(copies.pixels[0], image[0])
    assert (copies.digits == 7).all()
    assert copies.pixels.shape == (21, 8, 8)
    assert (abs(copies.pixels.sum((1, 2)) - image.sum()) < 5).all()
    assert 0 <= copies.pixels.min() <= copies.pixels.max() <= 1


def test_the_gradient_of_hard_attention_is_that_of_the_bound():
    """Its mean over all choices of places, by their probabilities: equation 10, enumerated."""
    rng = np.random.default_rng(0)
    steps, count, vocabulary = 2, 3, 4
    values, states = rng.normal(size=(count, 5)), rng.normal(size=(steps, 2))
    labels = [1, 3]
    params = {"score": rng.normal(size=(2, count)), "read": rng.normal(size=(5, vocabulary))}

    def parts(params, chosen):
        probabilities = jax.nn.softmax(states @ params["score"])
        logits = jax.nn.log_softmax(jnp.tanh(chosen @ values) @ params["read"])
        return jnp.sum(
            jnp.stack([logits[step, label] for step, label in enumerate(labels)])
        ), probabilities

    choices = [np.eye(count)[list(each)] for each in itertools.product(range(count), repeat=steps)]

    def bound(params):
        return sum(
            jnp.prod((probabilities * chosen).sum(-1)) * likelihood
            for chosen in choices
            for likelihood, probabilities in [parts(params, chosen)]
        )

    def mean_objective(params, baseline, entropy_weight=0.0):
        total = 0.0
        for chosen in choices:
            likelihood, probabilities = parts(params, chosen)
            weight = jax.lax.stop_gradient(jnp.prod((probabilities * chosen).sum(-1)))
            total += weight * places.hard_objective(
                likelihood, probabilities, jnp.asarray(chosen), baseline=jnp.asarray(baseline),
                reward_weight=1.0, entropy_weight=entropy_weight,
            )  # fmt: skip
        return total

    exact = jax.jit(jax.grad(bound))(params)
    for baseline in (0.0, -2.5):
        estimated = jax.jit(jax.grad(mean_objective))(params, baseline)
        for name in params:
            np.testing.assert_allclose(estimated[name], exact[name], rtol=0, atol=1e-13)
    entropy = lambda params: -jnp.sum(jax.scipy.special.xlogy(*[parts(params, choices[0])[1]] * 2))
    slope = jax.grad(entropy)(params)["score"]
    with_entropy = jax.jit(jax.grad(mean_objective))(params, 0.0, 0.3)["score"]
    np.testing.assert_allclose(with_entropy, exact["score"] + 0.3 * slope, rtol=0, atol=1e-13)


def test_places_are_drawn_by_their_probabilities_and_read_whole():
    by_place = jnp.array([[0.0, 0.2, 0.8]])
    draw = lambda noise: places.drawn(noise, jnp.asarray(False))(jnp.asarray(0), by_place)
    noise = jnp.asarray(np.random.default_rng(0).gumbel(size=(2000, 1, 3)))
    drawn = np.asarray(jax.vmap(draw)(noise))[:, 0]
    assert set(np.unique(drawn)) == {0.0, 1.0}
    np.testing.assert_allclose(drawn.mean(0), by_place[0], rtol=0, atol=0.03)
    assert (
        places.drawn(noise[0], jnp.asarray(True))(jnp.asarray(0), by_place).tolist()
        == by_place.tolist()
    )
    assert places.likeliest(0, by_place).tolist() == [[0.0, 0.0, 1.0]]
    rngs = jax.random.split(jax.random.key(1), 4)
    params = places.init(rngs[0], query_size=2, key_size=3, units=4, coverage=True)
    rows, query = jax.random.normal(rngs[1], (36, 3)), jnp.ones((1, 2))
    key_part, nothing = places.prepared(params, rows), places.Past(*jnp.zeros((2, 36)))
    gate = jax.nn.sigmoid(jattn.affine(params.gate, query[0]))
    # Before the first word it is additive attention.
    context, weights = places.reader(params, rows, key_part, nothing, None)(query, 0)
    plain = jattn.additive_attention(params.scores, query, rows, rows)
    np.testing.assert_allclose(weights[0], plain.weights, rtol=0, atol=1e-15)
    np.testing.assert_allclose(context[0], gate * plain.context[0], rtol=0, atol=1e-12)
    context, hard = places.reader(params, rows, key_part, nothing, places.likeliest)(query, 0)
    place = int(weights[0, 0].argmax())
    np.testing.assert_allclose(context[0], gate * rows[place], rtol=0, atol=1e-12)
    assert hard[1, 0].tolist() == np.eye(36)[place].tolist()
    # Past weights reach the scores of the 3 x 3 places around them alone.
    past = places.Past(jnp.eye(36)[14], jnp.zeros(36))  # Row 2, column 2 of 6.
    assert params.past is not None
    moved = places.around(jnp.stack(past)) @ params.past.T
    assert np.flatnonzero(abs(np.asarray(moved)).sum(1)).tolist() == [
        6 * y + x for y in range(1, 4) for x in range(1, 4)
    ]
    assert places.around(jnp.arange(72.0).reshape(2, 36))[14, [0, 4, 9]].tolist() == [7, 14, 43]
    # A place is attended to 0.5 and 1.5 times: twice a quarter.
    assert places.doubly_stochastic_penalty(jnp.array([[0.5, 0.5], [0.0, 1.0]])) == 0.5


def test_the_baseline_is_the_papers_moving_average(made):
    config = Config(steps=10, features=8, units=8, score_units=4)
    like = jax.eval_shape(lambda: captioning.init(jax.random.key(0), config, "soft"))
    params = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), like)
    params = params._replace(baseline=jnp.asarray(-3.0))
    optimizer: Any = captioning.optimizer(config, "hard")
    slopes = jax.grad(lambda params: 0.5 * (params.baseline + 7.0) ** 2)(params)
    updates, _ = optimizer.update(slopes, optimizer.init(params), params)
    assert float(params.baseline + updates.baseline) == pytest.approx(0.9 * -3 + 0.1 * -7)


def test_the_summary_tells_rows_from_columns():
    """Of two places with the same mean, one above the other and one beside the other."""
    params = grid.init_summary(jax.random.key(0), seen=3, size=5)
    square = np.zeros((2, encoder.GRID, encoder.GRID, 3))
    square[0, [1, 6], 2] = square[1, 2, [1, 6]] = 1.0
    above, beside = (grid.summarize(params, jnp.asarray(s.reshape(-1, 3))) for s in square)
    assert float(jnp.abs(above - beside).max()) > 0.1
    # The norm keeps the start of the GRU away from 1 and -1, whatever the features' size.
    assert np.allclose(grid.summarize(params, jnp.asarray(1e3 * square[0].reshape(-1, 3))), above,
                       atol=0.1)  # fmt: skip


def test_coattention_is_the_papers():
    rng = np.random.default_rng(0)
    params = coattention.init(jax.random.key(0), image_size=3, words_size=5, units=7)
    image, said = rng.normal(size=(4, 3)), rng.normal(size=(6, 5))
    found = coattention.co_attention(
        params, jnp.asarray(image), jnp.asarray(said), jnp.arange(6) < 2
    )
    columns_v, columns_q = image.T, said[:2].T  # The paper's V and Q.
    affinity, of_image, of_words, score_v, score_q = map(np.asarray, params)
    c = np.tanh(columns_q.T @ affinity @ columns_v)
    h_v = np.tanh(of_image @ columns_v + of_words @ columns_q @ c)
    h_q = np.tanh(of_words @ columns_q + of_image @ columns_v @ c.T)
    softmax = lambda scores: np.exp(scores) / np.exp(scores).sum()
    a_v, a_q = softmax(score_v @ h_v), softmax(score_q @ h_q)
    np.testing.assert_allclose(found.image_weights, a_v, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.words_weights, [*a_q, 0, 0, 0, 0], rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.image, columns_v @ a_v, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.words, columns_q @ a_q, rtol=0, atol=1e-12)


def test_boxes_and_recall_by_hand():
    # Centres are at 2, 6, 10, ... A box from (1, 6) to (9, 14) holds rows 2, 6 and columns 10, 14.
    box = encoder.on_boxes(np.array([[1, 6], [24, 0]])).reshape(2, 8, 8)
    assert np.argwhere(box[0]).tolist() == [[0, 2], [0, 3], [1, 2], [1, 3]]
    assert np.argwhere(box[1]).tolist() == [[6, 0], [6, 1], [7, 0], [7, 1]]
    recall = contrastive.recall(np.array([1, 1, 3, 11]))
    assert recall == {1: 0.5, 5: 0.75, 10: 0.75}


def test_words_are_in_pinyin_where_no_font_has_them(monkeypatch):
    assert pictures.in_pinyin("上") == "shàng"
    assert pictures.in_pinyin("seven\n12 %") == "seven\n12 %"
    chinese = set("".join(grammar.vocabulary("chinese")))
    assert chinese == set(pictures.PINYIN)

    def families(texts):
        if not "".join(texts).isascii():
            lettering.warnings.warn("no installed font draws it", stacklevel=1)
        return ["sans"]

    monkeypatch.setattr(lettering, "families", families)
    assert pictures.lettering("上")[1]("上") == "shàng"
    assert pictures.lettering("up")[1]("up") == "up"


def test_a_run_writes_everything(made, tmp_path, capsys):
    out, models = tmp_path / "run", ("hard", "transformer", "retrieval")
    assert command.main([*SMALL, "--models", *models, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "transformer, chinese, held out" in printed
    record = json.loads((out / "results.json").read_text())
    assert record["experiment"] == "captions"
    assert list(record["models"]) == list(models)
    recall = record["models"]["retrieval"]["tests"]["held out"]["chinese"]["recall"]
    assert list(recall) == ["1", "5", "10"]
    for picture in ("words.png", "pairs.png", "hard/learning_curve.png"):
        assert (out / picture).read_bytes().startswith(b"\x89PNG")
    for name in models:
        params, config = train.load_weights(out, name)
        assert config.steps == (1 if name == "retrieval" else 3)
        start = train.init(jax.random.key(5), config, name)
        assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, start)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params))


def test_an_interrupted_run_resumes_bit_for_bit(made, tmp_path, monkeypatch):
    """With hard attention, whose baseline is part of the state."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    options = [*SMALL, "--models", "hard", "--languages", "english", "--out"]
    monkeypatch.setattr(train, "measured", lambda *_: {})
    monkeypatch.setattr(train, "measure", lambda *_: [evaluation.Measured(*[np.ones(1)] * 3)])
    monkeypatch.setattr(command.pictures, "draw", lambda out: [])
    assert command.main([*options, str(whole)]) == 0
    fit, calls = training.fit, []

    def stopped(loss, optimizer, params, batches, **rest):
        def until(step):
            if step == 2 and "hard" in str(rest["checkpoint"]) and not calls:
                calls.append(step)
                raise KeyboardInterrupt
            return batches(step)

        return fit(loss, optimizer, params, until, **rest)

    monkeypatch.setattr(train.training, "fit", stopped)
    assert command.main([*options, str(parts)]) == 130
    assert command.main([*options, str(parts), "--resume"]) == 0
    weights = [path / "hard" / "weights.safetensors" for path in (whole, parts)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    hard, config = train.load_weights(whole, "hard")
    start = train.init(jax.random.split(train.key_of(config))[0], config, "hard")
    moved = jax.tree.map(lambda old, new: not np.array_equal(old, new), start, hard)
    assert all(jax.tree.leaves(moved))
    assert float(hard.baseline) < 0


def test_mistakes_are_a_line_and_exit_code_2(made, tmp_path, monkeypatch, capsys):
    def complaint(*arguments):
        assert command.main([*arguments, "--out", str(tmp_path)]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        return error

    assert "telepathy" in complaint("--models", "telepathy")
    assert "--channels has 2 numbers, expected 5" in complaint("--channels", "4", "8")
    assert "klingon" in complaint("--languages", "klingon")
    assert "--tested is 3, expected at least 4" in complaint("--tested", "3")
    assert "checkpoint.safetensors" in complaint(*SMALL, "--resume")
    assert "results.json" in complaint("draw")
    (tmp_path / "results.json").write_text("[]")
    assert "is no record of this experiment" in complaint("draw")
    (tmp_path / "results.json").write_text('{"models": {"soft": {}}}')
    assert "weights.safetensors" in complaint("draw")
    training.save_checkpoint(tmp_path / "weights.safetensors", {"of": np.ones(3)})
    monkeypatch.setenv("JATTN_DATA", str(tmp_path))
    (tmp_path / "scikit_learn-1.9.0.whl").write_bytes(b"not a wheel")
    monkeypatch.setattr(canvases, "read_digits", handwritten_digits.read_digits)
    assert "scikit_learn-1.9.0.whl: checksum" in complaint(*SMALL)
