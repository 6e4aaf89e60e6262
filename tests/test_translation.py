"""Translation in a few steps: what it writes, links by hand, IBM Model 1, and guided attention."""

import json
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments import debian, libreoffice_help, new_testament
from experiments.archive import DataError
from experiments.sentence_pairs import Pair, Sentence
from experiments.translation import __main__ as command
from experiments.translation import (
    alignment,
    compare,
    corpora,
    data,
    evaluation,
    ibm,
    model,
    pieces,
    report,
    scores,
    start,
    train,
)
from experiments.translation.config import ATTENTIONS, CORPORA, Config
from experiments.weights import load_config
from jattn import testing, training

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


def some_verses():
    rng = np.random.default_rng(0)
    return [
        made_up(book, number, rng)
        for book, count in ((40, 24), (43, 5), (45, 8), (58, 3), (66, 2))
        for number in range(count)
    ]


@pytest.fixture(scope="module")
def verses():
    return some_verses()


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


def test_three_steps_write_everything_and_move_every_weight(read, tmp_path, capsys, monkeypatch):
    fit, started = training.fit, []

    def watched(loss, optimizer, params, *rest, **options):
        started.append(params)
        return fit(loss, optimizer, params, *rest, **options)

    monkeypatch.setattr(training, "fit", watched)
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
    # Hebrews, which is chosen by, and John are measured in the same way.
    chosen_by = results["scores"]["this run, Hebrews"]["aer"]
    assert rows[-1]["alignment_error_rate"] == pytest.approx(chosen_by)
    assert "guidance" in rows[-2]
    for picture in ("attention.png", "learning_curve.png"):
        assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")

    params, config, _ = train.load_weights(tmp_path)
    for moved, begin in zip(jax.tree.leaves(params), jax.tree.leaves(started[0]), strict=True):
        assert np.isfinite(moved).all()
        assert not np.array_equal(moved, begin)

    # Measured once more, from the files alone.
    assert command.main(["--out", str(tmp_path), "report"]) == 0
    measured = json.loads((tmp_path / "results.json").read_text())
    assert measured["scores"] == results["scores"]
    assert report.command(config, "runs/x").endswith("--from runs/x")

    elsewhere = Config(**{**vars(config), "books": "epistles", "steps": 0})
    went_on = train.run(elsewhere, tmp_path / "epistles", start_from=tmp_path)
    jax.tree.map(np.testing.assert_array_equal, went_on.params, params)
    assert went_on.pieces == pieces.load(tmp_path)
    assert set(map(new_testament.book, went_on.parts.train)) == {45}

    again = str(tmp_path / "compared")
    capsys.readouterr()
    assert command.main(["compare", str(tmp_path), "--out", again]) == 0
    assert "additive, guided 1" in capsys.readouterr().out
    assert (tmp_path / "compared" / "length.png").exists()

    # A later run into the same folder that was stopped: its pieces are not those of the weights.
    pieces.save(tmp_path, pieces.Pieces(went_on.pieces.target, went_on.pieces.source))
    assert command.main(["--out", str(tmp_path), "report"]) == 2
    assert "trained on other pieces than those in" in capsys.readouterr().err


def example_batch(verses, config=SMALL):
    learned = pieces.train(verses, source=config.source_pieces, target=config.target_pieces)
    return data.batches(data.encode(verses, learned), config)(0), learned


MODELS = [{"attention": name} for name in ATTENTIONS]
MODELS += [{"attention": "general", "input_feeding": 1}]


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


def test_the_engine_gives_the_transformer_its_values_and_translations(verses):
    """Dropout of weights and of features is the same too."""
    dense = Config(**{**vars(SMALL), "attention": "transformer"})
    engine = Config(**{**vars(dense), "attend": "engine"})
    batch, learned = example_batch(verses, dense)
    params = train.begin(jax.random.key(0), dense, learned)

    def run(config):
        loss = lambda params: model.loss(params, batch, jax.random.key(1), config=config)[0]
        pairs = batch["source"], batch["source_length"]
        translated = model.translate(params, *pairs, config=config, max_steps=5)
        return jax.jit(jax.value_and_grad(loss))(params), translated

    (found, translated), (wanted, expected) = run(engine), run(dense)
    testing.assert_close(found, wanted, 1e-12)
    np.testing.assert_array_equal(translated[0], expected[0])


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


def test_ibm_model_1_finds_the_words_of_a_made_up_language():
    verses = some_verses()
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
        for name in ("general", "local-monotonic", "local-predictive", "dot")
    }
    go = lambda name, before: start.begun(
        drawn[name], Config(attention=name), drawn[before], Config(attention=before)
    )
    assert go("local-monotonic", "general") is drawn["general"]
    went = go("local-predictive", "general")
    assert went.encoder is drawn["general"].encoder
    centre, inner = went.decoder.attention
    assert centre is drawn["local-predictive"].decoder.attention[0]
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


def test_records_and_weights_of_earlier_names_are_read(tmp_path):
    made = {"attention": "local-p", "books": "all", "guided": 0, "input_feeding": 0, "steps": 4200}
    (tmp_path / "old.json").write_text(json.dumps({"config": made}))
    assert list(compare.read([tmp_path / "old.json"])) == ["local-predictive"]
    metadata = {"config": vars(Config(attention="local-m"))}
    training.save_checkpoint(tmp_path / "old.safetensors", np.ones(2), metadata=metadata)
    config, _ = load_config(tmp_path / "old.safetensors", Config)
    assert config.attention == "local-monotonic"
    assert set(corpora.CORPORA) == set(CORPORA)


def test_sentences_longer_than_all_widths_are_padded_to_the_longest(verses, monkeypatch):
    monkeypatch.setattr(evaluation, "WIDTHS", (3, 4))
    _, learned = example_batch(verses)
    examples = data.encode(verses[:9], learned)
    longest = max(map(data.longest, examples))
    assert longest > 4
    batches = list(evaluation.padded(examples))
    assert sorted(row for rows, _ in batches for row in rows) == list(range(9))
    assert batches[-1][1]["source"].shape == (evaluation.AT_ONCE, longest)


def test_scores_know_text_words_and_lengths():
    verses = some_verses()
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
    assert "--tested is 6, expected at most 5" in complaint(*OPTIONS, "--tested", "6")
    assert "--input-feeding has no effect on additive" in complaint("--input-feeding", "1")
    assert "--guided has no effect" in complaint("--attention", "none", "--guided", "1")
    assert "attention dot: the decoder has 12" in complaint(
        *OPTIONS, "--attention", "dot", "--decoder-units", "12"
    )
    assert list(tmp_path.iterdir()) == []
    assert "pieces" in complaint(*OPTIONS, "--source-pieces", "4000")
    (tmp_path / "results.json").write_text("{}")
    assert "results.json: no results" in complaint("compare", str(tmp_path))
    assert command.main(["--books", "apocrypha"]) == 2


LEFT_OUT = {
    "par_id3": ("too short", "zu kurz"),
    "par_id4": ("not translated at all", "not translated at all"),
    "par_id5": ("with no German at all", ""),
}


@pytest.fixture
def pages(tmp_path, monkeypatch):
    """Made-up pages in the form of the packages, where they are kept."""
    monkeypatch.setenv("JATTN_DATA", str(tmp_path / "cache"))
    folder = tmp_path / "cache" / "libreoffice-help"
    shown = ('<span hidden="true" id="MACx" class="MAC"><span class="key">Cmd</span></span>'
             '<span hidden="true" id="defaultx">{}</span>')  # fmt: skip
    for place, name in enumerate(("en-US", "de")):
        for page in range(40):
            key = shown.format(("Ctrl", "Strg")[place])
            kept = (f"Press <b>{key}+A</b> on page {page} &amp; wait.",
                    f"Dr\u00fccken Sie {key}+A auf Seite {page} &amp; warten Sie.")  # fmt: skip
            blocks = [f'<h1 id="hd_id1" dir="auto">{kept[place]}</h1>']
            blocks += ['<p id="par_id2" class="code" dir="auto">print a word of code</p>']
            blocks += [f'<p id="{k}">{texts[place]}</p>' for k, texts in LEFT_OUT.items()]
            blocks += [
                f'<p id="par_id6">{("on every page here", "auf jeder Seite hier")[place]}</p>'
            ]
            path = folder / libreoffice_help.PAGES.format(name) / "swriter" / f"{page:02}.html"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(blocks), "utf-8")
    (folder / "version").write_text("4:1.2-3")


def test_help_is_read_by_paragraph_and_pages_stay_whole(
    pages, everyday, tmp_path, capsys, monkeypatch
):
    found = libreoffice_help.read_paragraphs()
    assert len(found) == 80
    assert found[0] == libreoffice_help.Paragraph(
        "swriter/00.html", "hd_id1",
        "Press Ctrl+A on page 0 & wait.", "Dr\u00fccken Sie Strg+A auf Seite 0 & warten Sie.",
    )  # fmt: skip
    assert len(libreoffice_help.without_repetitions(found)) == 41
    parts = corpora.CORPORA["help-de"].read(Config(corpus="help-de"))
    assert [len(part) > 0 for part in parts] == [True, True, True]
    tested = {pair.name.partition("#")[0] for pair in parts.test}
    assert not tested & {pair.name.partition("#")[0] for pair in parts.train}
    for pair in parts.test:
        assert pair.target.text.startswith("Dr\u00fccken Sie Strg+A")
        assert pair.marks[-1]
        assert not pair.marks[0]

    # A perfect translator: what a model does with pairs is tested above.
    said = lambda params, examples, *rest: [one.pair.target.text for one in examples]
    monkeypatch.setattr(evaluation, "translations", said)
    nothing = lambda params, examples, *rest: evaluation.Forced(1.0, [np.ones(1)] * len(examples))
    monkeypatch.setattr(evaluation, "forced", nothing)
    small = [*OPTIONS, "--corpus", "help-de", "--attention", "none", "--target-pieces", "50"]
    assert command.main([*small, "--steps", "0", "--out", str(tmp_path)]) == 0
    assert "the English itself" in capsys.readouterr().out
    results = json.loads((tmp_path / "results.json").read_text())
    assert set(results["scores"]["this run"]) == {"bleu", "chrf", "word_bleu", "loss"}
    assert results["scores"]["this run"]["bleu"] == pytest.approx(100.0)
    assert results["scores"]["the English itself"]["bleu"] < 50
    assert (results["version"], results["samples"]) == ("4:1.2-3", [])


def test_what_the_help_lacks_is_one_line_and_exit_code_2(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("JATTN_DATA", str(tmp_path / "cache"))
    begin = ["--corpus", "help-de", "--out", str(tmp_path)]
    for option, value in (("--guided", "1"), ("--books", "gospels"), ("--aligned", "reads")):
        assert command.main([*begin, option, value]) == 2
        assert f"{option} is of the Bible alone" in capsys.readouterr().err
    monkeypatch.setattr(debian.shutil, "which", lambda name: None)
    assert command.main(begin) == 2
    assert "apt-get is missing" in capsys.readouterr().err
    monkeypatch.undo()
    monkeypatch.setenv("JATTN_DATA", str(tmp_path / "cache"))
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("apt-get", "dpkg-deb"):
        (programs / name).write_text(
            "#!/bin/sh\necho 'W: old' >&2\necho 'E: no such' >&2\nexit 100\n"
        )
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    with pytest.raises(DataError, match=r"libreoffice-help: cannot download .*: E: no such$"):
        libreoffice_help.read_paragraphs()
    assert not list((tmp_path / "cache").iterdir())
