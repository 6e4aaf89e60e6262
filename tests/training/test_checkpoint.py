"""A checkpoint holds every leaf bit for bit, is never half-written, and says what is wrong."""

import errno
import json
import os
import resource
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from jattn.training import checkpoint, load_checkpoint, save_checkpoint

BFLOAT16 = jnp.dtype("bfloat16")


class Layer(NamedTuple):
    weight: object
    bias: object = None


class Foreign:
    """An array of another library, whose dtype is no dtype of NumPy."""

    dtype = type("Dtype", (), {"__repr__": lambda self: "torch.bfloat16"})()
    shape = (2,)


def random_bits(dtype, shape=(2, 3)):
    """Returns an array of random bits of any dtype; a NaN's payload must survive too."""
    count = int(np.prod(shape)) * np.dtype(dtype).itemsize
    bits = np.random.default_rng(0).integers(0, 256, count, np.uint8)
    bits = bits % 2 if dtype == np.bool_ else bits % 8 if jnp.dtype(dtype).name == "int4" else bits
    return bits.astype(np.uint8).view(dtype).reshape(shape)


def assert_same(actual, expected):
    """Compares structure, types, dtypes and bits."""
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for left, right in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert isinstance(left, jax.Array) == isinstance(right, jax.Array)
        if isinstance(right, jax.Array) and jnp.issubdtype(right.dtype, jax.dtypes.prng_key):
            assert left.dtype == right.dtype
            left, right = jax.random.key_data(left), jax.random.key_data(right)
        elif not isinstance(right, jax.Array | np.generic):
            assert type(left) is type(right)
        left, right = np.asarray(left), np.asarray(right)
        assert (left.dtype, left.shape) == (right.dtype, right.shape)
        assert left.tobytes() == right.tobytes()


TREES = {
    "layers": {"encoder": Layer(jnp.ones((2, 3)), jnp.zeros(2)), "decoder": [Layer(jnp.ones(5))]},
    "scalars": {"step": 7, "large": -(2**63), "rate": 0.1, "on": True, "turn": 1 + 2j, "no": None},
    "not finite": [float("-inf"), float("nan"), np.float32("nan"), -0.0],
    "keys": {
        "one": jax.random.key(3),
        "several": jax.random.split(jax.random.key(1, impl="rbg"), (2, 3)),
        "none": jax.random.split(jax.random.key(1), 0),
        "raw": jax.random.PRNGKey(5),
    },
    "zero axes": [jnp.float32(2), np.float32(3), np.array(4), jnp.array(True), BFLOAT16.type(1)],
    "empty arrays": [np.zeros((0, 3)), jnp.zeros((2, 0), jnp.bfloat16), np.zeros(0, np.complex128)],
    "not contiguous": [np.arange(6.0).reshape(2, 3).T, np.arange(9)[::-2], np.ones((3, 4))[:, 1]],
    "broadcast": np.broadcast_to(np.float32(3), (4, 5)),
    "one leaf": np.arange(3),
    "nothing": {"left": None, "right": ()},
}
DTYPES = ["bool", "int4", "int8", "uint16", "int32", "uint64", "int64", "float8_e4m3fn", "float16"]
DTYPES += ["bfloat16", "float32", "float64", "complex64", "complex128"]
TREES |= {dtype: {"array": random_bits(jnp.dtype(dtype))} for dtype in DTYPES}
TREES |= {f"jax {dtype}": jnp.array(random_bits(jnp.dtype(dtype))) for dtype in DTYPES}


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
def test_every_leaf_comes_back_bit_for_bit(tree, tmp_path):
    save_checkpoint(tmp_path / "file", tree, metadata={"rate": 0.1, "sizes": [1, 2], "é": None})
    loaded = load_checkpoint(tmp_path / "file", like=tree)
    assert_same(loaded.tree, tree)
    assert loaded.metadata == {"rate": 0.1, "sizes": [1, 2], "é": None}
    assert os.listdir(tmp_path) == ["file"]


def test_big_endian_arrays_keep_their_values(tmp_path):
    array = np.arange(5, dtype=">f4")
    save_checkpoint(tmp_path / "file", [array])
    assert (load_checkpoint(tmp_path / "file", like=[array]).tree[0] == array).all()


def test_without_like_the_leaves_come_back_by_name(tmp_path):
    tree = {"state": {"encoder": Layer(np.ones(2, BFLOAT16))}, "list": [3, jax.random.key(1)]}
    save_checkpoint(tmp_path / "file", tree)
    leaves = load_checkpoint(tmp_path / "file").tree
    names = ["list/0", "list/1", "state/encoder/bias", "state/encoder/weight"]
    assert sorted(leaves) == names
    assert leaves["state/encoder/weight"].dtype == BFLOAT16
    assert (leaves["list/0"], leaves["state/encoder/bias"]) == (3, None)
    assert_same(leaves["list/1"], jax.random.key(1))


def test_a_branch_is_read_alone(tmp_path):
    tree = {"state": {"params": Layer(np.ones(2)), "step": 4}, "stateless": np.zeros(3)}
    save_checkpoint(tmp_path / "file", tree)
    params = load_checkpoint(tmp_path / "file", like=Layer(np.zeros(2)), part="state/params").tree
    assert_same(params, tree["state"]["params"])
    assert load_checkpoint(tmp_path / "file", part="state/step").tree == {"": 4}
    with pytest.raises(ValueError, match=r"file has no branch stat$"):
        load_checkpoint(tmp_path / "file", part="stat")


def test_shapes_alone_say_what_to_expect(tmp_path):
    def init(rng):
        return Layer(jax.random.normal(rng, (2, 3)), rng)

    tree = init(jax.random.key(0))
    save_checkpoint(tmp_path / "file", tree)
    like = jax.eval_shape(init, jax.random.key(0))
    assert_same(load_checkpoint(tmp_path / "file", like=like).tree, tree)


def test_what_does_not_fit_is_named(tmp_path):
    tree = {"a": np.ones(2), "b": np.ones(2), "c": None, "d": 1, "e": jax.random.key(0), "f": 1.0}
    save_checkpoint(tmp_path / "file", tree)

    def message(**changes):
        with pytest.raises(ValueError, match=r"load_checkpoint: .*file does not fit") as caught:
            load_checkpoint(tmp_path / "file", like={**tree, **changes})
        assert "\n" not in str(caught.value)
        return str(caught.value).partition("does not fit: ")[2]

    assert message(a=np.ones(3)) == "a is float64 (2,) in the file and float64 (3,) in like"
    assert message(b=np.ones(2, BFLOAT16)).endswith("and bfloat16 (2,) in like")
    assert message(c=np.ones(1)) == "c is None in the file and float64 (1,) in like"
    assert message(d=1.5) == "d is Python int in the file and Python float in like"
    other = jax.random.key(0, impl="rbg")
    assert message(e=other) == "e is key<fry> () in the file and key<rbg> () in like"
    assert message(g=2) == "g is missing in the file and Python int in like"
    with pytest.raises(ValueError, match="f is Python float in the file and missing in like"):
        load_checkpoint(tmp_path / "file", like={k: tree[k] for k in "abcde"})
    assert message(**{name: np.ones((), np.int8) for name in "abcdefg"}).endswith("; and 2 more")


@pytest.mark.parametrize(
    ("tree", "named"),
    [
        ({"a": "text"}, "a is a str"),
        ({"a": object()}, "a is a object"),
        ({"a": np.array(["x"])}, "a is a ndarray"),
        ({"a/b": 1, "a": {"b": 2}}, "two leaves are called a/b"),
        ({"a": 2**64}, "a is 18446744073709551616"),
        ({"a": np.zeros(2, "V2")}, r"a is a ndarray of dtype \|V2, expected an array of numbers"),
        ({"a": np.zeros(2, "M8[s]")}, "a is a ndarray of dtype datetime64"),
        ({"a": Foreign()}, "a is a Foreign of dtype torch.bfloat16, expected an array of numbers"),
        ({"__metadata__": np.ones(3)}, "tree has a leaf __metadata__, a name of safetensors"),
    ],
)
def test_what_cannot_be_stored_is_named(tree, named, tmp_path):
    with pytest.raises(ValueError, match=f"save_checkpoint: {named}"):
        save_checkpoint(tmp_path / "file", tree)
    assert not os.listdir(tmp_path)


def test_metadata_that_json_cannot_say_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"save_checkpoint: metadata is not JSON: .* set "):
        save_checkpoint(tmp_path / "file", {}, metadata={"names": {1}})
    with pytest.raises(ValueError, match="metadata is not JSON: two keys are '1' as strings"):
        save_checkpoint(tmp_path / "file", {}, metadata={"sizes": {1: 2, "1": 3}})
    circle = {}
    circle["circle"] = circle
    with pytest.raises(ValueError, match="metadata is not JSON: Circular"):
        save_checkpoint(tmp_path / "file", {}, metadata=circle)
    save_checkpoint(tmp_path / "file", {}, metadata={"sizes": {10: 1, 9: (2,)}})
    assert load_checkpoint(tmp_path / "file").metadata == {"sizes": {"10": 1, "9": [2]}}


def test_equal_contents_are_equal_bytes(tmp_path):
    for _ in range(5):
        save_checkpoint(tmp_path / "file", TREES["layers"], metadata={"b": 1, "a": 2})
        save_checkpoint(tmp_path / "again", TREES["layers"], metadata={"b": 1, "a": 2})
        assert (tmp_path / "file").read_bytes() == (tmp_path / "again").read_bytes()


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no checkpoint: .*nowhere"):
        load_checkpoint(tmp_path / "nowhere")


def test_no_damaged_byte_goes_unnoticed(tmp_path):
    """Each byte of the file in turn is changed: it is refused, or it had no meaning."""
    tree = {"weight": np.arange(3, dtype=np.int16), "step": 5}
    save_checkpoint(tmp_path / "file", tree, metadata={"rate": 0.5})
    content = (tmp_path / "file").read_bytes()
    refused = 0
    for place in range(len(content)):
        for flip in (1, 128):
            damaged = bytearray(content)
            damaged[place] ^= flip
            (tmp_path / "file").write_bytes(damaged)
            try:
                loaded = load_checkpoint(tmp_path / "file", like=tree)
            except ValueError as error:
                refused += str(tmp_path / "file") in str(error)
            else:
                assert_same(loaded.tree, tree)
                assert loaded.metadata == {"rate": 0.5}
    assert refused > 1.9 * len(content)


def test_a_damaged_leaf_is_named(tmp_path):
    tree = {"bias": np.ones(3), "weight": np.arange(5.0)}
    save_checkpoint(tmp_path / "file", tree)
    content = bytearray((tmp_path / "file").read_bytes())
    place = content.index(np.arange(5.0).tobytes())
    content[place + 11] ^= 4
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match=r"file is damaged at 'weight' \(its checksum is wrong\)"):
        load_checkpoint(tmp_path / "file", like=tree)


def with_body(path, change):
    """Writes a checkpoint whose JSON is changed, with the checksum that fits."""
    arrays = {"a": np.ones(2), "b": np.arange(3)}
    save_checkpoint(path, arrays)
    header = safetensors.safe_open(path, "np").metadata()
    body = json.loads(header["jattn"])
    del body["checksum"]
    change(body)
    bits = {name: array.view(np.uint8) for name, array in arrays.items()}
    header = json.dumps({"checksum": checkpoint._checksum(body, bits), **body})
    safetensors.numpy.save_file(arrays, path, {"jattn": header})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda body: body["leaves"].update(a=["float64", [3], None]), "a is float64 .3,.: cannot"),
        (
            lambda body: body["leaves"].update(a=["float7", [2], None]),
            "a is float7 .2,.: data type",
        ),
        (lambda body: body["leaves"].update(c=["float64", [2], None]), "c is .*: it is missing"),
        (lambda body: body["leaves"].update(a=["key", [2], "fly"]), "a is key .2,.: .*fly"),
        (lambda body: body["leaves"].update(a=3), "is not a checkpoint of jattn"),
        (lambda body: body.update(leaves=3), "is not a checkpoint of jattn"),
        (lambda body: body.pop("leaves"), "is not a checkpoint of jattn"),
        (lambda body: body.pop("metadata"), "is not a checkpoint of jattn"),
        (lambda body: body.update(metadata=3), "is not a checkpoint of jattn"),
    ],
)
def test_a_whole_file_with_other_contents_is_refused(change, message, tmp_path):
    with_body(tmp_path / "file", lambda body: None)
    assert load_checkpoint(tmp_path / "file").tree["b"].tolist() == [0, 1, 2]
    with_body(tmp_path / "file", change)
    with pytest.raises(ValueError, match=f"load_checkpoint: .*file.*{message}"):
        load_checkpoint(tmp_path / "file")


def test_files_without_a_checksum_for_each_leaf_are_read(tmp_path):
    """As earlier versions wrote them."""
    with_body(tmp_path / "file", lambda body: body.pop("sums"))
    assert load_checkpoint(tmp_path / "file").tree["b"].tolist() == [0, 1, 2]


def test_random_damage_is_refused_with_the_name_of_the_file(tmp_path):
    """Cut, flipped, moved, doubled: a ValueError that names the file, or nothing has changed."""
    rng = np.random.default_rng(0)
    tree = {"state": {"weight": np.arange(12.0), "step": 5, "key": jax.random.key(1)}}
    path = tmp_path / "file"
    save_checkpoint(path, tree, metadata={"rate": 0.5})
    content = path.read_bytes()
    damages = {
        "cut": lambda a, b: content[:a],
        "without its middle": lambda a, b: content[:a] + content[b:],
        "doubled": lambda a, b: content[:b] + content[a:],
        "zeroed": lambda a, b: content[:a] + bytes(b - a) + content[b:],
        "drawn": lambda a, b: content[:a] + rng.bytes(b - a) + content[b:],
        "exchanged": lambda a, b: content[b:] + content[a:b] + content[:a],
    }
    refused = 0
    for damage in damages.values():
        for _ in range(60):
            start, end = sorted(rng.integers(0, len(content) + 1, 2))
            path.write_bytes(damage(start, end))
            if path.read_bytes() == content:
                continue
            try:
                loaded = load_checkpoint(path, like=tree)
            except ValueError as error:
                refused += str(error).startswith(f"load_checkpoint: {path} is ")
            else:
                assert_same(loaded.tree, tree)
                assert loaded.metadata == {"rate": 0.5}
    assert refused > 340


def test_64_bits_are_not_squeezed_into_32(tmp_path):
    tree = {"count": np.array([2**40 + 7]), "weight": np.array([1 / 3]), "half": np.float16(0.5)}
    save_checkpoint(tmp_path / "file", tree)
    shapes = jax.tree.map(lambda array: jax.ShapeDtypeStruct(array.shape, array.dtype), tree)
    with jax.enable_x64(False):
        with pytest.raises(ValueError, match=r"file: count is int64 \(1,\): jax arrays hold int64"):
            load_checkpoint(tmp_path / "file", like=shapes)
        assert_same(load_checkpoint(tmp_path / "file", like=tree).tree, tree)
    loaded = load_checkpoint(tmp_path / "file", like=shapes).tree
    assert [loaded[name].dtype for name in ("count", "weight")] == [np.int64, np.float64]


@pytest.mark.parametrize("kept", [0, 5, 100, -1])
def test_a_truncated_file_is_refused(kept, tmp_path):
    save_checkpoint(tmp_path / "file", TREES["layers"])
    (tmp_path / "file").write_bytes((tmp_path / "file").read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"load_checkpoint: .*file is damaged"):
        load_checkpoint(tmp_path / "file")


def test_other_formats_are_refused(tmp_path):
    path = tmp_path / "file"
    path.write_text("not a checkpoint, but long enough to have a header")
    with pytest.raises(ValueError, match=r"file is damaged or not a safetensors file"):
        load_checkpoint(path)
    for metadata in (None, {"format": "np"}, {"jattn": "3"}, {"jattn": "{"}, {"jattn": "{}"}):
        safetensors.numpy.save_file({"a": np.ones(2)}, path, metadata)
        with pytest.raises(ValueError, match=r"file is not a checkpoint of jattn"):
            load_checkpoint(path)


def test_a_later_format_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("jattn.training.checkpoint.FORMAT", "jattn checkpoint 2")
    save_checkpoint(tmp_path / "file", TREES["layers"])
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"has format jattn checkpoint 2, this version reads .* 1"):
        load_checkpoint(tmp_path / "file")


def no_space(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def interrupted(*_):
    raise KeyboardInterrupt


@pytest.mark.parametrize("broken", ["fsync", "replace"])
@pytest.mark.parametrize("failure", [no_space, interrupted])
def test_a_failure_leaves_the_previous_checkpoint(broken, failure, tmp_path, monkeypatch):
    path = tmp_path / "file"
    save_checkpoint(path, {"a": np.ones(2)})
    monkeypatch.setattr(os, broken, failure)
    with pytest.raises((OSError, KeyboardInterrupt)) as caught:
        save_checkpoint(path, {"a": np.zeros(2)})
    monkeypatch.undo()
    if failure is no_space:
        assert str(caught.value) == f"[Errno 28] cannot write: No space left on device: '{path}'"
    assert load_checkpoint(path).tree["a"].tolist() == [1, 1]
    assert os.listdir(tmp_path) == ["file"]


def test_a_file_that_cannot_grow_leaves_the_previous_checkpoint(tmp_path):
    """As on a full disk, the system itself refuses in the middle of the write."""
    path = tmp_path / "file"
    save_checkpoint(path, {"a": np.ones(2)})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(OSError, match=f"cannot write: File too large: '{path}'"):
            save_checkpoint(path, {"a": np.zeros(10_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert load_checkpoint(path).tree["a"].tolist() == [1, 1]
    assert os.listdir(tmp_path) == ["file"]


def test_folders_are_made(tmp_path):
    path = tmp_path / "run" / "one" / "file"
    save_checkpoint(path, {"a": 1})
    save_checkpoint(path, {"a": 2})
    assert os.listdir(path.parent) == ["file"]
    assert load_checkpoint(path, like={"a": 0}).tree == {"a": 2}


def test_a_folder_in_the_place_of_the_file_is_named(tmp_path):
    (tmp_path / "file").mkdir()
    with pytest.raises(IsADirectoryError, match=f"cannot write: .*: '{tmp_path / 'file'}'"):
        save_checkpoint(tmp_path / "file", {"a": 1})
    assert os.listdir(tmp_path) == ["file"]
