"""Rule V1: oracle and mechanism are derived twice, and other libraries' code is a third check."""

import ast
import difflib
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

import jattn
import jattn.oracle
from jattn.catalog import MECHANISMS
from jattn.testing import assert_close

ROOT = Path(__file__).parent.parent / "jattn"
RNG = np.random.default_rng(0)
QUERY, KEY, VALUE = (RNG.standard_normal(shape) for shape in ((17, 8), (19, 8), (19, 8)))


def sources(mechanism):
    """The texts of the mechanism's module and of its oracle's."""
    path = mechanism.function.__module__.split(".")[1:]
    files = [root.joinpath(*path).with_suffix(".py") for root in (ROOT, ROOT / "oracle")]
    return [file.read_text() for file in files]


def common_lines(text, other):
    """The number of successive lines of code that two texts have in common, at most."""
    lines = [
        [line.strip() for line in source.splitlines() if line.strip()[:1] not in ("", "#")]
        for source in (text, other)
    ]
    return difflib.SequenceMatcher(None, *lines, autojunk=False).find_longest_match().size


def test_V1_an_oracle_and_its_mechanism_share_no_code(mechanism):
    """Neither imports the other, nor a module of a third party but NumPy, nor copies its text."""
    imported = []
    for text in sources(mechanism):
        nodes = list(ast.walk(ast.parse(text)))
        names = [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
        names += [a.name for node in nodes if isinstance(node, ast.Import) for a in node.names]
        shared = {"numpy", *sys.stdlib_module_names}
        imported.append({name for name in names if name.partition(".")[0] not in shared})
    of_mechanism, of_oracle = imported
    assert all(name.startswith("jattn.oracle") for name in of_oracle)
    assert not of_mechanism & of_oracle
    assert common_lines(*sources(mechanism)) <= 2


def test_V1_a_copied_body_is_found():
    text, other = sources(MECHANISMS[0])
    body = "\n".join(text.splitlines()[-4:])
    assert common_lines(text, f"{other}\n{body}") >= 3


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
def test_V1_jax_nn_attends_as_the_oracle_does(mask, options):
    """To float32, in which its softmax is always computed."""
    batched = [jnp.asarray(array, jnp.float32)[None, :, None] for array in (QUERY, KEY, VALUE)]
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        theirs = jax.nn.dot_product_attention(*batched, **options)[0, :, 0]
    dense = None if mask is None else np.asarray(mask.dense(17, 19))
    (expected, _), _ = jattn.oracle.attention.scaled_dot_product.scaled_dot_product_attention(
        QUERY, KEY, VALUE, mask=dense
    )
    assert_close(np.asarray(theirs, np.float64), expected, 1e-6)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [("softmax", lambda scores: special.softmax(scores, axis=-1)), ("sigmoid", special.expit)],
)
def test_V1_scipy_normalizes_alike(name, theirs):
    scores = 8 * RNG.standard_normal((7, 11))
    assert_close(getattr(jattn, name)(scores), theirs(scores), 1e-14)
    assert_close(getattr(jattn.oracle.normalizers, name)(scores)[0], theirs(scores), 1e-14)
