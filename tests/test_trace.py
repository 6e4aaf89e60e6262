"""`jattn.trace`: the values are the mechanism's own, and the costs follow the stated rule."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.ad_checkpoint import checkpoint_name

import jattn
from jattn.catalog import MECHANISMS
from jattn.tracing import trace
from jattn.tracing.costs import cost

NAMING = [
    row
    for row in MECHANISMS
    if row.family in ("score", "local", "multi-head") and "trace" not in row.exceptions
]
T, S, Q, K, V, P = 3, 5, 11, 7, 13, 2
STEPS = ("encode", "score", "weight", "decode")


def draw(*shape):
    return jnp.asarray(np.random.default_rng(0).standard_normal(shape), jnp.float32)


def additive_inputs(bias=None):
    params = jattn.AdditiveParams(draw(P, Q), draw(P, K), draw(P), bias)
    return params, draw(T, Q), draw(S, K), draw(S, V)


@pytest.mark.parametrize("row", NAMING, ids=lambda row: row.name)
def test_the_output_is_the_mechanisms_bit_for_bit(row):
    call = max(row.calls(), key=lambda call: len(call.case.options))
    inputs = call.inputs()
    traced = trace(call.function, *inputs)
    for actual, expected in zip(traced.output, call.function(*inputs), strict=True):
        np.testing.assert_array_equal(actual, expected)
        assert actual.dtype == expected.dtype
    assert {value.step for value in traced.intermediates} <= set(STEPS)
    steps = [value.step for value in traced.intermediates]
    assert [step for step in STEPS if step in steps][-3:] == ["score", "weight", "decode"]


def test_the_named_values_are_the_mechanisms():
    params, query, key, value = additive_inputs()
    mask = np.tri(T, S, dtype=bool)
    options = {"mask": mask, "bias": draw(T, S), "normalizer": jattn.softmax}
    traced = trace(jattn.additive_attention, params, query, key, value, **options)
    context, weights = jattn.additive_attention(params, query, key, value, **options)
    np.testing.assert_array_equal(traced["weights"].value, weights)
    np.testing.assert_array_equal(traced["decode/context"].value, context)
    biased = (traced["scores"].value + options["bias"])[mask]
    np.testing.assert_allclose(traced["biased"].value[mask], biased, rtol=1e-6)
    hidden = np.tanh(traced["query_part"].value[:, None] + traced["key_part"].value[None])
    np.testing.assert_allclose(traced["hidden"].value, hidden, rtol=1e-6)


def test_operations_are_those_counted_by_hand():
    traced = trace(jattn.additive_attention, *additive_inputs())
    counted = {value.name: value.operations for value in traced.intermediates}
    assert counted == {
        "query_part": 2 * T * P * Q,
        "key_part": 2 * S * P * K,
        "hidden": 2 * T * S * P,  # A sum and a tanh.
        "scores": 2 * T * S * P,
        "weights": counted["weights"],
        "context": 2 * T * S * V,
    }
    # Comparison with the lowest number, maximum, difference, exponential, sum and quotient of a
    # row, and what guards an empty one.
    assert 6 * T * S <= counted["weights"] <= 6 * T * S + 4 * T
    assert traced.operations == sum(counted.values())
    # The product reads the weights, reads the values and writes the context.
    assert traced["context"].bytes == 4 * (T * S + S * V + T * V)


def test_a_bias_of_the_parameters_counts_where_it_is_added():
    bare = trace(jattn.additive_attention, *additive_inputs())
    biased = trace(jattn.additive_attention, *additive_inputs(draw(P)))
    assert biased["query_part"].operations == bare["query_part"].operations + T * P
    assert biased.operations == bare.operations + T * P


def test_vmap_puts_its_axes_first():
    def batched(query, key, value):
        return jax.vmap(jattn.dot_attention)(query, key, value)

    traced = trace(batched, draw(4, T, K), draw(4, S, K), draw(4, S, V))
    assert [value.shape for value in traced.intermediates] == [(4, T, S), (4, T, S), (4, T, V)]
    single = trace(jattn.dot_attention, draw(T, K), draw(S, K), draw(S, V))
    assert traced["scores"].operations == 4 * single["scores"].operations


def test_heads_are_shown_by_group():
    weights = draw(6, 4, Q), draw(2, 4, K), draw(2, 4, K), draw(Q, 6, 4)
    params = jattn.MultiHeadParams(*weights)
    traced = trace(jattn.multi_head_attention, params, draw(T, Q), draw(S, K), draw(S, K))
    assert traced["weights"].shape == (2, 3, T, S)
    by_head = traced["weights"].value.reshape(6, T, S)
    np.testing.assert_array_equal(by_head, traced.output.weights)


def with_jvp(function):
    wrapped = jax.custom_jvp(function)
    wrapped.defjvp(lambda primals, tangents: jax.jvp(function, primals, tangents))
    return wrapped


def with_vjp(function):
    wrapped = jax.custom_vjp(function)
    wrapped.defvjp(lambda *inputs: jax.vjp(function, *inputs), lambda pullback, d: pullback(d))
    return wrapped


@pytest.mark.parametrize("wrap", [jax.jit, jax.checkpoint, with_jvp, with_vjp, functools.partial])
def test_names_are_found_within_calls(wrap):
    def attention(query, key, value):
        return jattn.dot_attention(query, key, value)

    wrapped = wrap(attention)
    inputs = tuple(np.asarray(draw(*shape)) for shape in ((T, K), (S, K), (S, V)))
    traced, plain = trace(wrapped, *inputs), trace(jattn.dot_attention, *inputs)
    assert traced.mechanism == "attention"
    for actual, wanted in zip(traced.intermediates, plain.intermediates, strict=True):
        assert actual[:2] + actual[3:] == wanted[:2] + wanted[3:]
        np.testing.assert_array_equal(actual.value, wanted.value)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_loop_stacks_its_turns_and_counts_each(reverse):
    query, key, value = draw(T, K), draw(S, K), draw(S, V)

    def decode(query, key, value):
        def turn(total, row):
            context, _ = jattn.dot_attention(row[None], key, value)
            return total + context[0], context[0]

        return jax.lax.scan(turn, jnp.zeros(V, jnp.float32), query, reverse=reverse)

    traced = trace(decode, query, key, value)
    expected = jattn.dot_attention(query, key, value)
    assert traced["weights"].shape == (T, 1, S)
    np.testing.assert_allclose(traced["weights"].value[:, 0], expected.weights, rtol=1e-5)
    np.testing.assert_allclose(traced.output[1], expected.context, rtol=1e-5, atol=1e-6)
    assert traced["scores"].operations == T * 2 * S * K
    assert traced["context"].operations == T * (2 * S * V + V)  # And the running total.


def test_the_branch_that_runs_is_kept():
    def chosen(query, key):
        scores = jnp.einsum("tk,sk->ts", query, key)
        return jax.lax.cond(
            jnp.sum(query) > 1e9,
            lambda x: checkpoint_name(x * 2.0, "score/doubled"),
            lambda x: checkpoint_name(x + 1.0, "score/raised"),
            scores,
        )

    traced = trace(chosen, draw(T, K), draw(S, K))
    assert [value.name for value in traced.intermediates] == ["raised"]
    assert traced.operations == 2 * T * S * K + T * S + T * K + 1


def test_what_the_result_does_not_need_is_left_out():
    def weights_alone(query, key, value):
        return jattn.dot_attention(query, key, value).weights

    traced = trace(weights_alone, draw(T, K), draw(S, K), draw(S, V))
    assert [value.step for value in traced.intermediates] == ["score", "weight"]


def test_what_follows_the_last_name_counts_for_it():
    def scaled(query, key, value):
        return jattn.dot_attention(query, key, value).context * 2.0

    inputs = draw(T, K), draw(S, K), draw(S, V)
    plain = trace(jattn.dot_attention, *inputs)["context"]
    assert trace(scaled, *inputs)["context"].operations == plain.operations + T * V


def test_arguments_are_checked_as_in_a_call():
    params = jattn.LocalPredictiveParams(draw(P, Q), draw(P))
    with pytest.raises(ValueError, match="local_predictive_attention: length is 9, expected"):
        trace(
            jattn.local_predictive_attention,
            params,
            *(draw(T, Q), draw(S, Q), draw(S, V)),
            half_width=2,
            length=9,
        )


def named_in_a_while(x):
    return jax.lax.while_loop(
        lambda x: x < 3.0, lambda x: checkpoint_name(x + 1.0, "score/scores"), x
    )


def named_in_a_choice_in_a_loop(xs):
    def turn(total, x):
        named = jax.lax.cond(x > 0.0, lambda x: checkpoint_name(x, "score/scores"), lambda x: x, x)
        return total + named, None

    return jax.lax.scan(turn, xs[0], xs)[0]


def named_without_a_step(x):
    return checkpoint_name(x, "scores")


def named_after_a_decomposition(x):
    return checkpoint_name(jnp.linalg.cholesky(x), "score/scores")


REFUSED = {
    "tanh names no intermediate that its result depends on; name one": (jnp.tanh, draw(T)),
    "named_without_a_step names no intermediate": (named_without_a_step, draw(T)),
    "a value that is named within while cannot be kept": (named_in_a_while, jnp.zeros(())),
    "a value that is named within cond cannot be kept": (named_in_a_choice_in_a_loop, draw(T)),
    "no rule for the operations of cholesky": (named_after_a_decomposition, jnp.eye(3)),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_be_traced_is_refused(message):
    function, argument = REFUSED[message]
    with pytest.raises(ValueError, match=f"trace: (there is )?{message}"):
        trace(function, argument)


def test_the_table_has_a_line_for_each_value_and_a_total():
    traced = trace(jattn.dot_attention, draw(T, K), draw(S, K), draw(S, V))
    lines = str(traced).splitlines()
    assert lines[0] == "dot_attention"
    assert lines[1].split() == ["step", "intermediate", "shape", "dtype", "operations", "bytes"]
    assert [line.split()[:2] for line in lines[2:5]] == [
        ["score", "scores"],
        ["weight", "weights"],
        ["decode", "context"],
    ]
    assert lines[2].split()[2:] == ["[3,", "5]", "float32", "210", "284"]
    assert lines[5].split() == ["in", "all", str(traced.operations), f"{traced.bytes:,}"]
    assert repr(traced) == str(traced)


def test_a_name_that_is_not_there_or_not_alone_is_an_error():
    def twice(query, key, value):
        once = jattn.dot_attention(query, key, value).context
        return jattn.dot_attention(once, value, value)

    traced = trace(twice, draw(T, K), draw(S, K), draw(S, V))
    with pytest.raises(KeyError, match="twice names weights 2 times; it names score/scores"):
        traced["weights"]
    with pytest.raises(KeyError, match="twice names hidden 0 times"):
        traced["hidden"]
    assert len(traced.intermediates) == 6


COSTS = {
    "batched product": (
        lambda x, y: jnp.einsum("bij,bjk->bik", x, y),
        (draw(2, 3, 5), draw(2, 5, 7)),
        2 * 2 * 3 * 5 * 7,
    ),
    "convolution": (
        lambda x, y: jax.lax.conv(x, y, (1,), "VALID"),
        (draw(2, 3, 11), draw(7, 3, 5)),
        2 * 2 * 7 * 7 * 3 * 5,
    ),
    "exponential": (jnp.exp, (draw(3, 5),), 15),
    "quotient": (jnp.divide, (draw(3, 5), draw(3, 5)), 15),
    "sum": (lambda x: x.sum(-1), (draw(3, 5),), 15),
    "running sum": (lambda x: jnp.cumsum(x, -1), (draw(3, 5),), 15),
    "sort": (lambda x: jnp.sort(x, -1), (draw(3, 5),), 15 * 3),
    "scattered sum": (lambda x: jnp.zeros(7, x.dtype).at[:3].add(x), (draw(3),), 3),
    "transposition": (lambda x: x.T.reshape(3, 5), (draw(3, 5),), 0),
    "choice": (lambda x: jnp.where(x > 0, x, -x), (draw(3, 5),), 15 + 15),
    "integers": (lambda x: x * x, (np.arange(3),), 0),
    "loop": (lambda x: jax.lax.scan(lambda c, x: (c + x, c * x), x[0], x), (draw(7),), 14),
    "most expensive branch": (
        lambda x: jax.lax.cond(x[0] > 0, lambda x: x + x * x, lambda x: x + x, x),
        (draw(7),),
        1 + 14,
    ),
}


@pytest.mark.parametrize("name", COSTS)
def test_each_kind_of_equation_costs_what_the_rule_says(name):
    function, inputs, expected = COSTS[name]
    operations = sum(
        cost(equation).operations for equation in jax.make_jaxpr(function)(*inputs).eqns
    )
    assert operations == expected


def test_bytes_are_operands_and_results():
    (product,) = jax.make_jaxpr(jnp.matmul)(draw(3, 5), draw(5, 7)).eqns
    assert cost(product).bytes == 4 * (3 * 5 + 5 * 7 + 3 * 7)
