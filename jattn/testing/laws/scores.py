# pyright: reportArgumentType=false
"""Laws of score functions, masks and the engine."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jattn
from jattn import biases, masks
from jattn.testing.laws.law import KEY, QUERY, RNG, VALUE, K, S, T, V, law


@law
def laser_is_between_the_mean_and_the_largest_value():
    """laser_attention: values that are all equal are the context; small ones have the mean."""
    equal = np.tile(VALUE[:1], (S, 1))
    yield jattn.laser_attention(QUERY, KEY, equal).context, np.tile(VALUE[:1], (T, 1))
    tiny = jattn.laser_attention(QUERY, KEY, 1e-13 * VALUE).context
    mean = jattn.scaled_dot_product_attention(QUERY, KEY, VALUE).context
    yield 1.0 + tiny, 1.0 + 1e-13 * mean
    large = jattn.laser_attention(QUERY, KEY, VALUE + 900.0).context
    yield large, jattn.laser_attention(QUERY, KEY, VALUE).context + 900.0


@law
def one_step_of_retrieval_is_attention():
    """hopfield_attention: one step is scaled dot-product attention, two are one of its context."""
    one = jattn.scaled_dot_product_attention(QUERY, KEY, VALUE)
    yield jattn.hopfield_attention(QUERY, KEY, VALUE).context, one.context
    moved = jattn.scaled_dot_product_attention(QUERY, KEY, KEY).context
    two = jattn.scaled_dot_product_attention(moved, KEY, VALUE)
    yield jattn.hopfield_attention(QUERY, KEY, VALUE, steps=2).context, two.context


@law
def a_large_scale_retrieves_a_stored_key():
    """hopfield_attention: with a large scale, a query near a key becomes that key."""
    keys = 3.0 * np.eye(K)
    found = jattn.hopfield_attention(keys + 0.1, keys, keys, scale=50.0, steps=2)
    yield found.context, keys


@law
def equal_keys_give_the_mean():
    """dot_attention: keys that are all equal give the mean of the values."""
    context = jattn.dot_attention(QUERY, jnp.tile(KEY[:1], (S, 1)), VALUE).context
    yield context, np.tile(VALUE.mean(0), (T, 1))


@law
def scaled_dot_is_dot_of_scaled_queries():
    """scaled_dot_product_attention: dot attention of queries over √k."""
    scaled = jattn.scaled_dot_product_attention(QUERY, KEY, VALUE).context
    yield scaled, jattn.dot_attention(QUERY / np.sqrt(K), KEY, VALUE).context


@law
def general_with_the_identity_is_dot():
    """general_attention: with the identity as its weight it is dot attention."""
    general = jattn.general_attention(jattn.GeneralParams(jnp.eye(K)), QUERY, KEY, VALUE)
    yield general.weights, jattn.dot_attention(QUERY, KEY, VALUE).weights


@law
def permuted_keys_and_values_change_nothing():
    """scaled_dot_product_attention: one order of keys and values is as good as another."""
    order = np.array([3, 0, 6, 1, 5, 2, 4])
    permuted = jattn.scaled_dot_product_attention(QUERY, KEY[order], VALUE[order]).context
    yield permuted, jattn.scaled_dot_product_attention(QUERY, KEY, VALUE).context


@law
def padded_is_packed():
    """scaled_dot_product_attention: keys behind a mask of lengths are as if they were not there."""
    padded = jattn.scaled_dot_product_attention(QUERY, KEY, VALUE, mask=masks.lengths(4)).context
    yield padded, jattn.scaled_dot_product_attention(QUERY, KEY[:4], VALUE[:4]).context


@law
def a_window_is_its_predicate():
    """masks.window(2, 1): key minus query is from -2 to 1."""
    distance = np.arange(S)[None] - np.arange(T)[:, None]
    yield masks.window(2, 1).dense(T, S), (distance >= -2) & (distance <= 1)


@law
def causal_is_a_window_without_a_future():
    """masks.causal: a window that is open to the left and has nothing to the right."""
    yield masks.causal().dense(T, S), masks.window(None, 0).dense(T, S)


@law
def a_wide_local_window_is_global_attention():
    """local_monotonic_attention: a window over all keys is scaled dot-product attention."""
    local = functools.partial(
        jattn.local_monotonic_attention, attention=jattn.scaled_dot_product_attention
    )
    yield (
        local(QUERY, KEY, VALUE, half_width=S).context,
        (jattn.scaled_dot_product_attention(QUERY, KEY, VALUE).context),
    )


@law
def grouped_queries_are_repeated_keys():
    """dot_product_attention: two heads of keys and values serve four heads as if repeated."""
    query = RNG.standard_normal((1, T, 4, K))
    key, value = RNG.standard_normal((1, S, 2, K)), RNG.standard_normal((1, S, 2, V))
    repeated: Any = [np.repeat(array, 2, axis=2) for array in (key, value)]
    yield (
        jattn.dot_product_attention(query, key, value),
        (jattn.dot_product_attention(query, *repeated)),
    )


@law
def a_sink_is_one_more_key_with_a_value_of_zero():
    """dot_product_attention: a sink is the logit of one more key whose value is zero."""
    query, key, value = (array[None, :, None] for array in (QUERY, KEY, VALUE))
    sunk = jattn.dot_product_attention(query, key, value, sinks=jnp.asarray([0.3]))
    logits = jnp.concatenate([QUERY @ KEY.T / np.sqrt(K), jnp.full((T, 1), 0.3)], axis=1)
    yield sunk[0, :, 0], jattn.softmax(logits)[:, :-1] @ VALUE


@law
def one_distance_for_all_is_no_position():
    """shaw_attention: with limit 0 all keys have the same vector; a table of zeros adds nothing."""
    params = jattn.ShawParams(jnp.ones((1, K)))
    scaled = jattn.scaled_dot_product_attention(QUERY, KEY, VALUE).weights
    yield jattn.shaw_attention(params, QUERY, KEY, VALUE).weights, scaled
    params = jattn.ShawParams(jnp.zeros((5, K)), jnp.zeros((5, V)))
    yield jattn.shaw_attention(params, QUERY, KEY, VALUE).weights, scaled


@law
def shaw_with_equal_queries_is_a_learned_bias():
    """shaw_attention: of equal queries, a bias for each distance, with the same clipping."""
    table = jnp.asarray(RNG.standard_normal((5, K)))
    query: Any = np.tile(QUERY[:1], (T, 1))
    bias = biases.relative((table @ QUERY[0] / np.sqrt(K))[:, None]).dense(T, S, offset=2)[0]
    found = jattn.shaw_attention(jattn.ShawParams(table), query, KEY, VALUE, offset=2)
    expected = jattn.scaled_dot_product_attention(query, KEY, VALUE, bias=bias)
    yield found.weights, expected.weights


@law
def transformer_xl_reads_sinusoids_of_distances():
    """transformer_xl_attention: the four products, gathered for any numbers of queries and keys."""
    weight = jnp.asarray(RNG.standard_normal((K, 6)))
    content, position = jnp.asarray(RNG.standard_normal((2, K)))
    params = jattn.TransformerXLParams(weight, content, position)
    for offset in (0, S - T, -3, 11):
        found = jattn.transformer_xl_attention(params, QUERY, KEY, VALUE, offset=offset)
        scores = np.zeros((T, S))
        for t in range(T):
            for s in range(S):
                turns = (t + offset - s) / 10000.0 ** (np.arange(3) / 3)
                far = weight @ np.concatenate([np.sin(turns), np.cos(turns)])
                scores[t, s] = (QUERY[t] + content) @ KEY[s] + (QUERY[t] + position) @ far
        yield found.weights, jattn.softmax(scores / np.sqrt(K))


@law
def open_gates_count_keys():
    """contextual_position_attention: open gates give the number of keys up to the query's own."""
    table = jnp.asarray(RNG.standard_normal((S + 1, K)))
    key = 100.0 * jnp.ones((S, K))
    query = jnp.asarray(np.abs(RNG.standard_normal((S, K)))) + 1.0
    found = jattn.contextual_position_attention(table, query, key, key, mask=masks.causal())
    counted = np.arange(S)[:, None] - np.arange(S)[None] + 1
    scores = jnp.take_along_axis(query @ table.T, np.maximum(counted, 0), axis=1)
    yield found.weights, jattn.softmax(scores, masks.causal())


@law
def half_open_gates_count_half():
    """contextual_position_attention: one row is no position; a query of zero counts halves."""
    table = jnp.asarray(RNG.standard_normal((1, K)))
    found = jattn.contextual_position_attention(table, QUERY, KEY, VALUE).weights
    yield found, jattn.scaled_dot_product_attention(QUERY, KEY, VALUE).weights
    grown = jnp.arange(9.0)[:, None] * jnp.ones((9, K))
    slope = lambda x: jattn.contextual_position_attention(grown, x, KEY, jnp.eye(S)).context[0]
    _, tangent = jax.jvp(slope, (jnp.zeros((1, K)),), (jnp.ones((1, K)),))
    scores = KEY.sum(1) / np.sqrt(K) + K * (S - np.arange(S)) / 2
    yield tangent, (scores - scores.mean()) / S
