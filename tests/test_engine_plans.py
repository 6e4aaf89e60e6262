"""However a call is cut up: every allowed pair is read, with the same result, in linear memory."""

import functools
from typing import Any

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from attending import QUICK, attention, narrowed, without_infinity
from hypothesis import strategies as some
from test_engine_sizes import inner_jaxprs

from jattn import engine, masks, testing
from jattn.engine.plan import Problem
from jattn.masks.hulls import hull
from jattn.oracle.engine.dot_product import dot_product_attention as oracle
from jattn.testing.trees import draw_like

few = hypothesis.settings(
    max_examples=3,
    derandomize=True,
    deadline=None,
    database=None,
    report_multiple_bugs=False,
    phases=[hypothesis.Phase.generate],
)

PLANNERS = {n: getattr(engine, n) for n in ("dense", "chunked", "grouped", "banded", "best")}
PLANNERS["narrowed"] = narrowed
small = some.integers(0, 4)
LEAVES = (
    some.integers(-5, 5).map(masks.causal)
    | some.builds(masks.window, small | some.none(), small | some.none(), some.integers(-5, 5))
    | some.integers(0, 5).map(masks.lengths)
    | some.integers(0, 5).map(masks.prefix)
    | some.builds(masks.dilated, some.integers(1, 4), some.integers(-5, 5))
    | some.builds(masks.blocks, some.integers(1, 4), some.integers(-5, 5))
    | some.builds(masks.global_tokens, some.integers(0, 3), some.integers(-5, 5))
    | some.builds(masks.block_window, some.integers(1, 4), small | some.none(), small)
    | some.builds(masks.fixed, some.integers(2, 4), some.integers(1, 2), offset=small)
)
MASKS = some.recursive(
    LEAVES,
    lambda inner: (
        some.builds(lambda x, y: x & y, inner, inner)
        | some.builds(lambda x, y: x | y, inner, inner)
        | inner.map(lambda x: ~x)
    ),
    max_leaves=3,
)


@hypothesis.settings(few, max_examples=40)
@hypothesis.given(MASKS, some.integers(1, 13), some.integers(5, 13), some.integers(1, 5))
def test_C2_every_allowed_pair_is_in_a_block(mask, t, s, chunk_size):
    """And every query in one block alone, whatever the mask."""
    allowed = np.asarray(mask.at(np.arange(t)[:, None], np.arange(s)[None]))
    for name, planner in PLANNERS.items():
        blocks, covered = np.zeros(t, int), np.zeros((t, s), bool)
        for run in planner(Problem(1, t, s, 1, 1, 3, 3, mask, chunk_size)).runs:
            for index in range(run.count):
                first, key = run.start + index * run.size, run.key_start + index * run.key_step
                blocks[first : first + run.size] += 1
                covered[first : first + run.size, max(key, 0) : max(key + run.width, 0)] = True
        np.testing.assert_array_equal(blocks, 1, name)
        assert not (allowed & ~covered).any(), name


@pytest.mark.parametrize("name", ["chunked", "grouped", "banded", "narrowed"])
@few
@hypothesis.given(
    MASKS,
    some.sampled_from([(1, 1), (4, 1), (6, 3)]),
    some.integers(1, 7),
    some.integers(5, 11),
    some.integers(1, 4),
)
def test_G1_G2_drawn_masks_and_heads_match_the_oracle(name, mask, heads, t, s, chunk_size):
    rng = np.random.default_rng(0)
    shapes = ((2, t, heads[0], 3), (2, s, heads[1], 3), (2, s, heads[1], 2))
    inputs = tuple(rng.standard_normal(shape) for shape in shapes)
    options: Any = {"return_residual": True}
    plan: Any = {"planner": PLANNERS[name], "chunk_size": chunk_size}
    expected, pullback = oracle(*inputs, mask=np.asarray(mask.dense(t, s)), **options)
    cotangent = draw_like(expected, 1)

    def run(inputs, cotangent):
        call = functools.partial(attention, mask=mask, **options, **plan)
        output, pullback = jax.vjp(call, *inputs)
        return output, pullback(cotangent)

    output, gradient = jax.jit(run)(inputs, cotangent)
    testing.assert_close(without_infinity(output), without_infinity(expected), 1e-12)
    testing.assert_close(gradient, pullback(cotangent), 1e-12)


def test_C2_what_a_query_sees_lies_in_its_hull():
    """Also with segments in any order and with arrays, which only a run knows."""
    t, s = 37, 13
    rng: Any = np.random.default_rng(0)
    segments = masks.segments(rng.integers(4, size=t), rng.integers(5, size=s))
    array = masks.dense(rng.random((t, s)) < 0.1)
    for one in (segments, array, masks.causal() & segments, array | masks.window(1, 1)):
        found, keys = hull(one, jnp.arange(t), s), np.arange(s)
        start, stop = (np.asarray(end)[:, None] for end in found)
        assert not (np.asarray(one.dense(t, s)) & ~((keys >= start) & (keys < stop))).any()
    seen = np.asarray(segments.dense(t, s))
    least = np.where(seen.any(1), seen.argmax(1), 0)
    np.testing.assert_array_equal(hull(segments, jnp.arange(t), s).start, least)


def test_C1_keys_that_no_query_of_a_block_sees_reach_nothing():
    """Documents that only the run knows, of two examples: NaN in the last leaves others alone."""
    t, ids = 640, np.repeat(np.arange(3), [250, 262, 128])
    query, key, value = np.random.default_rng(0).standard_normal((3, 1, t, 1, 3))
    mapped = jax.vmap(lambda ids, *inputs: attention(*inputs, mask=masks.segments(ids)))
    expected: Any = oracle(query, key, value, mask=(ids[:, None] == ids)[None, None])[0]
    key[:, -5:], value[:, -5:] = np.nan, np.inf
    given = [np.stack([x, x]) for x in (ids, query, key, value)]
    output = jax.jit(mapped, compiler_options=QUICK)(*given)[1]
    testing.assert_close(output[:, :512], expected[:, :512], 1e-12)
    choices = [e for e in every(jax.make_jaxpr(mapped)(*given).jaxpr) if e.primitive.name == "cond"]
    assert choices
    assert all(choice.invars[0].aval.shape == () for choice in choices)


def every(jaxpr):
    """The equations of a jaxpr, those inside of others included."""
    for equation in jaxpr.eqns:
        yield equation
        for inner in inner_jaxprs(equation):
            yield from every(inner)


# Prime, and so large that all pairs are more than any block of queries holds.
T, S = 1201, 1301


def sizes(jaxpr):
    """Of everything that is computed, the stacked results of loops included."""
    for equation in jaxpr.eqns:
        yield from (v.aval.size for v in equation.outvars)
        for inner in inner_jaxprs(equation):
            yield from sizes(inner)


def largest(planner, mask, layers, lengths):
    """Entries of the largest array in the jaxpr of value and gradient."""
    shapes = ((T, 2, 3), (S, 1, 3), (S, 1, 3))
    inputs = [jax.ShapeDtypeStruct((layers, *shape), jnp.float32) for shape in shapes]

    def total(inputs, length):
        def layer(carry, one):
            call = functools.partial(
                attention, mask=mask, planner=planner, chunk_size=32, is_causal=True
            )
            given = {} if length is None else {"key_value_seq_lengths": length}
            return carry + call(*one, **given).sum(), None

        return jax.lax.scan(layer, jnp.float32(0.0), inputs)[0]

    length = jax.ShapeDtypeStruct((), jnp.int32) if lengths else None
    jaxpr = jax.make_jaxpr(jax.value_and_grad(total))(inputs, length)
    found = list(sizes(jaxpr.jaxpr))
    assert len(found) > 50
    return max(found)


WHERE = {
    "causal": (masks.causal(), False),
    "causal and traced lengths": (None, True),
    "window and lengths": (masks.window(20, 0) & masks.lengths(S - 100), False),
}


@pytest.mark.parametrize("name", ["chunked", "grouped", "banded", "narrowed"])
@pytest.mark.parametrize("where", WHERE)
def test_no_array_has_all_pairs_of_queries_and_keys(name, where):
    """Not even in a loop over layers, out of which JAX takes what is the same for each."""
    assert largest(PLANNERS[name], WHERE[where][0], 2, WHERE[where][1]) < T * S / 4


def test_an_array_of_all_pairs_is_noticed():
    assert largest(engine.dense, None, 2, False) >= T * S


def test_a_call_that_nobody_compiles_is_one_program_and_made_once():
    planned = []

    def planner(problem):
        planned.append(problem)
        return engine.chunked(problem)

    query, key, value = draw_like(tuple(map(np.zeros, ((5, 3, 7), (5, 3, 7), (5, 3, 11)))), 4)
    calls = [attention(query, key, value, is_causal=True, planner=planner) for _ in range(2)]
    testing.assert_close(calls[0], calls[1], 0.0)
    assert [problem.may_loop for problem in planned] == [True, False]
    for length in (2, 3):  # One program for both, since no plan reads the arrays of such a call.
        lengths = np.array(length, np.int32)
        attention(query, key, value, key_value_seq_lengths=lengths, planner=planner)
    assert len(planned) == 4
