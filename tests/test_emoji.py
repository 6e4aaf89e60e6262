"""Emoji by their names in a few steps, on pictures and names made here, and what leaks nothing."""

import io
import json
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import archive, coattention, contrastive, debian
from experiments.archive import DataError
from experiments.emoji import __main__ as command
from experiments.emoji import baseline, data, drawings, model, pictures, report, train
from experiments.emoji.config import POOLING, Config
from experiments.emoji.data import LANGUAGES, Emoji
from jattn import training

SMALL = [
    *("--channels", "4", "4", "4", "4", "--embedding", "8", "--score-units", "4"),
    *("--features", "8", "--batch-size", "4", "--names", "2", "--steps", "3"),
    *("--distortion", "0"),
]


def made_emoji(count=30):
    """Emoji of noise, each a group of its own, whose names are a letter and a number."""
    rng = np.random.default_rng(0)
    names = [f"{chr(97 + index % 26)} no {index}" for index in range(count)]
    return Emoji(
        [chr(0x1F600 + index) for index in range(count)],
        rng.integers(0, 256, (count, drawings.SIDE, drawings.SIDE, 3)).astype(np.uint8),
        {language: [f"{name} {language}" for name in names] for language in LANGUAGES},
        np.arange(count),
        "made",
    )


@pytest.fixture
def made(monkeypatch):
    """Thirty emoji instead of the downloaded ones, and few evaluations and examples."""
    monkeypatch.setattr(command, "read_emoji", made_emoji)
    monkeypatch.setattr(train, "EVALUATIONS", 1)
    monkeypatch.setattr(pictures, "SHOWN", 1)


def test_a_run_writes_everything_moves_every_weight_and_can_be_stopped(
    made, tmp_path, monkeypatch, capsys
):
    """With x64 on and strict promotion, as the suite has them."""
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    options = [*SMALL, "--models", "attention", "--out"]
    assert command.main([*options, str(whole)]) == 0
    assert "chance                                 33.3" in capsys.readouterr().out
    record = json.loads((whole / "results.json").read_text())
    assert record["experiment"] == "emoji"
    (cell,) = record["cells"]
    assert set(cell["recall"]) == set(LANGUAGES)
    assert sum(each["names"] for each in cell["by_likeness"]) == 3 * len(LANGUAGES)
    parts, config = (
        data.split(made_emoji(), 0),
        Config(**record["config"] | {"models": (), "channels": (4,) * 4}),
    )
    params = train.load(train.Job("attention", 0), parts, config, whole)
    start = train.start(
        jax.random.split(jax.random.key(0, impl="rbg"))[0], parts, config, "attention"
    )
    for after, before in zip(jax.tree.leaves(params), jax.tree.leaves(start), strict=True):
        assert np.isfinite(after).all()
        assert not np.array_equal(after, before)
    rows = (whole / "attention-0" / "log.jsonl").read_text().splitlines()
    assert "reciprocal_rank" in json.loads(rows[-1])
    for name in ("found", "attention", "learning-attention"):
        assert (whole / f"{name}.png").read_bytes().startswith(b"\x89PNG")

    batches = training.shuffled_batches

    def stopping(arrays, *rest, **more):
        inner = batches(arrays, *rest, **more)

        def batch(step):
            if step == 2:
                raise KeyboardInterrupt
            return inner(step)

        return batch

    monkeypatch.setattr(command.pictures, "draw", lambda *_: [])
    with monkeypatch.context() as patch:
        patch.setattr(train.training, "shuffled_batches", stopping)
        assert command.main([*options, str(stopped)]) == 130
    assert "--resume goes on" in capsys.readouterr().err
    assert command.main([*options, str(stopped), "--resume"]) == 0
    weights = [out / "attention-0" / "weights.safetensors" for out in (whole, stopped)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    monkeypatch.setattr(train.training, "fit", None)  # A finished job is not trained again.
    assert command.main([*options, str(stopped), "--resume"]) == 0


@pytest.mark.parametrize("pooling", POOLING)
def test_every_model_has_a_loss_whose_gradient_has_the_shapes_of_the_weights(pooling):
    emoji = made_emoji(3)
    config = Config(channels=(4, 4, 4, 8), embedding=6, score_units=4, features=5, names=2)
    names = data.read_names(emoji, {})
    arrays = {"pictures": emoji.pictures, "tokens": names[0], "lengths": names[1]}
    batch = jax.tree.map(jnp.asarray, arrays)
    params = jax.eval_shape(lambda: model.init(jax.random.key(0), config, pooling, 9))
    slopes = jax.grad(lambda p: model.loss(p, batch, jax.random.key(0), config=config)[0])
    slopes = jax.eval_shape(slopes, params)
    assert jax.tree.map(lambda leaf: leaf.shape, slopes) == jax.tree.map(jnp.shape, params)


def test_what_groups_hold():
    same = data.without_people
    assert same("👨\u200d🚀") == same("👩\u200d🚀") == same("🧑\u200d🚀") != same("🚀")
    assert same("🏃\u200d♀\ufe0f\u200d➡\ufe0f") == same("🏃")
    assert same("👨\u200d👩\u200d👧") == same("👧") == same("👩\u200d🦰")
    assert same("♀\ufe0f") != same("♂\ufe0f") != same("➡\ufe0f")
    name = data.without_numbers
    assert name("man astronaut") == name("astronaut") != name("artist")
    assert name("one o’clock") == name("eleven-thirty") == "clock"
    assert name("keycap: 1") == name("keycap: #") == "keycap"
    assert name("1st place medal") == name("2nd place medal") == "place medal"
    assert name("man") == "man"
    assert name("left arrow") == name("right arrow")
    grey = np.full((5, 2, 2, 3), drawings.GREY, np.uint8)
    grey[0, 0, 0], grey[1, 0, 0], grey[2, 0, 1], grey[3, 1, 0] = 255, 250, 255, 255
    apart = data.difference(grey[:3], grey[:3])
    np.testing.assert_allclose(apart[0], [0, 25 / (127**2 + 122**2), 1], atol=1e-12)
    names = ["red disc", "pink disc", "its mirror image", "blue disc", "empty disc"]
    assert data.groups(list("abcde"), names, grey).tolist() == [0, 0, 0, 3, 4]


def test_no_group_is_in_two_parts_and_only_training_has_near_duplicates():
    emoji = made_emoji()._replace(group=np.repeat(np.arange(10), 3))
    seen = []
    for seed in (0, 1):
        parts = data.split(emoji, seed)
        groups = [set(part.group) for part in parts]
        assert sum(map(len, groups)) == len(set.union(*groups)) == 10
        assert [len(part.emoji) for part in parts] == [24, 1, 1]
        seen.append(parts.held_out.emoji)
    assert seen[0] != seen[1]


def test_names_as_tokens():
    assert data.parts_at("ab") == [("a", "ab", " ab"), ("b", "b ", "ab ")]
    emoji = made_emoji(2)
    names = {language: ["ab", "ac"] for language in LANGUAGES}
    train_on = emoji._replace(names=names)
    tokens = data.tokens_of(train_on)
    assert tokens == {"a": 2}  # All others are in the names of one emoji alone.
    rows, lengths = data.read_names(train_on, tokens)
    assert rows.shape == (2, 14, data.LONGEST, 3)
    assert rows[0, 0, :3].tolist() == [[2, 1, 1], [1, 1, 1], [0, 0, 0]]
    assert lengths.tolist() == [[2] * 14] * 2
    asked = emoji._replace(names={language: ["ad", "bx"] for language in LANGUAGES})
    assert data.unseen(train_on, asked)["de"] == 0.5


def test_the_nearest_name_by_hand():
    # " ab " has the parts " ", a, b, " a", ab, "b ", " ab" and "ab "; " b " has four of its own.
    assert len(baseline.parts_of("ab")) == 8
    assert baseline.parts_of("b") == {" ", "b", " b", "b ", " b "}
    alike = baseline.likeness(["ab"], ["b", "ab", "x"])
    np.testing.assert_allclose(alike, [[2 * 3 / 13, 1, 2 / 13]], rtol=1e-6)
    emoji = made_emoji(4)
    asked = emoji.rows(np.array([2, 0]))
    scores = baseline.scores(emoji, asked)  # Each has its own name and picture in training.
    assert scores.shape == (14, 2, 2)
    assert train.ranks_by_language(scores).tolist() == [[1, 1]] * 14


def test_ranks_and_recall_by_hand():
    scores = np.array([[3.0, 1, 2], [5, 4, 0], [1, 1, 1]])
    assert contrastive.ranks(scores).tolist() == [1, 2, 3]  # Equal scores count as ahead.
    assert contrastive.recall(np.array([1, 4, 6, 11])) == {1: 0.25, 5: 0.5, 10: 0.75}
    even = contrastive.both_ways(jnp.zeros((4, 4)))
    np.testing.assert_allclose(even, np.log(4), rtol=1e-6)
    assert report.correlation([1.0, 1.0], [0.0, 2.0]) == 0.0


@pytest.mark.parametrize("pooling", POOLING)
def test_pairs_against_numpy_and_without_padding(pooling):
    config = Config(channels=(4, 4, 4, 8), embedding=6, score_units=4, features=5)
    params = model.init(jax.random.key(0), config, pooling, tokens=9)
    rng = np.random.default_rng(0)
    seen, said = rng.normal(size=(16, 8)).astype("f"), rng.normal(size=(7, 6)).astype("f")
    pair = jax.jit(model.pair)(params, jnp.asarray(seen), jnp.asarray(said), jnp.asarray(3))
    params = jax.tree.map(np.asarray, params)
    softmax = lambda scores: np.exp(scores) / np.exp(scores).sum()
    places, letters = np.full(16, 1 / 16), np.full(3, 1 / 3)
    if isinstance(params.pooling, model.PairOfQueries):
        weights = []
        for side, rows in zip(params.pooling, (seen, said[:3]), strict=True):
            scores = side.scores
            assert scores.bias is not None
            hidden = side.query @ scores.query_weight.T + rows @ scores.key_weight.T + scores.bias
            weights.append(softmax(np.tanh(hidden) @ scores.score_weight))
        places, letters = weights
    elif isinstance(params.pooling, coattention.CoAttentionParams):
        found = jax.jit(coattention.co_attention)(params.pooling, seen, said[:3], np.ones(3, bool))
        places, letters = found.image_weights, found.words_weights
    np.testing.assert_allclose(pair.places, places, rtol=2e-5)
    np.testing.assert_allclose(pair.characters, [*letters, 0, 0, 0, 0], rtol=2e-5)
    ends = ((params.of_picture, places @ seen), (params.of_name, letters @ said[:3]))
    left, right = (rows @ end.weight.T + end.bias for end, rows in ends)
    cosine = left @ right / np.sqrt((left @ left + 1e-6) * (right @ right + 1e-6))
    np.testing.assert_allclose(pair.cosine, cosine, rtol=1e-4, atol=1e-6)


def png(colour, size=(136, 128)):
    from PIL import Image

    written = io.BytesIO()
    Image.new("RGBA", size, colour).save(written, "PNG")
    return written.getvalue()


def test_pictures_are_centred_on_grey():
    full = drawings.reduced(png((255, 0, 0, 255)))
    assert full.shape == (32, 32, 3)
    assert full[16, 16].tolist() == [255, 0, 0]
    assert full[0, 16].tolist() == [drawings.GREY] * 3  # Four of 136 rows are above the image.
    assert full[1, 16].tolist() == [255, 0, 0]
    assert (drawings.reduced(png((255, 0, 0, 0))) == drawings.GREY).all()


def test_names_and_pictures_are_read_without_tones_and_flags(monkeypatch):
    listed = {"🚀": 2, "👍\U0001f3fb": 2, "\U0001f1eb\U0001f1f7": 2, "☺": 4, "☺\ufe0f": 2, "🪉": 2}
    tables = {"emoji": {e: {"en": ":A_B:", "status": s} for e, s in listed.items()}}
    tables |= {f"emoji_{language}": dict.fromkeys(listed, ":ä_ß:") for language in LANGUAGES}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as written:
        for name, table in tables.items():
            written.writestr(f"emoji/unicode_codes/{name}.json", json.dumps(table))
    monkeypatch.setattr(data, "wheel", lambda *_: zipfile.ZipFile(file))
    asked = []

    def draw(emoji):
        asked.extend(emoji)
        return {e: drawings.reduced(png((0, 0, 0, 255))) for e in emoji if e != "🪉"}, "1.0"

    monkeypatch.setattr(data, "read_drawings", draw)
    emoji = data.read_emoji()
    assert asked == ["🚀", "☺\ufe0f", "🪉"]
    assert emoji.emoji == ["🚀", "☺\ufe0f"]
    assert emoji.names["en"] == ["a b", "a b"]
    assert emoji.names["fa"] == ["ä ß", "ä ß"]
    assert emoji.group[0] == emoji.group[1]


def test_a_ligature_is_found_by_its_glyphs():
    class Of:
        def __init__(self, **values):
            self.__dict__.update(values)

    ligature = Of(Component=["joiner", "rocket"], LigGlyph="astronaut")
    lookups = [Of(SubTable=[Of(ligatures={"person": [ligature]})]), Of(SubTable=[Of()])]
    font = {"GSUB": Of(table=Of(LookupList=Of(Lookup=lookups)))}
    assert drawings.ligatures_of(font) == {("person", "joiner", "rocket"): "astronaut"}


def test_mistakes_are_a_line_and_exit_code_2(made, tmp_path, monkeypatch, capsys):
    def complaint(*arguments):
        assert command.main([*SMALL, *arguments, "--out", str(tmp_path / "out")]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        return error

    assert "telepathy" in complaint("--models", "telepathy")
    assert "--channels has 2 numbers, expected 4" in complaint("--channels", "4", "8")
    assert "--names is 15, expected at least 1 and at most 14" in complaint("--names", "15")
    assert not (tmp_path / "out").exists()
    folder = tmp_path / "out" / "mean-0"
    folder.mkdir(parents=True)
    (folder / "cell.json").write_text("{}")
    assert "cell.json is not what this command writes" in complaint("--resume")
    (folder / "cell.json").unlink()
    (folder / "checkpoint.safetensors").write_bytes(b"damaged")
    assert "checkpoint.safetensors" in complaint("--resume")
    monkeypatch.setenv("JATTN_DATA", str(tmp_path))
    monkeypatch.setattr(command, "read_emoji", data.read_emoji)
    (tmp_path / "emoji-2.16.0.whl").write_bytes(b"not a wheel")
    assert "emoji-2.16.0.whl: checksum differs" in complaint()


def test_a_font_that_is_missing_or_damaged_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("JATTN_DATA", str(tmp_path))
    monkeypatch.setattr(debian.shutil, "which", lambda name: None)
    with pytest.raises(DataError, match="apt-get is missing"):
        drawings.read_drawings(["🚀"])
    font = archive.cache() / drawings.PACKAGE / drawings.FONT
    font.parent.mkdir(parents=True)
    with pytest.raises(DataError, match=r"NotoColorEmoji.ttf: is missing; delete the folder"):
        drawings.read_drawings(["🚀"])
    for content in (b"no font at all", b"\0\1\0\0" + bytes(8), b""):
        font.write_bytes(content)
        with pytest.raises(DataError, match=r"NotoColorEmoji.ttf: is no font of pictures"):
            drawings.read_drawings(["🚀"])
