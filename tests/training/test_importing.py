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
