"""Attention with functions of the caller: values and every derivative against the oracle."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jattn
from jattn import engine, masks, testing
from jattn.oracle import normalizers
from jattn.oracle.engine.flex import flex_attention as of_oracle
from jattn.testing.trees import draw_like, like

B, T, S, H, G, K, V = 2, 7, 11, 6, 3, 5, 2
RNG: Any = np.random.default_rng(0)
QUERY, KEY = RNG.standard_normal((B, T, H, K)), RNG.standard_normal((B, S, G, K))
VALUE = RNG.standard_normal((B, S, G, V))


def slope(scores, at, params):
    return scores - params[0][at.head] * abs(at.query - at.key)


def slope_row(scores, b, h, q, keys, slopes):
    def pullback(d):
        d_slopes = np.zeros(slopes.shape, d.dtype)
        d_slopes[h] = -d @ abs(q - keys)
        return d, d_slopes

    return scores - slopes[h] * abs(q - keys), pullback


def capped(scores, at, params):
    return params[0] * jnp.tanh(scores / params[0])


def capped_row(scores, b, h, q, keys, cap):
    bounded = np.tanh(scores / cap)
    slope = 1 - bounded**2
    return cap * bounded, lambda d: (d * slope, d @ (bounded - slope * scores / cap))


def looked_up(scores, at, params):
    return scores * params[0][at.batch] + params[1][at.head, at.key - at.query + 10]


def looked_up_row(scores, b, h, q, keys, factors, table):
    def pullback(d):
        d_factors, d_table = np.zeros(factors.shape, d.dtype), np.zeros(table.shape, d.dtype)
        d_factors[b] = d @ scores
        d_table[h, keys - q + 10] += d
        return d * factors[b], d_factors, d_table

    return scores * factors[b] + table[h, keys - q + 10], pullback


def hidden(scores, at, params):
    return jnp.where(at.key <= at.query - 2 * (at.head % 2), scores + params[0], -jnp.inf)


def hidden_row(scores, b, h, q, keys, shift):
    seen = keys <= q - 2 * (h % 2)
    return np.where(seen, scores + shift, -np.inf), lambda d: (d * seen, (d * seen).sum())


def gate(weights, at, params):
    return weights * params[0][at.head, at.key]


def gate_row(weights, b, h, q, keys, gates):
    def pullback(d):
        d_gates = np.zeros(gates.shape, d.dtype)
        d_gates[h, keys] = d * weights
        return d * gates[h, keys], d_gates

    return weights * gates[h, keys], pullback


def gate_of_three(weights, at, params):
    return gate(weights, at, params[2:])


def of_first_two(row):
    """The function of a row with one more parameter, which it does not read."""

    def function(scores, b, h, q, keys, first, second, third):
        found, pullback = row(scores, b, h, q, keys, first, second)
        return found, lambda d: (*pullback(d), np.zeros(third.shape, d.dtype))

    return function


def of_third(row):
    def function(weights, b, h, q, keys, first, second, third):
        found, pullback = row(weights, b, h, q, keys, third)

        def wider(d):
            d_weights, d_third = pullback(d)
            nothing = (np.zeros(x.shape, d.dtype) for x in (first, second))
            return d_weights, *nothing, d_third

        return found, wider

    return function


flex: Any = jattn.flex_attention
draw = lambda *shape: RNG.uniform(0.5, 1.5, shape)
# The functions, those of the oracle, the parameters, and the options of both.
CASES = {
    "slope": ({"score": slope}, {"score": slope_row}, (draw(H),), {}),
    "cap": ({"score": capped}, {"score": capped_row}, (draw(),), {}),
    "table": ({"score": looked_up}, {"score": looked_up_row}, (draw(B), draw(H, 30)), {}),
    "hidden": ({"score": hidden}, {"score": hidden_row}, (draw(),), {}),
    "score and weight": (
        {"score": looked_up, "weight": gate_of_three},
        {"score": of_first_two(looked_up_row), "weight": of_third(gate_row)},
        (draw(B), draw(H, 30), draw(H, S)),
        {},
    ),
    "gate": ({"weight": gate}, {"weight": gate_row}, (draw(H, S),), {}),
    "sparsemax": (
        {"score": slope, "normalizer": jattn.sparsemax},
        {"score": slope_row, "normalizer": normalizers.sparsemax},
        (draw(H),),
        {},
    ),
    "gated sigmoid": (
        {"weight": gate, "normalizer": jattn.sigmoid},
        {"weight": gate_row, "normalizer": normalizers.sigmoid},
        (draw(H, S),),
        {},
    ),
}
# These are compiled in all orders, on a plan of many blocks; the others once.
WHOLE = ("score and weight",)
CAUSAL = masks.causal(2) & masks.window(5, None, 2)
PLANS: dict[str, dict[str, Any]] = {
    "at once": {},
    "causal, in blocks": {"mask": CAUSAL, "query_offset": 2, "chunk_size": 2},
    "as seen": {
        "mask": masks.lengths(jnp.array(8)), "planner": engine.narrowed, "chunk_size": 3,
    },
}  # fmt: skip


def both(name, plan):
    ours, theirs, params, options = CASES[name]
    given = PLANS[plan]

    returning = ("weights",) if name in WHOLE else ()

    def run(query, key, value, *params):
        found = flex(
            *(query, key, value), params=params, returning=returning, **ours, **options, **given
        )
        return tuple(found) if returning else found

    mask = given.get("mask")
    mask = None if mask is None else np.asarray(mask.dense(T, S))
    offset = given.get("query_offset", 0)

    def expected(*inputs):
        found, pullback = of_oracle(*inputs, mask=mask, query_offset=offset, **theirs, **options)
        if returning:
            return found, pullback
        return found[0], lambda cotangent: pullback((cotangent, np.zeros(found[1].shape)))

    return run, expected, (QUERY, KEY, VALUE, *params)


@pytest.mark.parametrize("name", WHOLE)
def test_second_derivatives_and_float32_are_those_of_the_oracle(name):
    run, expected, inputs = both(name, "causal, in blocks")
    findings = [
        *testing.second_order(run, expected, inputs, tolerance=1e-11),
        *testing.precision(run, expected, inputs, dtype="float32", conditioning=2),
    ]
    for finding in findings:
        assert finding.passed, str(finding)


@pytest.mark.parametrize(
    ("name", "plan"), [(n, p) for n in CASES for p in PLANS if (n in WHOLE) != ("blocks" in p)]
)
def test_values_and_first_derivatives_are_those_of_the_oracle(name, plan):
    run, expected, inputs = both(name, plan)
    wanted, pullback = expected(*inputs)
    cotangent = draw_like(wanted, 1)

    def value_and_gradient(*inputs):
        output, pullback = jax.vjp(run, *inputs)
        return output, pullback(like(output, cotangent))

    output, gradient = jax.jit(value_and_gradient)(*inputs)
    testing.assert_close(output, wanted, 1e-12)
    testing.assert_close(gradient, pullback(cotangent), 1e-12)


@pytest.mark.parametrize("name", CASES)
def test_G1_the_pullback_of_the_oracle_is_its_complex_step(name):
    _, expected, inputs = both(name, "causal, in blocks")
    output, pullback = expected(*inputs)
    cotangent = draw_like(output, 1)
    wanted = testing.complex_step(expected, inputs, cotangent)
    testing.assert_close(pullback(cotangent), wanted, 1e-12)
