"""Fine-tuning in a few steps on made-up weights: the original's figures, what moves, what stays."""

import io
import json
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import english_bible, libreoffice_help
from experiments.fine_tuning import __main__ as command
from experiments.fine_tuning.sentences import (
    beside,
    corpora,
    data,
    embeddings,
    methods,
    original,
    pretrained,
    scores,
    train,
)
from experiments.fine_tuning.sentences import command as sentences
from experiments.fine_tuning.sentences import encoder as encoders
from experiments.fine_tuning.sentences.config import METHODS, Config
from jattn import training
from jattn.testing import assert_close

SIZES = encoders.Sizes(words=29, positions=13, segments=2, features=6, heads=2, inner=11, layers=1)
SMALL = [
    *("--verses", "11", "--tuned", "11", "--tested", "11", "--buckets", "1", "--rank", "1"),
    *("--layers", "1", "--length", "7", "--batch-size", "5", "--steps", "3"),
]


def made_up(layers):
    """Arrays by BERT's names, of size one so that every part of the equations counts."""
    sizes = SIZES._replace(layers=layers)
    like = jax.eval_shape(lambda: encoders.init_encoder(jax.random.key(0), sizes))
    names, rng, weights = pretrained.names(SIZES.heads), np.random.default_rng(0), {}
    for path, leaf in jax.tree.leaves_with_path(like):
        path = jax.tree_util.keystr(path, simple=True, separator="/")
        layer = path.split("/")[1]
        source = names.get(path) or names[path.replace(f"layers/{layer}/", "layers/*/")]
        name = (source if isinstance(source, str) else source[0]).replace("*", layer)
        shape = leaf.shape
        if "attention/output_weight" in path:
            shape = (shape[0], shape[1] * shape[2])
        elif "attention/" in path and not path.endswith("output_bias"):
            shape = (shape[0] * shape[1], *shape[2:])
        weights[name] = rng.normal(size=shape).astype(np.float32)
    weights["pooler.dense.bias"] = np.zeros(6, np.float32)

    def tokenize(texts):
        return [np.array([len(word) for word in text.split()][:7], np.int32) for text in texts]

    return pretrained.Pretrained(weights, SIZES.heads, tokenize)


@pytest.fixture
def original_weights(monkeypatch):
    """Made-up weights and verses in place of the downloaded ones."""
    made, rng = made_up(layers=1), np.random.default_rng(1)
    text = {
        f"{book:02}{chapter:03}001": " ".join("a" * n for n in rng.integers(1, 29, 3 + book % 5))
        for book in range(1, 67)
        for chapter in range(1, 4)
    }
    monkeypatch.setattr(train, "read_pretrained", lambda length: made)
    monkeypatch.setattr(english_bible, "read_verses", lambda: text)
    with (
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
        jax.enable_x64(False),
    ):
        yield made


def test_embeddings_are_those_of_the_equations_in_numpy(original_weights):
    two_layers = made_up(layers=2)
    params = pretrained.encoder_params(two_layers)
    sentences = [np.array([3, 1, 28, 5, 9]), np.array([7]), np.array([2, 2, 11, 0, 1, 6, 4])]
    tokens, lengths = training.pad_to([one.astype(np.int32) for one in sentences], 7)
    batch = {"tokens": tokens, "tokens_length": lengths}
    ours = encoders.normalize(embeddings.encoded(params, batch))
    weights, heads = two_layers.weights, two_layers.heads
    theirs = np.array([original.embed(weights, one, heads) for one in sentences])
    assert_close(np.asarray(ours, np.float64), theirs, 3e-6)
    on_engine = encoders.normalize(embeddings.encoded(params, batch, attend_by="engine"))
    assert_close(np.asarray(on_engine, np.float64), theirs, 3e-6)

    renamed = {**weights, "encoder.layer.2.more": np.zeros(1)}
    with pytest.raises(ValueError, match=r"encoder.layer.2.more is left over"):
        training.import_weights(renamed, params, pretrained.names(heads), ignore=["pooler.*"])


# LoRA in other places is another tree of the same kind, which a test below goes through.
# Training the last layers or from scratch is `full` with other trees, which a test below looks at.
LEARNED = ("frozen", "lora-words", "full")


def test_three_steps_of_every_kind_of_method_write_everything(
    original_weights, tmp_path, capsys, monkeypatch
):
    divide, divided = methods.parts, {}

    def remembered(config, *rest):
        return divided.setdefault(config.method, divide(config, *rest))

    monkeypatch.setattr(methods, "parts", remembered)
    arguments = ["sentences", "--method", *LEARNED, *SMALL, "--out", str(tmp_path)]
    assert command.main(arguments) == 0
    printed = capsys.readouterr().out
    record = json.loads((tmp_path / "results.json").read_text())
    assert record["experiment"] == "fine-tuning"
    rows = {row[0]: row for row in record["tables"][0]["rows"]}
    assert [*rows][: len(LEARNED)] == [*LEARNED]
    assert "lora-words less full" in printed
    for name in LEARNED:
        assert name in printed
        run = json.loads((tmp_path / name / "results.json").read_text())
        assert run["texts"] == {"train": 11, "valid": 11, "test": 11}
        assert len(run["test_right"]) == 11
        lines = (tmp_path / name / "log.jsonl").read_text().splitlines()
        assert json.loads(lines[-1])["step"] == run["steps"]

        parts = divided[name]
        found = training.load_checkpoint(
            tmp_path / name / "weights.safetensors", like=parts.trained
        )
        for new, old in zip(*map(jax.tree.leaves, (found.tree, parts.trained)), strict=True):
            assert np.isfinite(new).all()
            assert not np.array_equal(new, old)
        assert run["trained"] == training.parameter_count(found.tree)
        state = training.load_checkpoint(tmp_path / name / "checkpoint.safetensors").tree
        moments = {path: leaf for path, leaf in state.items() if "/mu/" in path or "/nu/" in path}
        assert training.parameter_count(moments) == 2 * run["trained"]

    # Once more: nothing is trained again.
    before = (tmp_path / "full" / "results.json").stat().st_mtime_ns
    assert command.main([*arguments, "--resume"]) == 0
    assert (tmp_path / "full" / "results.json").stat().st_mtime_ns == before


def test_the_last_layers_and_a_new_start_are_divided_as_their_names_say(original_weights):
    paths = lambda tree: {
        jax.tree_util.keystr(path, simple=True, separator="/").rpartition("/")[0]
        for path, _ in jax.tree.leaves_with_path(tree)
    }
    whole = methods.parts(Config(method="full"), original_weights, 6)
    last = methods.parts(Config(method="last", layers=1), original_weights, 6)
    assert paths(whole.frozen) == set()
    assert all(path.startswith(("head", "encoder/layers/0")) for path in paths(last.trained))
    assert paths(last.trained) | paths(last.frozen) == paths(whole.trained)
    assert not paths(last.trained) & paths(last.frozen)
    new = methods.parts(Config(method="scratch"), original_weights, 6)
    assert paths(new.trained) == paths(whole.trained)
    weight = lambda parts: np.asarray(parts.trained.encoder.words.weight)
    assert weight(new).std() == pytest.approx(0.02, rel=0.3)
    assert weight(whole).std() == pytest.approx(1.0, rel=0.3)
    with pytest.raises(ValueError, match="--layers is 2, expected at most 1"):
        methods.parts(Config(method="last", layers=2), original_weights, 6)


def test_methods_are_chosen_by_name_and_none_of_them_twice():
    assert sentences.chosen(["full", "all"]) == [*METHODS]
    assert sentences.chosen(["full", "lora", "full"]) == ["full", "lora"]
    assert sentences.chosen(None) == [Config.method]


@pytest.mark.parametrize("method", ["lora-words", "lora-linear"])
def test_products_of_low_rank_are_the_same_merged_and_beside(original_weights, method):
    config = Config(method=method, rank=2, alpha=1.0)
    parts = methods.parts(config, original_weights, 6)
    rng = np.random.default_rng(2)
    drawn = lambda leaf: jnp.asarray(rng.normal(size=leaf.shape) / 2, jnp.float32)
    trained = jax.tree.map(drawn, parts.trained)
    tokens, lengths = np.arange(14, dtype=np.int32).reshape(2, 7), np.array([7, 3], np.int32)
    assert beside.merged_differs(config, parts, trained, tokens, lengths) < 1e-6
    encode = lambda params: embeddings.encoded(
        params.encoder, {"tokens": tokens, "tokens_length": lengths}
    )
    moved = encode(parts.together(trained, parts.frozen)) - encode(
        parts.together(parts.trained, parts.frozen)
    )
    assert np.abs(moved).max() > 0.01


def test_what_a_user_can_mend_ends_with_2_and_one_line(original_weights, tmp_path, capsys):
    for arguments, complaint in (
        (["--batch-size", "0"], "--batch-size is 0"),
        ([*SMALL, "--method", "lora", "--rank", "99"], "rank is 99, expected 1 to 6"),
        ([*SMALL, "--verses", "5000"], "--verses is 5,000, expected at most"),
    ):
        assert command.main(["sentences", *arguments, "--out", str(tmp_path)]) == 2
        error = capsys.readouterr().err
        assert complaint in error
        assert error.count("\n") == 1


def test_verses_are_put_together_from_words(monkeypatch):
    head = "id\ttext\tskip_space_after\n"
    parts = {
        "ot": head + "010010010011\tIn\tn\n010010010021\tall\ty\n010010010031\t.\tn\n",
        "nt": head + '400010010011\t"So\tn\n',
    }
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for part, text in parts.items():
            file.writestr(f"data/eng/targets/BSB/{part}_BSB.tsv", text)
    monkeypatch.setattr(english_bible, "opened", lambda: zipfile.ZipFile(archive))
    assert english_bible.read_verses() == {"01001001": "In all.", "40001001": '"So'}


def test_chapters_stay_whole_and_every_book_has_a_group():
    verses = [f"{b:02}{c:03}{v:03}" for b in range(1, 67) for c in range(1, 20) for v in (1, 2)]
    parts = english_bible.split(verses)
    assert sorted(verse for part in parts.values() for verse in part) == verses
    chapters = [{english_bible.chapter(verse) for verse in part} for part in parts.values()]
    assert sum(map(len, chapters)) == len(set.union(*chapters)) == 66 * 19
    assert 0.08 < len(parts["test"]) / len(verses) < 0.12
    groups = [english_bible.group(verse) for verse in verses]
    assert sorted(groups) == groups
    assert set(groups) == set(range(len(english_bible.GROUPS)))


def test_the_error_is_over_chapters_and_words_tell_groups_apart():
    right = np.array([1, 0, 1, 1, 0, 1, 1])
    alone = [f"01{chapter:03}" for chapter in range(7)]
    plain = right.std(ddof=1) / 7**0.5
    assert scores.standard_error(right, alone) == pytest.approx(plain)
    twice = scores.standard_error(np.repeat(right, 2), sorted(2 * alone))
    assert twice == pytest.approx(plain)

    tokens = [np.array([group, 7, 7]) for group in (0, 1, 2, 0, 1, 2)]
    verses = data.Texts(alone[:6], tokens, np.array([3, 1, 5, 3, 1, 5]))
    assert scores.by_words(verses, verses, 11).tolist() == [3, 1, 5, 3, 1, 5]


def test_paragraphs_of_several_applications_and_repeated_ones_are_left_out(monkeypatch):
    texts = {
        "swriter/a": "the one",
        "swriter/b": "The one",
        "scalc/a": "in two",
        "smath/a": "In two",
        "sdraw/a": "of slides",
        "simpress/a": "of slides",
        "shared/a": "of all",
        "schart/a": "of charts",
    }
    found = [
        libreoffice_help.Paragraph(f"{page}.html", "par_id1", text, page)
        for page, text in texts.items()
    ]
    monkeypatch.setattr(libreoffice_help, "read_paragraphs", lambda: found)
    monkeypatch.setattr(libreoffice_help, "version", lambda: "4:1.2")
    corpus = corpora.CORPORA["help"]()
    assert {reference: corpus.names[group] for reference, group in corpus.groups.items()} == {
        "swriter/a.html#par_id1": "Writer",
        "sdraw/a.html#par_id1": "Impress and Draw",
    }
    assert corpus.whole("swriter/a.html#par_id1") == "swriter/a.html"
