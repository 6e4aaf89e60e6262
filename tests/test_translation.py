"""Translation in a few steps: what it writes, links by hand, IBM Model 1, and guided attention."""

import json
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments import new_testament
from experiments.sentence_pairs import Pair, Sentence
from experiments.translation import __main__ as command
from experiments.translation import (
    alignment,
    data,
    ibm,
    model,
    pieces,
    scores,
    start,
    train,
)
from experiments.translation.config import Config
from jattn import training

# A language whose words stand in the order of the English, but for the last two of a verse.
LEXICON = {
    "kai": "and", "ho": "the", "hodos": "road", "estin": "is", "polis": "city", "oikos": "house",
}  # fmt: skip
SMALL = Config(
    units=8, decoder_units=16, score_units=8, embedding_size=8, batch_size=8, buckets=1,
    source_pieces=40, target_pieces=40, longest=40,
)  # fmt: skip
OPTIONS = [
    part
    for name in ("units", "decoder_units", "score_units", "embedding_size", "batch_size", "buckets")
    for part in (f"--{name.replace('_', '-')}", str(getattr(SMALL, name)))
] + ["--source-pieces", "40", "--target-pieces", "40"]


def made_up(book, number, rng):
    """A verse of three to five words, the last two swapped in English, and a full stop."""
    source = [str(word) for word in rng.permutation(list(LEXICON))[: rng.integers(3, 6)]]
    count = len(source)
    order = [*range(count - 2), count - 1, count - 2]
    target = [LEXICON[source[place]] for place in order]
    links = frozenset((greek, english) for english, greek in enumerate(order))
    glosses = tuple(f"[{LEXICON[word]}]" for word in source[:-1])
    return Pair(
        f"{book}001{number:03}", Sentence(tuple(source), (True,) * count),
        Sentence((*target, "."), (*[True] * count, False)), (*[False] * count, True),
        links, (*glosses, "-"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def verses():
    rng = np.random.default_rng(0)
    return [
        made_up(book, number, rng)
        for book, count in ((40, 24), (43, 5), (45, 8), (58, 3), (66, 2))
        for number in range(count)
    ]


@pytest.fixture
def everyday():
    """As users run it: nothing strict, and float32."""
    with (
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
        jax.enable_x64(False),
    ):
        yield


@pytest.fixture
def read(monkeypatch, everyday, verses):
    monkeypatch.setattr(new_testament, "read_verses", lambda: verses)


def test_three_steps_write_everything_and_move_every_weight(read, tmp_path, capsys):
    assert command.main([*OPTIONS, "--steps", "3", "--guided", "1", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "John, attention additive" in printed
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["command"].startswith("python -m experiments.translation --guided 1.0")
    assert set(results["scores"]["this run"]) == {"bleu", "chrf", "word_bleu", "aer", "loss"}
    assert results["scores"]["IBM Model 1, all verses"]["aer"] < 0.1
    assert [bucket["sentences"] for bucket in results["lengths"]] == [5, 0, 0, 0]
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert (rows[-1]["phase"], rows[-1]["step"]) == ("evaluate", 3)
    assert "guidance" in rows[-2]
    for picture in ("attention.png", "learning_curve.png"):
        assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")

    params, config, _ = train.load_weights(tmp_path)
    first, _ = jax.random.split(jax.random.key(config.seed, impl="rbg"))
    untrained = train.begin(first, config, pieces.load(tmp_path))
    for moved, begin in zip(jax.tree.leaves(params), jax.tree.leaves(untrained), strict=True):
        assert np.isfinite(moved).all()
        assert not np.array_equal(moved, begin)

    elsewhere = Config(**{**vars(config), "books": "epistles", "steps": 0})
    went_on = train.run(elsewhere, tmp_path / "epistles", start_from=tmp_path)
    jax.tree.map(np.testing.assert_array_equal, went_on.params, params)
    assert went_on.pieces == pieces.load(tmp_path)
    assert set(map(new_testament.book, went_on.parts.train)) == {45}

    untouched = ["--steps", "0", "--from", str(tmp_path), "--out", str(tmp_path / "untouched")]
    assert command.main([*OPTIONS, "--guided", "1", *untouched]) == 0
    assert command.main(["report", "--out", str(tmp_path / "untouched")]) == 0
    measured = json.loads((tmp_path / "untouched" / "results.json").read_text())
    assert measured["scores"] == results["scores"]
    assert measured["command"].endswith(f"--from {tmp_path}")

    again = str(tmp_path / "compared")
    assert command.main(["compare", str(tmp_path), "--out", again]) == 0
    assert "additive, guided 1" in capsys.readouterr().out
    assert (tmp_path / "compared" / "length.png").exists()


def example_batch(verses, config=SMALL):
    learned = pieces.train(verses, source=config.source_pieces, target=config.target_pieces)
    return data.batches(data.encode(verses, learned), config)(0), learned


MODELS = [{"attention": name} for name in command.ATTENTIONS]
MODELS += [{"attention": "general", "input_feeding": 1}, {"attention": "transformer"}]


@pytest.mark.parametrize(
    "options", MODELS, ids=lambda options: " ".join(map(str, options.values()))
)
def test_every_mechanism_fits_the_model(everyday, verses, options):
    """Shapes alone: values and gradients of mechanisms in a decoder have tests of their own."""
    config = Config(**{**vars(SMALL), **options, "guided": 0.5})
    batch, learned = example_batch(verses)
    params = jax.eval_shape(lambda: train.begin(jax.random.key(0), config, learned))
    slope = jax.grad(lambda p: model.loss(p, batch, jax.random.key(1), config=config)[0])
    gradient = jax.eval_shape(slope, params)
    assert jax.tree.map(jnp.shape, gradient) == jax.tree.map(jnp.shape, params)
    found = jax.eval_shape(
        partial(model.translate, config=config, max_steps=5),
        params,
        batch["source"],
        batch["source_length"],
    )
    assert found[0].shape == (SMALL.batch_size, 5)


def test_weights_of_pieces_become_those_of_words():
    weights = np.array([[0.1, 0.2, 0.7], [0.3, 0.3, 0.4], [0.6, 0.4, 0.0], [9.0, 9.0, 9.0]])
    found = alignment.word_weights(weights, target=[0, 0, 1], source=[0, 1, 1])
    np.testing.assert_allclose(found, [[0.2, 0.8], [0.6, 0.4]])
    assert alignment.links(found, marks=[False, False]) == {(1, 0), (0, 1)}
    assert alignment.links(found, marks=[False, True]) == {(1, 0)}


def test_alignment_error_rate_by_hand():
    """Of 3 links found and 4 wanted in two sentences 2 are right: 1 - 4 / 7."""
    found = [frozenset({(0, 0), (1, 1)}), frozenset({(0, 0)})]
    gold = [frozenset({(0, 0), (1, 0), (2, 1)}), frozenset({(0, 0)})]
    assert alignment.alignment_error_rate(found, gold) == pytest.approx(3 / 7)
    assert alignment.alignment_error_rate(gold, gold) == 0.0


def test_ibm_model_1_finds_the_words_of_a_made_up_language(verses):
    gold = [verse.links for verse in verses]
    assert alignment.alignment_error_rate(ibm.align(verses, verses), gold) < 0.1
    assert alignment.alignment_error_rate(map(alignment.diagonal, verses), gold) > 0.2
    unknown = verses[0]._replace(source=Sentence(("x",) * 3, (True,) * 3))
    assert {source for source, _ in ibm.align([unknown], verses)[0]} == {0}


def test_pieces_give_back_the_text_and_belong_to_one_word_each(verses):
    _, learned = example_batch(verses)
    target = pieces.processor(learned.target)
    for example in data.encode(verses[:5], learned):
        assert pieces.decode(target, example.target.pieces) == example.pair.target.text
        assert example.pair.target.text.endswith(f" {example.pair.target.words[-2]}.")
        for place, word in enumerate(example.pair.target.words):
            own = example.target.pieces[example.target.words == place]
            assert pieces.decode(target, own) == word


def test_a_batch_holds_the_links_of_each_piece(verses):
    _, learned = example_batch(verses)
    example = data.encode(verses[:1], learned)[0]
    linked = data.columns([example])["links"][0]
    for row, word in zip(linked, example.target.words, strict=True):
        assert {int(g) - 1 for g in row if g} == {g for g, e in example.pair.links if e == word}


def test_guidance_is_the_cross_entropy_of_the_links():
    """Two Greek words of two pieces and one; the second English piece has no link."""
    batch = {
        "source_words": np.array([[1, 1, 2, 0]]),
        "source_length": np.array([3]),
        "links": np.array([[[1, 0], [0, 0], [2, 1]]]),
    }
    weights = jnp.array([[[0.5, 0.25, 0.25, 0.0], [0.0, 0.0, 1.0, 0.0], [0.2, 0.0, 0.8, 0.0]]])
    first = -(np.log(0.5) + np.log(0.25)) / 2
    third = -(np.log(0.2) + np.log(model.LEAST) + np.log(0.8)) / 3
    np.testing.assert_allclose(model.guidance(weights, batch), (first + third) / 2, rtol=1e-12)


@pytest.mark.parametrize("aligned", ["predicts", "reads"])
def test_guidance_and_only_the_row_of_the_piece_itself_bring_attention_to_the_links(
    everyday, verses, aligned
):
    """Off by one row, the same attention is far from them: the rows are those of the pieces."""
    options = {"attention": "general", "guided": 2.0, "aligned": aligned, "dropout": 0.0}
    config = Config(**{**vars(SMALL), **options})
    _, learned = example_batch(verses, config)
    step = training.make_train_step(partial(model.loss, config=config), optax.adam(0.02))
    begun = train.begin(jax.random.key(0), config, learned)
    state = training.init_train_state(begun, optax.adam(0.02), jax.random.key(1))
    batches = data.batches(data.encode(verses, learned), config)
    examples = data.encode(verses, learned)
    before = train.evaluation.shifted_errors(begun, examples, config, (0,))[0]
    for number in range(100):
        state, _ = step(state, batches(number))
    after = train.evaluation.shifted_errors(state.params, examples, config, (-1, 0, 1))
    assert after[0] < 0.1 < before
    assert min(after[-1], after[1]) > after[0] + 0.3


def test_general_attention_goes_on_as_local(everyday, verses):
    learned = pieces.train(verses, source=40, target=40)
    drawn = {
        name: jax.eval_shape(
            partial(
                train.begin, config=Config(**{**vars(SMALL), "attention": name}), learned=learned
            ),
            jax.random.key(0),
        )
        for name in ("general", "local-m", "local-p", "dot")
    }
    go = lambda name, before: start.begun(
        drawn[name], Config(attention=name), drawn[before], Config(attention=before)
    )
    assert go("local-m", "general") is drawn["general"]
    went = go("local-p", "general")
    assert went.encoder is drawn["general"].encoder
    centre, inner = went.decoder.attention
    assert centre is drawn["local-p"].decoder.attention[0]
    assert inner is drawn["general"].decoder.attention
    with pytest.raises(ValueError, match="weights of general attention cannot become dot"):
        go("dot", "general")


def test_splits_are_by_book(verses):
    books = lambda part: set(map(new_testament.book, part))
    for name, expected in (("all", {40, 45, 66}), ("gospels", {40}), ("epistles", {45})):
        train_, valid, test = new_testament.split(verses, name)
        assert (books(train_), books(valid), books(test)) == (expected, {58}, {43})
    whole = new_testament.split(verses, "whole")
    assert whole == (verses, *new_testament.split(verses)[1:])
    assert new_testament.plain("Θεὸς") == "θεός"


def test_scores_know_text_words_and_lengths(verses):
    texts = [verse.target.text for verse in verses]
    assert scores.scores(texts, texts) == pytest.approx((100.0, 100.0, 100.0))
    assert scores.words("“Don’t go,” he said: well-known!") == "don’t go he said well-known"
    assert [bucket.sentences for bucket in scores.by_length(texts, verses)] == [
        len(verses),
        0,
        0,
        0,
    ]
    assert scores.gloss(verses[0]) == " ".join(
        LEXICON[word] for word in verses[0].source.words[:-1]
    )


def test_bad_options_and_files_exit_with_2_and_one_line(read, tmp_path, capsys):
    def complaint(*arguments):
        assert command.main([*arguments, "--out", str(tmp_path)]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        return error

    assert "--batch-size is 0" in complaint("--batch-size", "0")
    assert "source.model" in complaint(*OPTIONS, "--steps", "1", "--resume")
    assert "weights.safetensors" in complaint("report")
    assert "guided attention on the whole" in complaint("--books", "whole", "--guided", "1")
    assert "pieces" in complaint(*OPTIONS, "--source-pieces", "4000")
    (tmp_path / "results.json").write_text("{}")
    assert "results.json: no results" in complaint("compare", str(tmp_path))
    with pytest.raises(SystemExit, match="2"):
        command.main(["--books", "apocrypha"])
