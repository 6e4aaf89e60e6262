"""Weights under other names fill a tree exactly, or every mismatch is named."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jattn.training import import_weights

FLAT = {
    "block.0.kernel": np.arange(15, dtype=np.float32).reshape(3, 5),
    "block.1.kernel": np.arange(15, 30, dtype=np.float32).reshape(3, 5),
    "both.bias": np.arange(4, dtype=np.float32),
    "positions": np.arange(7),
}
LIKE = {
    "layers": [{"weight": jax.ShapeDtypeStruct((5, 3), jnp.float32), "bias": None}] * 2,
    "left": jax.ShapeDtypeStruct((2,), jnp.bfloat16),
    "right": jax.ShapeDtypeStruct((2,), jnp.float32),
}
MAPPING = {
    "layers/*/weight": ("block.*.kernel", np.transpose),
    "left": ("both.bias", lambda bias: bias[:2]),
    "right": ("both.bias", lambda bias: bias[2:]),
}


def test_every_leaf_is_filled_in_its_dtype():
    tree = import_weights(FLAT, LIKE, MAPPING, ignore=["pos*"])
    for index in range(2):
        weight = tree["layers"][index]["weight"]
        assert isinstance(weight, jax.Array)
        assert np.array_equal(weight, FLAT[f"block.{index}.kernel"].T)
        assert tree["layers"][index]["bias"] is None
    assert tree["left"].dtype == jnp.bfloat16
    assert tree["left"].tolist() + tree["right"].tolist() == [0, 1, 2, 3]


def imported(array, dtype):
    """Returns a leaf of a dtype, from an array."""
    like = {"w": jax.ShapeDtypeStruct(np.shape(array), dtype)}
    return import_weights({"w": array}, like, {"w": "w"})["w"]


@pytest.mark.parametrize(
    ("array", "dtype"),
    [
        (np.array([0.1]), np.float32),
        (np.array([0.1, np.inf, np.nan], np.float32), jnp.bfloat16),
        (np.array([0.5], jnp.bfloat16), np.float64),
        (np.array([0.5], np.float32), np.complex64),
        (np.array([100]), np.int8),
        (np.array([200], np.uint8), np.int64),
        (np.array([True]), np.bool_),
        (np.array([1.5], jnp.float8_e4m3fn), jnp.float8_e4m3fn),
        (np.array([-3], jnp.int4), jnp.int4),
        (np.array([-3], jnp.int4), np.int32),
        (np.array([-3]), jnp.int4),
    ],
)
def test_numbers_that_the_leaf_holds_are_taken(array, dtype):
    leaf = imported(array, dtype)
    assert leaf.dtype == dtype
    assert np.asarray(leaf).tobytes() == array.astype(dtype).tobytes()


class Foreign:
    """A tensor of another library that NumPy cannot read."""

    def __array__(self, *_, **__):
        raise TypeError("Got unsupported ScalarType BFloat16")


@pytest.mark.parametrize(
    ("array", "dtype", "complaint"),
    [
        (np.zeros(2, "V2"), np.float32, r"w gives \|V2, expected a floating-point dtype"),
        (np.ones(2, jnp.int4), np.float32, "w gives int4, expected a floating-point dtype of at"),
        (np.ones(2, jnp.float8_e4m3fn), np.float32, "w gives float8_e4m3fn, expected a floating"),
        (np.ones(2, np.int8), jnp.bfloat16, "w gives int8, expected a floating-point dtype"),
        (np.ones(2, bool), np.float32, "w gives bool, expected a floating-point dtype"),
        (np.ones(2, np.complex64), np.float32, "w gives complex64, expected a floating"),
        (np.ones(2), np.int32, "w gives float64, expected an integer dtype"),
        (np.ones(2), np.bool_, "w gives float64, expected bool"),
        (np.array(["a"]), np.float32, "w gives <U1, expected a floating-point dtype"),
        (np.array([None]), np.float32, "w gives object, expected a floating-point dtype"),
        (np.array([1, 1e6]), np.float16, "w holds 1000000.0, expected numbers that it holds"),
        (np.array([1, 128]), np.int8, "w holds 128, expected numbers that it holds"),
        (np.array([9]), jnp.int4, "w holds 9, expected numbers that it holds"),
        (np.array([-1]), np.uint32, "w holds -1, expected numbers that it holds"),
        (np.array([2**40]), np.int32, "w holds 1099511627776, expected numbers that it holds"),
    ],
)
def test_numbers_that_the_leaf_cannot_hold_are_refused(array, dtype, complaint):
    with pytest.raises(ValueError, match=f"^import_weights: w has dtype .*, {complaint}"):
        imported(array, dtype)


def test_arrays_that_numpy_cannot_read_are_named():
    like = {"w": jax.ShapeDtypeStruct((2,), np.float32)}
    with pytest.raises(
        ValueError, match=r"^import_weights: w gets no array from v: Got unsupported"
    ):
        import_weights({"v": Foreign()}, like, {"w": "v"})
    with pytest.raises(ValueError, match="w gets no array from v: cannot reshape"):
        import_weights({"v": np.ones(3)}, like, {"w": ("v", lambda v: v.reshape(2))})
    with pytest.raises(ValueError, match="w is a float, expected an array or its shape"):
        import_weights({"v": np.ones(3)}, {"w": 1.0}, {"w": "v"})


def test_64_bits_are_not_squeezed_into_32():
    like = {"w": jax.ShapeDtypeStruct((1,), np.int64)}
    with jax.enable_x64(False), pytest.raises(ValueError, match="w has dtype int64: jax arrays"):
        import_weights({"w": np.array([2**40])}, like, {"w": "w"})


def test_names_may_hold_the_signs_of_patterns():
    """Brackets are no set of characters, and a star that came from a path is not replaced."""
    ones = np.ones(2, np.float32)
    like = {"a": {"*": jax.ShapeDtypeStruct((2,), np.float32)}, "b": None}
    tree = import_weights({"x.*.a": ones}, like, {"a/*": "x.*.a"})
    assert np.array_equal(tree["a"]["*"], ones)
    like = {"a": {"*": {"b": jax.ShapeDtypeStruct((2,), np.float32)}}}
    tree = import_weights({"*.b": ones}, like, {"a/*/*": "*.*"})
    assert np.array_equal(tree["a"]["*"]["b"], ones)
    flat = {"w[0]": ones, "w0": ones}
    with pytest.raises(ValueError, match="import_weights: w0 is left over"):
        import_weights(flat, {}, {}, ignore=["w[0]"])
    with pytest.raises(ValueError, match="ignore is 'w', expected a list of patterns"):
        import_weights(flat, {}, {}, ignore="w")


@pytest.mark.parametrize(
    ("flat", "mapping", "complaint"),
    [
        ({}, {}, "positions is left over$"),
        ({"block.1.kernel": None}, {}, r"layers/1/weight is missing: there is no block.1.kernel"),
        ({}, {"left": None}, "left is in no line of the mapping; positions is left over"),
        ({}, {"left": "both.bias"}, r"left has shape \(2,\), both.bias gives \(4,\)"),
        (dict.fromkeys("uvwxyz", 0), {}, "v is left over; w is left over; .*; and 2 more$"),
    ],
)
def test_missing_left_over_and_misshapen_are_named(flat, mapping, complaint):
    changed = {name: array for name, array in {**FLAT, **flat}.items() if array is not None}
    lines = {path: source for path, source in {**MAPPING, **mapping}.items() if source}
    with pytest.raises(ValueError, match=f"^import_weights: .*{complaint}"):
        import_weights(changed, LIKE, lines)
