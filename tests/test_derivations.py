"""Rule V1: the oracle and the JAX code are two derivations, and other people's code is a third."""

import ast
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

import jattn
import jattn.oracle
from jattn.testing import assert_close

ROOT = Path(__file__).parent.parent / "jattn"
RNG = np.random.default_rng(0)
QUERY, KEY, VALUE = (RNG.standard_normal(shape) for shape in ((17, 8), (19, 8), (19, 8)))


def test_V1_an_oracle_and_its_mechanism_share_no_code(mechanism):
    """Neither module imports the other, nor anything that the other imports but NumPy."""
    path = mechanism.function.__module__.split(".")[1:]
    found = []
    for root in (ROOT, ROOT / "oracle"):
        tree = ast.parse(root.joinpath(*path).with_suffix(".py").read_text())
        names = [n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
        names += [a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names]
        found.append({name for name in names if name != "numpy"})
    written, oracle = found
    assert all(name.startswith("jattn.oracle") or name == "math" for name in oracle)
    assert not written & oracle


@pytest.mark.parametrize(
    ("mask", "options"),
    [
        (None, {}),
        (jattn.masks.causal(), {"is_causal": True}),
        (jattn.masks.window(3, 2), {"local_window_size": (3, 2)}),
        (jattn.masks.lengths(11), {"key_value_seq_lengths": np.array([11], np.int32)}),
    ],
    ids=["all", "causal", "window", "lengths"],
)
def test_V1_jax_nn_attends_alike(mask, options):
    """Its softmax is float32 whatever comes in, so no closer than that."""
    batched = [jnp.asarray(array, jnp.float32)[None, :, None] for array in (QUERY, KEY, VALUE)]
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        theirs = jax.nn.dot_product_attention(*batched, **options)[0, :, 0]
    dense = None if mask is None else np.asarray(mask.dense(17, 19))
    (expected, _), _ = jattn.oracle.attention.scaled_dot_product.scaled_dot_product_attention(
        QUERY, KEY, VALUE, mask=dense
    )
    arrays = map(jnp.asarray, (QUERY, KEY, VALUE))
    ours = jattn.scaled_dot_product_attention(*arrays, mask=mask)
    assert_close(ours.context, expected, 1e-14)
    assert_close(np.asarray(theirs, np.float64), expected, 1e-6)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [("softmax", lambda scores: special.softmax(scores, axis=-1)), ("sigmoid", special.expit)],
)
def test_V1_scipy_normalizes_alike(name, theirs):
    scores = 8 * RNG.standard_normal((7, 11))
    assert_close(getattr(jattn, name)(scores), theirs(scores), 1e-14)
    assert_close(getattr(jattn.oracle.normalizers, name)(scores)[0], theirs(scores), 1e-14)
