# pyright: reportArgumentType=false, reportCallIssue=false
"""Masks with ids or pairs of each batch element, as for documents packed into each row."""

import functools
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from attending import PATHS, QUICK, attention

import jattn
from jattn import engine, masks, testing
from jattn.oracle.engine.dot_product import dot_product_attention as oracle
from jattn.testing.trees import draw_like, inner

B, T, S, H, G, K = 3, 5, 7, 4, 2, 3
RNG = np.random.default_rng(0)
INPUTS = RNG.standard_normal((B, T, H, K)), *RNG.standard_normal((2, B, S, G, K))
QUERY_IDS = np.array([[0, 0, 1, 1, 2], [3, 0, 0, 0, 1], [1, 1, 1, 2, 2]])
KEY_IDS = np.array([[0, 0, 0, 1, 1, 4, 2], [0, 0, 1, 1, 2, 2, 2], [2, 1, 1, 1, 0, 2, 2]])
SAME = QUERY_IDS[:, :, None] == KEY_IDS[:, None]
PAIRS = RNG.random((B, T, S)) < 0.5
PAST = np.tri(T, S, 2, dtype=bool)
each = masks.segments(QUERY_IDS, KEY_IDS)
# A mask, and the pairs that it allows.
CASES: dict[str, tuple[masks.Mask, np.ndarray]] = {
    "segments": (each, SAME),
    "segments, causal, lengths": (
        each & masks.causal(2) & masks.lengths(6, 4),
        SAME & PAST & (np.arange(S) < 6) & (np.arange(T) < 4)[:, None],
    ),
    "segments or the first keys": (each | masks.prefix(2), SAME | (np.arange(S) < 2)),
    "other segments": (~each, ~SAME),
    "keys of all elements": (
        masks.segments(QUERY_IDS, KEY_IDS[0]),
        QUERY_IDS[:, :, None] == KEY_IDS[0],
    ),
    "pairs of each element": (masks.dense(PAIRS) & masks.causal(2), PAIRS & PAST),
}
compiled = functools.partial(jax.jit, compiler_options=QUICK)
OPTIONS = {"return_residual": True, "return_weights": True}


def results(path: str, mask: Any, arrays: Any = INPUTS, **options: Any) -> Any:
    return PATHS[path](*arrays, mask=mask, **OPTIONS, **options)


WAYS = [("default", "traced"), ("banded", "known"), ("narrowed", "traced")]


@pytest.mark.parametrize(
    ("name", "path", "when"),
    [(name, *WAYS[0]) for name in CASES]
    + [(name, *way) for name in list(CASES)[1::2] for way in WAYS[1:]]
    + [("segments", "grouped", "known")],
)
def test_V1_G1_values_and_gradients_are_the_oracle_s(name, path, when):
    mask, pairs = CASES[name]
    wanted, pullback = oracle(*INPUTS, mask=pairs[:, None], **OPTIONS)
    cotangent = draw_like(wanted, 1)
    finite = jax.tree.map(np.isfinite, wanted)  # A query without keys has the lse -inf.
    only_finite = lambda tree: jax.tree.map(lambda x, keep: jnp.where(keep, x, 0.0), tree, finite)

    def run(mask, *arrays):
        found = results(path, mask, arrays)
        return inner(cotangent, only_finite(found)), found

    slope = jax.value_and_grad(run, (1, 2, 3), has_aux=True)
    if when == "known":
        (_, found), gradient = compiled(lambda *arrays: slope(mask, *arrays))(*INPUTS)
    else:
        (_, found), gradient = compiled(slope)(mask, *INPUTS)
    jax.tree.map(np.testing.assert_array_equal, jax.tree.map(np.isfinite, found), finite)
    testing.assert_close(only_finite(found), only_finite(wanted), 1e-12)
    own = jax.tree.map(np.asarray, only_finite(cotangent))
    testing.assert_close(gradient, pullback(own)[:3], 1e-12)


@pytest.mark.parametrize("name", CASES)
def test_T1_masks_of_batches_can_be_mapped_too(name):
    mask, pairs = CASES[name]
    twice = jax.tree.map(lambda x: np.stack([x, x[..., ::-1]]), mask)
    found = jax.vmap(lambda mask: attention(*INPUTS, mask=mask))(twice)
    testing.assert_close(found[0], attention(*INPUTS, mask=pairs[:, None]), 1e-12)
    for index in range(2):
        alone = attention(*INPUTS, mask=jax.tree.map(lambda x, i=index: x[i], twice))
        testing.assert_close(found[index], alone, 1e-12)


def test_C1_a_key_that_is_read_in_another_element_alone_may_hold_anything():
    """Key 5 of the first element has an id that no query has."""
    key, value = (x.copy() for x in INPUTS[1:])
    key[0, 5], value[0, 5] = np.nan, np.inf
    for path in PATHS:
        found, expected = results(path, each, (INPUTS[0], key, value)), results(path, each)
        jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_a_plan_skips_what_no_element_shows():
    """Two documents in each row, which end within 64 tokens of each other."""
    t = 2048
    ids = (np.arange(t) >= np.array([1024, 960])[:, None]).astype(int)
    shape = jax.ShapeDtypeStruct((2, t, H, 64), "float32")
    plan = engine.plan(shape, shape, shape, mask=masks.segments(ids))
    assert 0.5 < plan.scores / t**2 < 0.6


def test_statistics_and_other_kernels_read_such_masks():
    mask, pairs = CASES["segments"]
    arrays = [x.astype("float32") for x in INPUTS]
    options = {"mask": mask}, {"mask": pairs[:, None]}
    statistics = [jattn.attention_statistics(*arrays[:2], **given) for given in options]
    testing.assert_close(*statistics, 1e-6)
    rows = [jattn.attention_rows(*arrays[:2], np.array([3, 1]), **given) for given in options]
    testing.assert_close(*rows, 1e-6)
    by_xla = [attention(*arrays, implementation="xla", **given) for given in options]
    testing.assert_close(*by_xla, 1e-6)


ERRORS = {
    "dot_product_attention: mask has ids of shape (2, 5), expected one for each position, for all"
    " or for each of the batch (3,)": lambda: attention(
        *INPUTS, mask=masks.segments(QUERY_IDS[:2], KEY_IDS)
    ),
    "dot_product_attention: mask has an array of shape (1, 5, 7), expected (t, s), for": (
        lambda: attention(*INPUTS, mask=masks.dense(PAIRS[:1]))
    ),
    "dot_product_attention: mask has ids of shape (3, 5), expected one for each position; a": (
        lambda: attention(*(x[0] for x in INPUTS), mask=each)
    ),
    "dot_product_attention: mask has a length or an offset of shape (3,), expected one number": (
        lambda: attention(*INPUTS, mask=masks.prefix(np.array([1, 2, 3])))
    ),
}


@pytest.mark.parametrize("message", ERRORS)
def test_mistakes_are_named(message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        ERRORS[message]()
