"""Statistics and rows of attention weights against the whole matrix of them."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiled import assert_same_bits

import jattn
from jattn import testing
from jattn.testing.properties import ROUNDING
from jattn.testing.trees import draw_like

B, T, S, H, G, K = 2, 7, 5, 6, 2, 3
SINKS: Any = np.array([0.5, -1.0, 2.0, 0.0, -3.0, 1.0])
QUERY, KEY, BIAS = draw_like(
    (np.zeros((B, T, H, K)), np.zeros((B, S, G, K)), np.zeros((B, H, T, S))), 0
)
TIME, PLACE = np.arange(T)[:, None], np.arange(S)
HIDDEN = np.random.default_rng(1).random((B, H, T, S)) < 0.7
HIDDEN[:, :, 3] = False
BARRED = np.where(np.arange(S) == 2, -np.inf, BIAS)

# Options, the pairs that they allow, and the rest of what they do.
CASES: dict[str, tuple[dict[str, Any], Any]] = {
    "plain": ({}, PLACE >= 0),
    "mask": ({"mask": HIDDEN}, HIDDEN),
    "mask of one row": ({"mask": HIDDEN[:, :, :1]}, HIDDEN[:, :, :1]),
    "pattern": ({"mask": jattn.masks.window(1, 2)}, (PLACE >= TIME - 1) & (PLACE <= TIME + 2)),
    "causal, offset": ({"is_causal": True, "query_offset": -2}, PLACE <= TIME - 2),
    "window": (
        {"local_window_size": (2, 1), "query_offset": 1},
        (PLACE >= TIME - 1) & (PLACE <= TIME + 2),
    ),
    "window by example": (
        {"local_window_size": 1, "query_offset": np.array([0, 2])},
        np.stack([abs(PLACE - TIME) <= 1, abs(PLACE - TIME - 2) <= 1])[:, None],
    ),
    "lengths": (
        {"query_seq_lengths": np.array([4, 7]), "key_value_seq_lengths": np.array([5, 2])},
        np.stack([(TIME < 4) & (PLACE < 5), (TIME < 7) & (PLACE < 2)])[:, None],
    ),
    "bias, cap, sinks, scale": (
        {"bias": BARRED, "logits_soft_cap": 0.8, "sinks": SINKS, "scale": 0.9, "is_causal": True},
        (PLACE <= TIME) & (PLACE != 2),
    ),
}


def weights(query, key, allowed, bias=None, logits_soft_cap=None, sinks=None, scale=K**-0.5, **_):
    """All of them, a row at a time; masked keys are left out."""
    out = np.zeros((B, H, T, S))
    allowed = np.broadcast_to(allowed, out.shape)
    for b, h, t in np.ndindex(B, H, T):
        kept = np.flatnonzero(allowed[b, h, t])
        scores = key[b, kept, h // (H // G)] @ query[b, t, h] * scale
        scores = (
            scores
            if logits_soft_cap is None
            else logits_soft_cap * np.tanh(scores / logits_soft_cap)
        )
        scores = scores if bias is None else scores + bias[b, h, t, kept]
        rest = 0.0 if sinks is None else np.exp(sinks[h])
        out[b, h, t, kept] = np.exp(scores) / (np.exp(scores).sum() + rest) if len(kept) else 0.0
    return out


@pytest.mark.parametrize("name", CASES)
def test_streamed_statistics_are_those_of_the_weights(name):
    options, allowed = CASES[name]
    wanted = weights(QUERY, KEY, allowed, **options)
    logs = np.log(np.where(wanted > 0.0, wanted, 1.0))
    expected = (
        np.swapaxes(-(wanted * logs).sum(-1), 1, 2),
        np.swapaxes(wanted.max(-1), 1, 2),
        wanted.sum(2),
    )

    @jax.jit
    def run(query, key):
        ways = [jattn.attention_statistics(query, key, chunk_size=c, **options) for c in (None, 3)]
        return ways, jattn.attention_rows(query, key, jnp.array([5, 0, 3]), **options)

    ways, rows = run(QUERY, KEY)
    for found in ways:
        testing.assert_close(tuple(found), expected, 1e-12)
    testing.assert_close(rows, wanted[:, :, [5, 0, 3]], 1e-12)


def test_G2_gradients_of_streamed_statistics():
    options: Any = CASES["bias, cap, sinks, scale"][0] | {
        "bias": np.where(PLACE == 2, -np.inf, BIAS)
    }

    def whole(query, key):
        rows = jattn.attention_rows(query, key, jnp.arange(T), **options)
        logs = jnp.log(jnp.where(rows > 0.0, rows, 1.0))
        return (
            jnp.swapaxes(-(rows * logs).sum(-1), 1, 2),
            jnp.swapaxes(rows.max(-1), 1, 2),
            rows.sum(2),
        )

    streamed = lambda *arrays: tuple(jattn.attention_statistics(*arrays, chunk_size=3, **options))
    cotangent = draw_like(jax.eval_shape(whole, QUERY, KEY), 2)
    gradient = lambda function: jax.jit(lambda *arrays: jax.vjp(function, *arrays)[1](cotangent))
    testing.assert_close(gradient(streamed)(QUERY, KEY), gradient(whole)(QUERY, KEY), 1e-12)


def test_C1_what_no_query_may_read_reaches_no_statistic():
    lengths = {"query_seq_lengths": np.array([4, 7]), "key_value_seq_lengths": np.array([5, 2])}

    @jax.jit
    def run(query, key):
        function = functools.partial(jattn.attention_statistics, chunk_size=3, **lengths)
        output, pullback = jax.vjp(lambda *arrays: tuple(function(*arrays)), query, key)
        return output, pullback(jax.tree.map(jnp.ones_like, output))

    query, key = QUERY.copy(), KEY.copy()
    query[0, 4:] = np.nan
    key[1, 2:] = np.nan
    assert_same_bits(run(query, key), run(QUERY, KEY))


def test_T2_D1_leading_axes_and_dtypes():
    query, key = QUERY.astype("float32"), KEY.astype("float32")
    run = jax.jit(functools.partial(jattn.attention_statistics, is_causal=True))
    once = run(query, key, bias=BIAS)
    assert {x.dtype.name for x in once} == {"float32"}
    again = run(query[None], key[None], bias=BIAS[None])
    assert_same_bits(jax.tree.map(lambda x: x[0], again), once)
    alone = run(query[1], key[1], bias=BIAS[1])
    wanted = jax.tree.map(lambda x: x[1], once)
    testing.assert_close(alone, wanted, 4 * ROUNDING["float32"])


def test_wrong_arguments_raise():
    statistics: Any = jattn.attention_statistics
    rows: Any = jattn.attention_rows
    for message, wrong in (
        ("key has shape", lambda: statistics(QUERY, KEY[:1])),
        ("5 heads do not divide", lambda: statistics(QUERY[:, :, :5], KEY)),
        ("bias has shape", lambda: statistics(QUERY, KEY, bias=BIAS[:, :, :, :2])),
        ("pass an additive mask as bias", lambda: statistics(QUERY, KEY, mask=BIAS)),
        ("mask has t=5", lambda: statistics(QUERY, KEY, mask=jattn.masks.dense(HIDDEN[0, 0].T))),
        ("rows is", lambda: rows(QUERY, KEY, jnp.array([7]))),
        ("rows is", lambda: rows(QUERY, KEY, np.array([-1]))),
        ("rows is", lambda: rows(QUERY, KEY, np.array([[0]]))),
        ("rows has dtype bool", lambda: rows(QUERY, KEY, np.ones(T, bool))),
        ("rows has dtype float64", lambda: rows(QUERY, KEY, np.array([0.5]))),
        ("return_weights is unknown", lambda: statistics(QUERY, KEY, return_weights=True)),
        ("rows is unknown", lambda: statistics(QUERY, KEY, rows=np.arange(T))),
        (
            "dropout_rate is unknown, expected options bias",
            lambda: statistics(QUERY, KEY, dropout_rate=0.5, dropout_rng=jax.random.key(0)),
        ),
        (
            "key is a ShapeDtypeStruct",
            lambda: statistics(QUERY, jax.ShapeDtypeStruct(KEY.shape, "f8")),
        ),
    ):
        with pytest.raises(ValueError, match=f"^attention_(statistics|rows): .*{message}"):
            wrong()


def test_rows_of_any_integer_dtype():
    """Positions are counted in a wide one: 200 + 60 is more than eight bits hold."""
    rng = np.random.default_rng(3)
    query, key = rng.standard_normal((251, 1, 3)), rng.standard_normal((311, 1, 3))
    options: Any = {"is_causal": True, "query_offset": 60}
    attend: Any = functools.partial(jattn.attention_rows, query, key, **options)
    found = attend(np.array([200, 3], np.uint8))
    testing.assert_close(found, attend(np.array([200, 3])), 0.0)
    assert np.asarray(found != 0.0).sum(-1).tolist() == [[261, 64]]
    assert attend([]).shape == (1, 0, 311)


def test_D1_sums_over_queries_are_not_in_half_precision():
    """More than the largest float16 in all: every query attends to the one key."""
    query, key = jnp.ones((70001, 1, 1), "float16"), jnp.ones((1, 1, 1), "float16")
    found = jax.jit(jattn.attention_statistics)(query, key)
    assert [x.dtype.name for x in found] == ["float16", "float16", "float32"]
    assert found.column_sums.item() == 70001.0
