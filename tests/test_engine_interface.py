"""Batched attention in the place of `jax.nn.dot_product_attention`, and what it refuses."""

import ast
import functools
import inspect
import re
from pathlib import Path
from typing import Any, assert_type

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from attending import PATHS, attention

import jattn
from jattn import engine, masks, testing
from jattn.oracle.engine.dot_product import dot_product_attention as oracle

ROOT = Path(__file__).parent.parent
B, T, S, H, G, K = 2, 5, 7, 6, 3, 11
RNG = np.random.default_rng(0)
draw = lambda *shape: np.asarray(RNG.standard_normal(shape), np.float32)
QUERY, KEY, VALUE = draw(B, T, H, K), draw(B, S, G, K), draw(B, S, G, K)
SEES_ITSELF = np.eye(T, S, dtype=bool)  # So that no query is without a key.
masked = lambda *shape: (RNG.random(shape) < 0.6) | SEES_ITSELF
numbers = lambda *values: np.array(values, np.int32)

# What both take: jax.nn is right where every query has a key.
SHARED = {
    "scale": {"scale": 0.5},
    "bias [b h t s]": {"bias": draw(B, H, T, S)},
    "bias [1 1 t s]": {"bias": draw(1, 1, T, S)},
    "bias [b h 1 s]": {"bias": draw(B, H, 1, S)},
    "mask [b h t s]": {"mask": masked(B, H, T, S)},
    "mask and bias": {"mask": masked(1, 1, T, S), "bias": draw(1, H, T, S)},
    "causal": {"is_causal": True},
    "window": {"local_window_size": (2, 1)},
    "causal window": {"is_causal": True, "local_window_size": (2, 0)},
    "causal, key lengths, bias": {
        "is_causal": True,
        "key_value_seq_lengths": numbers(7, 2),
        "bias": draw(B, H, T, S),
    },
}


def both(inputs, **options):
    """What jattn and what jax.nn returns, from one compiled function."""
    arrays = {n: x for n, x in options.items() if hasattr(x, "shape")}
    others = {n: x for n, x in options.items() if n not in arrays}

    def run(inputs, arrays):
        ours = attention(*inputs, **arrays, **others)
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            return ours, jax.nn.dot_product_attention(*inputs, **arrays, **others)

    return jax.jit(run)(inputs, arrays)


@pytest.mark.parametrize("what", SHARED)
def test_V1_jax_nn_attends_alike(what):
    """And gives the same log-sum-exp."""
    ours, other = both((QUERY, KEY, VALUE), **SHARED[what], return_residual=True)
    assert ours[0].dtype == ours[1].dtype == np.float32
    testing.assert_close(ours, other, 2e-6, what)


@pytest.mark.parametrize(("groups", "leading"), [(H, 0), (1, 1)])
def test_V1_jax_nn_attends_alike_with_other_heads_and_without_a_batch(groups, leading):
    key, value = (np.repeat(x[:, :, :1], groups, 2) for x in (KEY, VALUE))
    inputs = (QUERY, key, value) if leading else (QUERY[0], key[0], value[0])
    ours, other = both(inputs, is_causal=True, return_residual=bool(groups == 1))
    testing.assert_close(ours, other, 2e-6)


def test_V1_jax_nn_pads_queries_alike_where_there_are_queries():
    """What it gives for the padding itself is not this contract's zero."""
    options = {"query_seq_lengths": numbers(2, 4), "key_value_seq_lengths": numbers(7, 3)}
    ours, other = both((QUERY, KEY, VALUE), **options)
    for element, length in enumerate((2, 4)):
        testing.assert_close(ours[element, :length], other[element, :length], 2e-6)
        assert not np.asarray(ours)[element, length:].any()


def test_the_arguments_are_those_of_jax_nn_and_more():
    """Positional ones in the same order, and every name of theirs is one of ours."""
    ours, other = (
        inspect.signature(f).parameters
        for f in (jattn.dot_product_attention, jax.nn.dot_product_attention)
    )
    positional = lambda parameters: [
        n for n, p in parameters.items() if p.kind is not p.KEYWORD_ONLY
    ]
    assert positional(ours) == positional(other)
    assert set(other) <= set(ours)
    assert set(ours) <= set(inspect.signature(oracle).parameters)


ids: Any = np.array  # Arrays of NumPy's serve as JAX's.
MASKS = {
    "window": masks.window(1, None) & masks.lengths(5),
    "prefix": masks.prefix(2) | masks.causal(),
    "segments": masks.segments(ids([0, 0, 1, 1, 3]), ids([0, 1, 1, 2, 2, 3, 0])),
    "dense": masks.dense(ids(SEES_ITSELF)) | masks.global_tokens(1),
}


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("default", "segments"),
        ("default", "dense"),
        ("banded", "window"),
        ("banded", "segments"),
        ("grouped", "prefix"),
        ("grouped", "segments"),
        ("grouped", "dense"),
        ("narrowed", "segments"),
    ],
)
def test_M3_a_mask_of_positions_is_its_array(path, name):
    mask = MASKS[name]
    run = lambda *inputs: PATHS[path](*inputs, mask=mask, return_residual=True)
    by_rule = jax.jit(run)(QUERY, KEY, VALUE)
    expected, _ = oracle(
        *(x.astype(np.float64) for x in (QUERY, KEY, VALUE)),
        mask=np.asarray(mask.dense(T, S)),
        return_residual=True,
    )
    finite = lambda result: [np.nan_to_num(x, neginf=-50.0) for x in result]
    testing.assert_close(finite(by_rule), finite(expected), 2e-6)


def test_G1_an_array_so_large_that_its_readers_are_found_in_blocks():
    """Two blocks of queries that overlap, with queries and keys that read and are read by none."""
    t, s = 1511, 1301
    rng = np.random.default_rng(1)
    query, key, value = (rng.standard_normal((n, 1, 3)) for n in (t, s, s))
    mask = rng.random((t, s)) < 0.3
    mask[::7], mask[:, ::11] = False, False
    key[::11], query[::7] = np.nan, np.nan
    run = jax.jit(functools.partial(attention, planner=engine.chunked))
    output = np.asarray(run(query, key, value, mask=mask))
    scores = np.where(
        mask, np.nan_to_num(query[:, 0]) @ np.nan_to_num(key[:, 0]).T / 3**0.5, -np.inf
    )
    reads = mask.any(1)
    exponentials = np.exp(scores[reads] - scores[reads].max(1, keepdims=True))
    wanted = exponentials / exponentials.sum(1, keepdims=True) @ value[:, 0]
    testing.assert_close(output[reads, 0], wanted, 1e-13)
    assert not output[~reads].any()


def test_M3_masks_of_positions_batch_under_vmap():
    run = lambda query, length, offset: attention(
        query, KEY[0], VALUE[0], mask=masks.causal(offset) & masks.lengths(length)
    )
    ends, offsets = np.array([3, 6]), np.array([0, 2])
    mapped = jax.jit(jax.vmap(run))(QUERY, ends, offsets)
    inputs = [np.stack([x[0]] * 2) for x in (KEY, VALUE)]
    exact = [x.astype(np.float64) for x in (QUERY, *inputs)]
    options = {"is_causal": True, "query_offset": offsets, "key_value_seq_lengths": ends}
    testing.assert_close(mapped, oracle(*exact, **options)[0], 2e-6)


WRONG = {
    "query": ({"query": QUERY[0, 0]}, "query has shape (6, 11)"),
    "key's features": ({"key": KEY[..., :5]}, "key has shape (2, 7, 3, 5)"),
    "key's batch": ({"key": KEY[:1]}, "key has shape (1, 7, 3, 11)"),
    "value's keys": ({"value": VALUE[:, :4]}, "value has shape (2, 4, 3, 11)"),
    "value's heads": ({"value": VALUE[:, :, :1]}, "value has shape (2, 7, 1, 11)"),
    "heads": ({"key": KEY[:, :, [0, 1, 2, 0]], "value": VALUE[:, :, [0, 1, 2, 0]]}, "6 heads"),
    "bias": ({"bias": draw(1, H, T, S - 1)}, "bias has shape (1, 6, 5, 6)"),
    "boolean bias": ({"bias": np.ones((T, S), bool)}, "bias has dtype bool"),
    "mask": ({"mask": np.ones((3, 1, T, S), bool)}, "mask has shape (3, 1, 5, 7)"),
    "float mask": ({"mask": draw(T, S)}, "mask has dtype float32, expected bool"),
    "integer query": ({"query": np.ones((B, T, H, K), int)}, "query has dtype int64"),
    "sinks": ({"sinks": draw(G)}, "sinks has shape (3,)"),
    "key lengths": ({"key_value_seq_lengths": numbers(3, S + 1)}, "key_value_seq_lengths"),
    "query lengths": ({"query_seq_lengths": numbers(-1, 2)}, "query_seq_lengths"),
    "lengths of another batch": ({"query_seq_lengths": numbers(1, 2, 3)}, "query_seq_lengths"),
    "offsets of another batch": ({"query_offset": numbers(1, 2, 3)}, "query_offset"),
    "window": ({"local_window_size": (-1, 2)}, "local_window_size is (-1, 2)"),
    "chunk": ({"chunk_size": 0}, "chunk_size is 0"),
    "cap": ({"logits_soft_cap": -1.0}, "logits_soft_cap is -1.0"),
    "cap without an end": (
        {"logits_soft_cap": np.inf},
        "logits_soft_cap is inf, expected a finite",
    ),
    "cap that is no number": ({"logits_soft_cap": np.nan}, "logits_soft_cap is nan"),
    "cap past float32": ({"logits_soft_cap": 1e39}, "a finite number above 0 in float32"),
    "cap below float32": ({"logits_soft_cap": 1e-39}, "a finite number above 0 in float32"),
    "scale past float32": (
        {"scale": -1e39},
        "scale is -1e+39, expected a finite number in float32",
    ),
    "scale that is no number": ({"scale": np.float32(np.nan)}, "scale is nan"),
    "rate that is no number": (
        {"dropout_rate": np.nan, "dropout_rng": jax.random.key(0)},
        "dropout_rate is nan",
    ),
    "masked array": ({"query": np.ma.masked_array(QUERY)}, "query is a masked array"),
    "masked bias": ({"bias": np.ma.masked_array(draw(T, S))}, "bias is a masked array of NumPy"),
    "byte order": (
        {"key": KEY.astype(">f4")},
        "key has dtype >f4, expected the byte order of this machine",
    ),
    "byte order of bias": ({"bias": draw(T, S).astype(">f4")}, "bias has dtype >f4"),
    "128 bits": ({"query": QUERY.astype(np.longdouble)}, "of at most 64 bits"),
    "a shape": (
        {"key": jax.ShapeDtypeStruct(KEY.shape, KEY.dtype)},
        "key is a ShapeDtypeStruct, expected an array with values",
    ),
    "dropout": ({"dropout_rate": 1.5, "dropout_rng": jax.random.key(0)}, "dropout_rate is 1.5"),
    "no rng": ({"dropout_rate": 0.5}, "dropout_rng"),
    "implementation": ({"implementation": "magic"}, "implementation is 'magic'"),
    "text": ({"query": "abc"}, "query is a str, expected an array"),
    "nothing": ({"value": None}, "value is a NoneType, expected an array"),
    "8 bits": ({"query": jnp.ones((B, T, H, K), "float8_e5m2")}, "of at least 16 bits"),
    "no heads": ({"query": QUERY[:, :, :0]}, "query has no heads (h)"),
    "mask as a function": ({"mask": lambda query, key: query > key}, "mask is a function"),
    "bias as a mask": ({"bias": masks.causal()}, "bias is a Mask, expected an array"),
    "integer sinks": ({"sinks": np.zeros(H, int)}, "sinks has dtype int64"),
    "a length of parts": (
        {"key_value_seq_lengths": 3.0},
        "key_value_seq_lengths has dtype float64",
    ),
    "an offset of parts": ({"query_offset": 1.0}, "query_offset has dtype float64"),
    "no offset": ({"query_offset": None}, "query_offset is None"),
    "three sides": ({"local_window_size": (1, 2, 3)}, "local_window_size is (1, 2, 3)"),
    "half a token": ({"local_window_size": 1.5}, "local_window_size is 1.5"),
    "causal": ({"is_causal": "yes"}, "is_causal is 'yes', expected True or False"),
    "text as scale": ({"scale": "a"}, "scale is 'a', expected a number"),
    "scales": ({"scale": np.ones(H)}, "scale has shape (6,)"),
    "text as cap": ({"logits_soft_cap": "a"}, "logits_soft_cap is 'a', expected a number"),
    "half a query": ({"chunk_size": 2.5}, "chunk_size is 2.5, expected an integer"),
    "planner": ({"planner": "dense"}, "planner is 'dense', expected a function"),
    "seed": ({"dropout_rate": 0.5, "dropout_rng": 0}, "dropout_rng is int, expected one key"),
    "keys": ({"dropout_rate": 0.5, "dropout_rng": jax.random.split(jax.random.key(0))}, "one key"),
    "mask for other sizes": ({"mask": masks.dense(ids(np.ones((T, T), bool)))}, "mask has s=5"),
}


@pytest.mark.parametrize("what", WRONG)
def test_bad_input_is_refused_by_name(what):
    changed, message = WRONG[what]
    inputs = {"query": QUERY, "key": KEY, "value": VALUE} | changed
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        attention(**inputs)
    assert str(caught.value).startswith(("dot_product_attention: ", "mask has ", "masks."))


def test_the_type_of_a_result_follows_from_what_is_asked_for():
    """Checked by pyright; when it runs, only the number of results is."""
    query, key, value = map(jnp.asarray, (QUERY, KEY, VALUE))
    attend = jattn.dot_product_attention
    output = attend(query, key, value, is_causal=True)
    assert_type(output, jax.Array)
    with_lse = attend(query, key, value, return_residual=True)
    assert_type(with_lse, tuple[jax.Array, jax.Array])
    with_weights = attend(query, key, value, return_weights=True, sinks=jnp.zeros(H, "float32"))
    assert_type(with_weights, tuple[jax.Array, jax.Array])
    with_both = attend(query, key, value, return_residual=True, return_weights=True)
    assert_type(with_both, tuple[jax.Array, jax.Array, jax.Array])
    assert output.shape == with_lse[0].shape
    assert [len(x) for x in (with_lse, with_weights, with_both)] == [2, 2, 3]


def test_arrays_of_other_libraries_are_refused_by_name():
    unreadable: Any = type("Tensor", (), {"dtype": "foreign.bool", "shape": (T, S)})()
    with pytest.raises(ValueError, match=r"^dot_product_attention: mask "):
        attention(QUERY, KEY, VALUE, mask=unreadable)


def test_the_least_and_the_largest_cap_are_computed_with():
    for cap in (1e-30, 1e30):
        assert np.isfinite(attention(QUERY, KEY, VALUE, logits_soft_cap=cap)).all()


def test_a_plan_takes_the_options_of_the_call_and_no_others():
    whole = engine.plan(QUERY, KEY, VALUE, is_causal=True, return_residual=True, chunk_size=2)
    assert whole.name != "chunked"
    assert engine.plan(QUERY, KEY, VALUE, return_weights=True, chunk_size=2).name == "chunked"
    wrong: tuple[tuple[dict[str, Any], str], ...] = (
        ({"rows": np.arange(T)}, "plan: rows is unknown, expected options bias"),
        ({"sliding_window": 3}, "plan: sliding_window is unknown"),
        ({"implementation": "other"}, "plan: implementation is 'other', expected 'xla'"),
        ({"return_weights": 2}, "plan: return_weights is 2, expected True or False"),
        ({"planner": "dense"}, "plan: planner is 'dense', expected a function"),
    )
    for options, message in wrong:
        with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
            engine.plan(QUERY, KEY, VALUE, **options)


@pytest.mark.parametrize(
    ("name", "value"),
    [("is_causal", True), ("logits_soft_cap", 5.0), ("dropout_rate", 0.5), ("chunk_size", 2)],
)
def test_what_decides_the_plan_may_not_be_traced(name, value):
    run = lambda value: attention(QUERY, KEY, VALUE, **{name: value})
    with pytest.raises(ValueError, match=f"^dot_product_attention: {name} is traced, expected "):
        jax.eval_shape(run, value)


def test_V1_jax_nn_takes_a_batch_of_one_beside_arrays_without_a_batch():
    """Where queries have no batch axis, biases, masks and lengths may have one, and be lists."""
    inputs = QUERY[0], KEY[0], VALUE[0]
    options = {"bias": draw(1, H, T, S), "mask": masked(1, 1, T, S)}
    options["key_value_seq_lengths"] = numbers(S)
    ours, other = both(inputs, **options)
    testing.assert_close(ours, other, 2e-6)
    listed = {name: array.tolist() for name, array in options.items()}
    testing.assert_close(jax.jit(lambda: attention(*inputs, **listed))(), other, 2e-6)


def test_a_window_may_be_traced_and_may_reach_past_everything():
    run = lambda size: jax.jit(
        lambda *sides: attention(QUERY, KEY, VALUE, local_window_size=sides)
    )(*size)
    fixed = lambda size: attention(QUERY, KEY, VALUE, local_window_size=size)
    testing.assert_close(run((2, 1)), jax.jit(lambda: fixed((2, 1)))(), 1e-6)
    far = jax.jit(lambda: attention(QUERY, KEY, VALUE, is_causal=True, query_offset=2**31 - 1))
    testing.assert_close(jax.jit(lambda: fixed((2**40, 2**40)))(), far(), 1e-6)
    with jax.enable_x64(False):  # So that positions are int32, and could overflow.
        most = np.int32(2**31 - 1)

        @jax.jit
        def placed(offset, right):
            side = {"local_window_size": (None, right)}
            known = attention(QUERY, KEY, VALUE, is_causal=True, query_offset=np.array([2**40] * B))
            return known, attention(QUERY, KEY, VALUE, query_offset=offset, **side)

        everything = jax.jit(lambda: attention(QUERY, KEY, VALUE))()
        for found in (run((most, most)), *placed(numbers(most, most - 1), most)):
            testing.assert_close(found, everything, 1e-6)


def custom_rules(root):
    """Names of files with a derivative that forward mode cannot pass, as the syntax trees say."""
    forbidden = {"custom_vjp", "custom_gradient", "defvjp", "pure_callback"}
    for path in sorted(root.glob("**/*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = {getattr(node, "attr", None), getattr(node, "id", None)}
            names |= {getattr(node, "name", None)}
            if names & forbidden:
                yield f"{path.relative_to(root)}: {names & forbidden}"


def test_T2_no_backward_pass_is_written_by_hand(tmp_path):
    assert list(custom_rules(ROOT / "jattn")) == []
    # Guards the guard.
    (tmp_path / "a.py").write_text("from jax import custom_vjp as rule\n")
    (tmp_path / "b.py").write_text("import jax\nf = jax.custom_vjp(abs)\n")
    assert len(list(custom_rules(tmp_path))) == 2
