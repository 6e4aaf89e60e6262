# pyright: reportArgumentType=false
"""Laws and closed forms that mechanisms obey, whatever code computes them.

Each is a function that yields pairs of arrays that have to be equal. Its docstring states the law.
`python -m jattn.testing.laws` prints docs/laws.md.
"""

import functools
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jattn
from jattn import alignment, biases, linear, masks

RNG: Any = np.random.default_rng(0)
T, S, K, V = 5, 7, 4, 3
SHAPES = ((T, K), (S, K), (S, V), (T, S))
QUERY, KEY, VALUE, SCORES = (RNG.standard_normal(shape) for shape in SHAPES)
LAWS: list[Callable[[], Iterator[tuple[Any, Any]]]] = []


def law(function: Callable[[], Iterator[tuple[Any, Any]]]) -> Any:
    LAWS.append(function)
    return function


def row(*scores: float) -> Any:
    return jnp.asarray(scores)[None]


@law
def softmax_forgets_a_constant():
    """softmax: a constant added to all scores of a row changes no weight."""
    yield jattn.softmax(SCORES + 3.0), jattn.softmax(SCORES)


@law
def softmax_of_two_is_sigmoid():
    """softmax: of two scores, the first weight is the sigmoid of their difference."""
    yield jattn.softmax(row(0.7, -0.4))[0, 0], jattn.sigmoid(row(1.1))[0, 0]


@law
def off_by_one_has_one_more_key():
    """off_by_one_softmax: a softmax with one more key, of score zero, whose weight is dropped."""
    more = jnp.concatenate([SCORES, jnp.zeros((T, 1))], axis=1)
    yield jattn.off_by_one_softmax(SCORES), jattn.softmax(more)[:, :-1]


@law
def sigmoid_with_the_papers_bias():
    """sigmoid: with a bias of -log n, equal scores of zero get 1 / (1 + n) each."""
    yield jattn.sigmoid(jnp.zeros((1, S)) - np.log(S)), jnp.full((1, S), 1 / (1 + S))


@law
def sparsemax_of_two_is_a_clipped_line():
    """sparsemax: of scores t and 0, the first weight is (1 + t) / 2, cut off at 0 and 1."""
    for t in (-1.5, -0.3, 0.0, 0.8, 1.2):
        yield jattn.sparsemax(row(t, 0.0))[0, 0], np.clip((1 + t) / 2, 0, 1)


@law
def entmax15_of_two():
    """entmax15: of scores t and 0, the first weight is 1/2 + t/8 √(8 - t²) for |t| at most 2."""
    for t in (-1.9, 0.3, 2.0):
        yield jattn.entmax15(row(t, 0.0))[0, 0], 0.5 + t / 8 * np.sqrt(8 - t * t)
    yield jattn.entmax15(row(0.3, 0.0))[0, 0], 0.60546770832819


@law
def entmax_has_softmax_entmax15_and_sparsemax_as_its_orders():
    """entmax: of order 1 it is softmax, of 1.5 entmax15, of 2 sparsemax, and next to 1 no jump."""
    for alpha, same in ((1.0, jattn.softmax), (1.5, jattn.entmax15), (2.0, jattn.sparsemax)):
        yield jattn.entmax(3 * SCORES, alpha=alpha), same(3 * SCORES)
    slope = jax.grad(lambda alpha: jattn.entmax(SCORES, alpha=alpha)[0, 0])
    yield slope(jnp.asarray(1.0)), slope(jnp.asarray(1.0 + 1e-13))


@law
def one_slot_has_the_mean():
    """slot_softmax: a single query has equal weights, whatever its scores."""
    yield jattn.slot_softmax(SCORES[:1]), np.full((1, S), 1 / S)


@law
def slots_share_each_key():
    """slot_softmax: with epsilon 0 and twice the same queries, weights are the same twice."""
    twice = jattn.slot_softmax(jnp.concatenate([SCORES, SCORES]), epsilon=0.0)
    once = jattn.slot_softmax(SCORES, epsilon=0.0)
    yield twice, jnp.concatenate([once, once])
    shares = jattn.softmax(SCORES.T).T
    yield once, shares / shares.sum(1, keepdims=True)


@law
def one_step_of_sinkhorn_is_softmax():
    """sinkhorn: one step is softmax; a second one divides each column by its sum."""
    yield jattn.sinkhorn(SCORES, steps=1), jattn.softmax(SCORES)
    yield jattn.sinkhorn(SCORES, steps=2).sum(0), np.ones(S)


@law
def sinkhorn_of_two_and_two():
    """sinkhorn: the limit of exponentials a b / c d has the weight √(a d) / (√(a d) + √(b c))."""
    (a, b), (c, d) = matrix = np.exp(SCORES[:2, :2])
    limit = np.sqrt(a * d) / (np.sqrt(a * d) + np.sqrt(b * c))
    expected = np.array([[limit, 1 - limit], [1 - limit, limit]])
    yield jattn.sinkhorn(jnp.log(matrix), steps=81), expected


@law
def a_matching_with_dustbins_gives_each_query_and_key_one():
    """dustbin_sinkhorn: of one query and key of score e and dustbin z, the weight by hand."""
    for e, z in ((0.7, -0.4), (-1.0, 2.0)):
        # The matrix is x y / y w with x + y = y + w = 1, and x w / y² = exp(e - z).
        expected = 1 / (1 + np.exp((z - e) / 2))
        found = jattn.dustbin_sinkhorn(row(e), dustbin=z, steps=60)
        yield found, np.full((1, 1), expected)
    sums = jattn.dustbin_sinkhorn(SCORES, dustbin=-60.0, steps=60).sum(0)
    yield sums.sum(), float(T)


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
def straight_through_is_a_choice_with_gradients_of_softmax():
    """straight_through_softmax: the largest score has the weight, softmax has the derivatives."""
    yield jattn.straight_through_softmax(SCORES), np.eye(S)[SCORES.argmax(1)]
    gradients = [
        jax.grad(lambda scores, f=f: (f(scores) * SCORES).sum())(jnp.asarray(SCORES))
        for f in (jattn.straight_through_softmax, jattn.softmax)
    ]
    yield tuple(gradients)


@law
def scalable_softmax_has_odds_of_powers():
    """scalable_softmax: the ratio of two weights is n to the strength times their difference."""
    weights = jattn.scalable_softmax(SCORES, strength=0.43)
    odds = S ** (0.43 * (SCORES[:, 0] - SCORES[:, 1]))
    yield weights[:, 0] / weights[:, 1], odds


@law
def scalable_softmax_counts_keys_that_may_be_attended_to():
    """scalable_softmax: padding changes nothing."""
    kept = jattn.scalable_softmax(SCORES[:, :4], strength=0.8)
    mask = masks.lengths(4)
    yield jattn.scalable_softmax(SCORES, mask, strength=0.8)[:, :4], kept


@law
def scalable_softmax_of_one_is_softmax():
    """scalable_softmax: with strength 1 / log n it is softmax."""
    yield jattn.scalable_softmax(SCORES, strength=1 / np.log(S)), jattn.softmax(SCORES)


@law
def top_k_of_all_is_softmax():
    """top_k_softmax: with as many as there are keys it is softmax, with one it is the largest."""
    yield jattn.top_k_softmax(SCORES, count=S), jattn.softmax(SCORES)
    yield jattn.top_k_softmax(SCORES, count=1), np.eye(S)[SCORES.argmax(1)]


@law
def top_k_keeps_the_first_of_equal_scores():
    """top_k_softmax: of equal scores the first are kept."""
    yield (
        jattn.top_k_softmax(row(1.0, 2.0, 1.0, 1.0), count=3),
        jattn.softmax(row(1.0, 2.0, 1.0, -jnp.inf)),
    )


@law
def softpick_of_zeros_attends_to_nothing():
    """softpick: a row of zeros, or of negative scores, has no weight."""
    yield jattn.softpick(jnp.zeros((1, 4))), jnp.zeros((1, 4))
    yield jattn.softpick(row(-1.0, -0.2)), jnp.zeros((1, 2))


@law
def softpick_by_hand():
    """softpick: scores log 3, log 2, log 1/2 have parts 2, 1, -1/2, and weights 4/7, 2/7, 0."""
    scores = row(np.log(3.0), np.log(2.0), np.log(0.5))
    yield jattn.softpick(scores, epsilon=0.0), row(4 / 7, 2 / 7, 0.0)


@law
def scaled_relu_sums_to_the_mean_of_positive_parts():
    """scaled_relu: a row sums to the mean of the positive parts of its scores."""
    yield jattn.scaled_relu(SCORES).sum(1), np.maximum(SCORES, 0).mean(1)


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
def rotated_scores_depend_on_distances_alone():
    """rotary: moving queries and keys by the same distance changes no score."""
    score = lambda shift: (
        jattn.rotary(QUERY, jnp.arange(T) + shift) @ jattn.rotary(KEY, jnp.arange(S) + shift).T
    )
    yield score(0), score(13)


@law
def interpolated_frequencies_are_divided_positions():
    """interpolated_frequencies: positions over the factor, at the frequencies as they were."""
    frequencies = jattn.rotary_frequencies(K)
    slower = jattn.interpolated_frequencies(frequencies, factor=4.0)
    turned = jattn.rotary(KEY, np.arange(S) / 4, frequencies=frequencies)
    yield jattn.rotary(KEY, np.arange(S), frequencies=slower), turned


@law
def ntk_frequencies_have_a_larger_base():
    """ntk_frequencies: those of base factor^(k / (k - 2)), whose last is the last over factor."""
    frequencies = jattn.rotary_frequencies(10, base=100.0)
    scaled = jattn.ntk_frequencies(frequencies, factor=8.0)
    yield scaled, jattn.rotary_frequencies(10, base=100.0 * 8.0 ** (10 / 8))
    yield scaled[[0, -1]], frequencies[[0, -1]] / np.array([1.0, 8.0])


@law
def llama_3_keeps_four_turns_and_interpolates_one():
    """by_parts_frequencies: of 8192 positions, 4 turns stay, 1 is an 8th, 2.5 halve the way."""
    turns = np.array([9.0, 4.0, 2.5, 1.0, 0.1])
    frequencies = 2 * np.pi * turns / 8192
    scaled = jattn.by_parts_frequencies(frequencies, factor=8.0, length=8192, fast=4.0)
    yield scaled / frequencies, np.array([1.0, 1.0, 9 / 16, 1 / 8, 1 / 8])


@law
def yarn_keeps_the_first_pairs_and_divides_the_last():
    """yarn_frequencies: of 128 features and 4096 positions, pairs to 20 stay, 46 on are over 16."""
    frequencies = jattn.rotary_frequencies(128)
    ratio = jattn.yarn_frequencies(frequencies, factor=16.0, length=4096) / frequencies
    yield ratio[:21], np.ones(21)
    yield ratio[33], 1 - 15 / 32
    yield ratio[46:], np.full(18, 1 / 16)


@law
def yarn_has_the_published_factors():
    """yarn_attention_factor: 1.27726 for 16, 1.48520 for 128, 1.26080 for 40 and 0.707."""
    factors = (16.0, 1.0), (128.0, 1.0), (40.0, 0.707)
    found = [jattn.yarn_attention_factor(factor, strength=m) for factor, m in factors]
    yield np.round(found, 5), np.array([1.27726, 1.48520, 1.26080])
    yield np.round(found[2] ** 2, 4), 1.5896


@law
def equal_positions_along_all_axes_are_one_axis():
    """multi_axis_rotary: the same position along all axes is rotary, in all three orders."""
    text, sections = np.repeat(np.arange(S)[:, None], 3, 1), (2, 1, 1)
    rows: Any = np.tile(KEY, 2)
    for axes in (
        jattn.contiguous_axes(sections),
        jattn.interleaved_axes(sections),
        jattn.alternating_axes(4, axes=3),
    ):
        found = jattn.multi_axis_rotary(rows, text, axis_of_pair=axes)
        yield found, jattn.rotary(rows, text[:, 0])


@law
def three_models_have_three_orders_of_axes():
    """multi_axis_rotary: published sections of Qwen2-VL and Qwen3-VL, and equal ones alternate."""
    contiguous = jattn.contiguous_axes((16, 24, 24))
    yield contiguous[[0, 15, 16, 39, 40, 63]], np.array([0, 0, 1, 1, 2, 2])
    interleaved = jattn.interleaved_axes((24, 20, 20))
    yield interleaved[:6], np.array([0, 1, 2, 0, 1, 2])
    yield interleaved[57:], np.array([0, 1, 2, 0, 0, 0, 0])
    yield jattn.interleaved_axes((5, 5)), jattn.alternating_axes(10, axes=2)


@law
def xpos_products_depend_on_distances_alone():
    """xpos: moving queries and keys by the same distance, or the centre, changes no score."""
    score = lambda shift, centre: (
        jattn.xpos(QUERY, np.arange(T) + shift, centre=centre)
        @ jattn.xpos(KEY, np.arange(S) + shift, centre=centre, inverse=True).T
    )
    yield score(13, 0.0), score(0, 0.0)
    yield score(13, 40.0), score(0, 0.0)


@law
def xpos_shrinks_a_pair_by_its_ratio():
    """xpos: 512 positions later a pair is shorter by 0.4 / 1.4, 0.9 / 1.4; without end, as long."""
    pairs = np.asarray(jattn.xpos(np.ones((1, 4)), np.array([512]))).reshape(2, 2)
    yield np.sqrt((pairs**2).sum(1) / 2), np.array([0.4, 0.9]) / 1.4
    far = jattn.xpos(KEY, np.arange(S), scale_base=1e16)
    yield far, jattn.rotary(KEY, np.arange(S))


@law
def half_split_sinusoids_are_the_same_in_another_order():
    """half_split_sinusoidal_positions: all sines of sinusoidal_positions, and then its cosines."""
    pairs, halves = jattn.sinusoidal_positions(5, 7), jattn.half_split_sinusoidal_positions(5, 7)
    yield halves, pairs[:, [0, 2, 4, 6, 1, 3, 5]]
    # Tensor2Tensor's exponents i / (n - 1) of n sines.
    wide = jattn.half_split_sinusoidal_positions(2, 8, base=10000 ** (8 / 6))
    yield wide[1, :4], np.sin(10000.0 ** (-np.arange(4) / 3))


@law
def constant_forgetting_is_alibi():
    """forgetting_bias: gates that are all f give alibi with slope -log f to keys before."""
    past = np.tri(S, dtype=bool)
    forgetting = jattn.forgetting_bias(jnp.full(S, np.log(0.7)))
    yield forgetting, np.where(past, biases.alibi(jnp.asarray([-np.log(0.7)])).dense(S, S)[0], 0.0)


@law
def a_closed_gate_hides_what_is_before_it():
    """forgetting_bias: a gate adds its logarithm to keys before it, and not to its own key."""
    bias = jattn.forgetting_bias(jnp.asarray([0.0, 0.0, -3.0, 0.0]))
    yield bias[3], np.array([-3.0, -3.0, 0.0, 0.0])
    yield jattn.forgetting_bias(jnp.arange(-4.0, 0.0), queries=1, offset=3)[0], [-6, -3, -1, 0]


@law
def selection_hides_from_later_tokens():
    """selective_bias: token 2 hides token 1 from token 3 on, but not the first or itself."""
    selection = jnp.zeros((5, 5)).at[2].set(jnp.asarray([9.0, 2.0, 9.0, 9.0, 9.0]))
    expected = np.zeros((5, 5))
    expected[3:, 1] = -2.0
    yield jattn.selective_bias(selection), expected
    yield jattn.selective_bias(-jnp.abs(KEY @ KEY.T)), np.zeros((S, S))


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


@law
def sinusoids_of_a_shift_are_rotated():
    """sinusoidal_positions: a later position is an earlier one, each pair turned by its angle."""
    table = np.asarray(jattn.sinusoidal_positions(9, 6))
    angles = 4 * 10000.0 ** (-np.arange(3) / 3)
    sine, cosine = table[:5, 0::2], table[:5, 1::2]
    yield table[4:, 0::2], sine * np.cos(angles) + cosine * np.sin(angles)


@law
def alibi_has_the_papers_slopes():
    """alibi_slopes: 1/2, 1/4, ... 1/256 for eight heads."""
    yield biases.alibi_slopes(8), 0.5 ** np.arange(1, 9)


@law
def t5_has_the_published_buckets():
    """t5_buckets: the buckets of 15 distances, of 32 in both directions up to 128."""
    distances = jnp.array([0, -1, -7, -8, -11, -12, -16, -32, -64, -91, -128, 1, 8, 16, 128])
    buckets = [0, 1, 7, 8, 8, 9, 10, 12, 14, 15, 15, 17, 24, 26, 31]
    yield biases.t5_buckets(distances, buckets=32, max_distance=128, bidirectional=True), buckets


HEADS = jattn.init_multi_head(
    jax.random.key(0), heads=2, query_size=K, value_size=V, head_size=4, bias=True
)


@law
def a_gate_of_zero_weights_halves_each_head():
    """gated_attention: a gate without weights is one half, for every feature of a head."""
    gated = jattn.GatedParams(HEADS, jnp.zeros((2, 4, K)))
    halved = HEADS._replace(output_weight=HEADS.output_weight / 2)
    yield (
        jattn.gated_attention(gated, QUERY, KEY, VALUE).context,
        jattn.multi_head_attention(halved, QUERY, KEY, VALUE).context,
    )


@law
def a_headwise_gate_is_the_same_gate_for_all_features():
    """gated_attention: a headwise gate is an elementwise one with equal rows."""
    headwise = jnp.asarray(RNG.standard_normal((2, K)))
    elementwise = jnp.repeat(headwise[:, None], 4, axis=1)
    one, other = (jattn.GatedParams(HEADS, gate) for gate in (headwise, elementwise))
    yield (
        jattn.gated_attention(one, QUERY, KEY, VALUE).context,
        jattn.gated_attention(other, QUERY, KEY, VALUE).context,
    )


@law
def normalized_scores_ignore_the_size_of_projections():
    """query_key_norm_attention: queries and keys of any length give the same weights."""
    heads = HEADS._replace(query_bias=None, key_bias=None)
    larger = heads._replace(query_weight=3.0 * heads.query_weight)
    one, other = (jattn.QueryKeyNormParams(x, jnp.asarray(2.5)) for x in (heads, larger))
    yield (
        jattn.query_key_norm_attention(one, QUERY, KEY, VALUE).weights,
        jattn.query_key_norm_attention(other, QUERY, 7.0 * KEY, VALUE).weights,
    )


@law
def the_papers_strength():
    """init_query_key_norm: the strength of sequences of 64 tokens is log2(64² - 64)."""
    sizes: Any = {"heads": 2, "query_size": 4, "length": 64}
    yield jattn.init_query_key_norm(jax.random.key(0), **sizes).strength, np.log2(4032)


@law
def clipping_multiplies_the_scores_of_a_head():
    """clip_query_key: each head's scores are multiplied by the threshold over its largest."""
    params = jattn.init_multi_head(jax.random.key(0), heads=4, query_size=K, key_value_heads=2)
    clipped = jattn.clip_query_key(params, jnp.asarray([0.1, 8.0, 5.0, 4.0]), threshold=2.0)
    scores = lambda params, h: (
        (QUERY @ params.query_weight[h].T) @ (KEY @ params.key_weight[h // 2].T).T
    )
    for head, ratio in enumerate((1.0, 0.25, 0.4, 0.5)):
        yield scores(clipped, head), ratio * scores(params, head)


@law
def clipping_below_the_threshold_changes_nothing():
    """clip_query_key: heads whose largest scores are below the threshold stay as they are."""
    clipped = jattn.clip_query_key(HEADS, jnp.asarray([3.0, 99.0]))
    yield clipped.query_weight, HEADS.query_weight
    yield clipped.key_weight, HEADS.key_weight


@law
def a_value_residual_without_a_share_is_multi_head_attention():
    """value_residual_attention: with shares 0 and 1 it is multi-head attention."""
    params = jattn.ValueResidualParams(HEADS, jnp.asarray([0.0, 1.0]))
    first: Any = RNG.standard_normal((S, 2, 4))
    yield (
        jattn.value_residual_attention(params, QUERY, KEY, VALUE, first).context,
        jattn.multi_head_attention(HEADS, QUERY, KEY, VALUE).context,
    )


@law
def equal_values_have_no_residual():
    """value_residual_attention: halves of the layer's own values are those values."""
    params = jattn.ValueResidualParams(HEADS, jnp.asarray([0.5, 0.5]))
    own = jattn.value_heads(HEADS, VALUE)
    yield (
        jattn.value_residual_attention(params, QUERY, KEY, VALUE, own).context,
        jattn.multi_head_attention(HEADS, QUERY, KEY, VALUE).context,
    )


@law
def heads_that_do_not_talk_are_multi_head_attention():
    """talking_heads_attention: with identities as its maps it is multi-head attention."""
    plain = jattn.MultiHeadParams(*HEADS[:4])
    talking = jattn.TalkingHeadsParams(*HEADS[:4], jnp.eye(2), jnp.eye(2))
    yield (
        jattn.talking_heads_attention(talking, QUERY, KEY, VALUE).context,
        jattn.multi_head_attention(plain, QUERY, KEY, VALUE).context,
    )


def differential(**fields: Any) -> jattn.DifferentialParams:
    sizes: Any = {"heads": 2, "query_size": K, "head_size": 4}
    params = jattn.init_differential(jax.random.key(0), **sizes)
    return params._replace(**fields)


@law
def equal_maps_cancel():
    """differential_attention: two equal maps with a balance of one leave nothing."""
    params = differential()
    twice = {
        name: jnp.stack([getattr(params, name)[0]] * 2)
        for name in ("query_weight", "key_weight", "query_balance", "key_balance")
    }
    output = jattn.differential_attention(params._replace(**twice), QUERY, KEY, KEY, initial=1.0)
    yield output.context, np.zeros((T, K))
    yield output.weights, np.zeros((2, T, S))


@law
def the_papers_initial_balances():
    """initial_balance: 0.2 in the first layer, 0.355509 in the second, and 0.8 in the limit."""
    yield jattn.initial_balance(1), 0.2
    yield np.round(jattn.initial_balance(2), 6), 0.355509
    yield jattn.initial_balance(1000), 0.8


@law
def equal_balances_subtract_the_initial_one():
    """differential_attention: with equal vectors of balance a row sums to 1 - initial."""
    balance = jnp.ones((2, 4))
    params = differential(query_balance=balance, key_balance=balance)
    weights: Any = jattn.differential_attention(params, QUERY, KEY, KEY, initial=0.3).weights
    yield weights.sum(2), np.full((2, T), 0.7)


LATENT = jattn.init_latent(
    jax.random.key(0),
    heads=3,
    size=K,
    head_size=5,
    rotary_size=2,
    query_latent_size=6,
    key_latent_size=3,
)


@law
def absorbed_is_expanded():
    """absorbed_latent_attention: from the cached latents it gives what latent_attention gives."""
    options = {"turn": jattn.rotary, "mask": masks.causal(S - T), "query_offset": S - T}
    memory = jattn.latent_memory(LATENT, KEY, turn=jattn.rotary)
    absorbed = jattn.absorbed_latent_attention(LATENT, QUERY, *memory, **options)
    expanded = jattn.latent_attention(LATENT, QUERY, KEY, **options)
    yield absorbed.context, expanded.context
    yield absorbed.weights, expanded.weights


@law
def clipped_latents_have_scores_at_the_threshold():
    """clip_latent_query_key: with the largest scores it makes these the threshold."""
    dot = lambda params: jnp.stack(
        [
            QUERY
            @ params.query_down.T
            @ params.query_up[h].T
            @ (KEY @ params.key_down.T @ params.key_up[h].T).T
            + QUERY @ params.query_down.T @ params.query_rotary[h].T @ (KEY @ params.key_rotary.T).T
            for h in range(3)
        ]
    )
    largest = dot(LATENT).max((1, 2))
    clipped = jattn.clip_latent_query_key(LATENT, largest, threshold=0.01)
    yield dot(clipped).max((1, 2)), np.full(3, 0.01)


@law
def latents_without_a_rotary_part_are_multi_head_attention():
    """latent_attention: without a rotary part it is multi-head attention to the latents."""
    fields = {"query_rotary": jnp.zeros((3, 0, 6)), "key_rotary": jnp.zeros((0, K))}
    params = LATENT._replace(**fields)
    heads = jattn.MultiHeadParams(
        LATENT.query_up, LATENT.key_up, LATENT.value_up, LATENT.output_weight
    )
    latent = KEY @ params.key_down.T
    query_latent = QUERY @ params.query_down.T
    yield (
        jattn.latent_attention(params, QUERY, KEY).context,
        jattn.multi_head_attention(heads, query_latent, latent, latent).context,
    )


@law
def every_node_ranks_its_neighbours_alike():
    """graph_attention: all queries rank the keys in the same order."""
    params = jattn.init_graph(jax.random.key(0), size=K, units=3)
    weights = jattn.graph_attention(params, QUERY, KEY, KEY).weights
    yield jnp.argsort(weights, 1), jnp.tile(jnp.argsort(weights, 1)[:1], (T, 1))


@law
def every_node_may_rank_its_neighbours_in_its_own_way():
    """dynamic_graph_attention: a score of -0.8 |q - k| lets each query prefer the nearest key."""
    signs = jnp.asarray([[1.0], [-1.0]])
    params = jattn.DynamicGraphParams(signs, -signs, jnp.asarray([-1.0, -1.0]))
    nodes = jnp.arange(5.0)[:, None]
    weights = jattn.dynamic_graph_attention(params, nodes, nodes, nodes).weights
    yield weights, jattn.softmax(-0.8 * jnp.abs(nodes - nodes.T))
    yield weights.argmax(1), np.arange(5)


@law
def a_linear_rectifier_ignores_the_query():
    """dynamic_graph_attention: with slope 1 the score is linear: no query changes a weight."""
    params = jattn.init_dynamic_graph(jax.random.key(0), query_size=K, key_size=K, units=3)
    weights = jattn.dynamic_graph_attention(params, QUERY, KEY, KEY, slope=1.0).weights
    yield (
        weights,
        jnp.tile(jattn.softmax((params.score_weight @ params.key_weight @ KEY.T)[None]), (T, 1)),
    )


@law
def one_slot_gets_the_mean():
    """slot_attention: a single slot owns every key, and its context is the mean of the values."""
    slot = jattn.slot_attention(QUERY[:1], KEY, VALUE)
    yield slot.shares, np.ones((1, S))
    yield slot.context, VALUE.mean(0)[None]


@law
def slots_share_every_key():
    """slot_attention: the shares of a key sum to one, and so do the weights of a slot."""
    slots = jattn.slot_attention(QUERY, KEY, VALUE)
    yield slots.shares.sum(0), np.ones(S)
    yield slots.weights.sum(1), np.ones(T)


@law
def a_permutation_of_slots_permutes_their_contexts():
    """slot_attention: slots have no order, and neither have keys."""
    slots, keys = np.array([3, 1, 4, 0, 2]), np.array([3, 0, 6, 1, 5, 2, 4])
    permuted = jattn.slot_attention(QUERY[slots], KEY[keys], VALUE[keys]).context
    yield permuted, jattn.slot_attention(QUERY, KEY, VALUE).context[slots]


@law
def scores_over_queries_are_transposed():
    """over_queries: it is the normalizer of the transposed scores."""
    normalizer = jattn.over_queries(jattn.sparsemax)
    yield normalizer(SCORES, None), jattn.sparsemax(SCORES.T).T


POOLING = jattn.init_pooling(jax.random.key(0), key_size=K, units=3)


@law
def a_pooling_is_additive_attention_of_one_query():
    """pooling_attention: it is additive attention of a query whose map is the bias."""
    additive = jattn.AdditiveParams(jnp.zeros((3, 1)), POOLING.weight, POOLING.score_weight)
    params = POOLING._replace(bias=jnp.asarray([0.3, -0.2, 0.7]))
    additive = additive._replace(bias=params.bias)
    attended = jattn.additive_attention(additive, jnp.zeros((1, 1)), KEY, VALUE)
    yield jattn.pooling_attention(params, KEY, VALUE).context, attended.context[0]


@law
def a_document_of_one_sentence_is_that_sentence():
    """hierarchical_attention: one sentence has all the weight, whatever it is encoded to."""
    params = jattn.HierarchicalParams(POOLING, POOLING)
    document = jattn.hierarchical_attention(params, KEY[None], encode=lambda rows: 2.0 * rows)
    yield document.context, 2.0 * jattn.pooling_attention(POOLING, KEY, KEY).context
    yield document.sentence_weights, np.ones(1)


@law
def sentences_of_padding_have_no_weight():
    """hierarchical_attention: a sentence without words changes nothing."""
    params = jattn.HierarchicalParams(POOLING, POOLING)
    words = jnp.stack([KEY, jnp.full_like(KEY, jnp.nan)])
    valid: Any = np.array([[True] * S, [False] * S])
    document = jattn.hierarchical_attention(params, words, valid=valid)
    yield document.context, jattn.hierarchical_attention(params, KEY[None]).context


CO_ATTENTION = jattn.init_co_attention(jax.random.key(0), query_size=K, key_size=K, units=3)


@law
def sequences_without_affinity_are_pooled_alone():
    """parallel_co_attention: without affinities each sequence is pooled by itself."""
    params = CO_ATTENTION._replace(affinity_weight=jnp.zeros((K, K)))
    attended = jattn.parallel_co_attention(params, QUERY, KEY)
    alone = jattn.PoolingParams(params.key_weight, jnp.zeros(3), params.key_score_weight)
    yield attended.key_context, jattn.pooling_attention(alone, KEY, KEY).context
    yield attended.affinity, np.zeros((T, S))


@law
def co_attention_is_symmetric():
    """parallel_co_attention: exchanged sequences and parameters give exchanged results."""
    exchanged = jattn.CoAttentionParams(
        CO_ATTENTION.affinity_weight.T,
        *(CO_ATTENTION.key_weight, CO_ATTENTION.query_weight),
        *(CO_ATTENTION.key_score_weight, CO_ATTENTION.query_score_weight),
    )
    one = jattn.parallel_co_attention(CO_ATTENTION, QUERY, KEY)
    other = jattn.parallel_co_attention(exchanged, KEY, QUERY)
    yield one.query_context, other.key_context
    yield one.key_weights, other.query_weights


@law
def padding_of_either_sequence_changes_nothing():
    """parallel_co_attention: padding of either sequence, NaN even, is as if it were not there."""
    valid: Any = {"query_valid": np.arange(T) < 3, "key_valid": np.arange(S) < 4}
    query = jnp.where(valid["query_valid"][:, None], QUERY, jnp.nan)
    key = jnp.where(valid["key_valid"][:, None], KEY, jnp.nan)
    padded = jattn.parallel_co_attention(CO_ATTENTION, query, key, **valid)
    yield padded.key_context, jattn.parallel_co_attention(CO_ATTENTION, QUERY[:3], KEY[:4])[1]
    params = jattn.init_attention_flow(jax.random.key(0), size=K)
    flow = jattn.attention_flow(params, query, key, **valid).context[:3]
    yield flow, jattn.attention_flow(params, QUERY[:3], KEY[:4]).context
    over = jattn.attention_over_attention(query, key, **valid).weights[:4]
    yield over, jattn.attention_over_attention(QUERY[:3], KEY[:4]).weights


@law
def a_flow_without_weights_reads_means():
    """attention_flow: without weights both directions are means."""
    params = jattn.AttentionFlowParams(*jnp.zeros((3, K)))
    flow = jattn.attention_flow(params, QUERY, KEY)
    parts = (QUERY, np.tile(KEY.mean(0), (T, 1)), QUERY * KEY.mean(0), QUERY * QUERY.mean(0))
    yield flow.context, np.concatenate(parts, 1)


@law
def a_flow_of_the_product_alone_is_dot_attention():
    """attention_flow: with a weight of the product alone, of ones, it reads by dot attention."""
    params = jattn.AttentionFlowParams(jnp.zeros(K), jnp.zeros(K), jnp.ones(K))
    flow = jattn.attention_flow(params, QUERY, KEY)
    yield flow.context[:, K : 2 * K], jattn.dot_attention(QUERY, KEY, KEY).context
    best = (QUERY @ KEY.T).max(1)
    yield flow.query_weights, jattn.softmax(best[None])[0]


@law
def one_query_over_attention_is_its_attention():
    """attention_over_attention: one query has all the weight, and the weights sum to one."""
    one = jattn.attention_over_attention(QUERY[:1], KEY)
    yield one.weights, jattn.dot_attention(QUERY[:1], KEY, KEY).weights[0]
    yield jattn.attention_over_attention(QUERY, KEY).weights.sum(), 1.0


@law
def a_sentinel_is_one_more_key():
    """sentinel_attention: the sentinel is one more key of additive attention, and its value."""
    sizes: Any = {"query_size": K, "key_size": K, "value_size": K, "units": 3}
    params = jattn.init_sentinel(jax.random.key(0), **sizes)
    params = params._replace(sentinel_weight=params.key_weight)
    sentinel: Any = RNG.standard_normal((1, K))
    more = jnp.concatenate([KEY, sentinel])
    additive = jattn.AdditiveParams(params.query_weight, params.key_weight, params.score_weight)
    attended = jattn.additive_attention(additive, QUERY[:1], more, more)
    found = jattn.sentinel_attention(params, QUERY[:1], KEY, KEY, sentinel)
    yield found.context, attended.context
    yield found.sentinel_weights, attended.weights[:, -1]


@law
def a_sentinel_without_keys_is_the_context():
    """sentinel_attention: without valid keys the context is the sentinel."""
    sizes: Any = {"query_size": K, "key_size": K, "value_size": V, "units": 3}
    params = jattn.init_sentinel(jax.random.key(0), **sizes)
    sentinel: Any = RNG.standard_normal((T, V))
    none: Any = np.zeros(S, bool)
    yield jattn.sentinel_attention(params, QUERY, KEY, VALUE, sentinel, valid=none)[0], sentinel


SET = jattn.init_encoder_block(jax.random.key(0), size=K, heads=2, hidden_size=3)


@law
def a_block_of_one_set_is_an_encoder_block():
    """set_attention_block: of one set it is an encoder's block with post_norm."""
    encoder = jattn.encoder_block(SET, KEY, order=jattn.post_norm)
    yield jattn.set_attention_block(SET, KEY, KEY).outputs, encoder.outputs


@law
def a_set_has_no_order():
    """induced_set_attention: a permutation of the set permutes the outputs."""
    order = np.array([3, 0, 6, 1, 5, 2, 4])
    sizes: Any = {"size": K, "heads": 2, "hidden_size": 3}
    induced = jattn.init_induced(jax.random.key(0), points=2, **sizes)
    permuted = jattn.induced_set_attention(induced, KEY[order])
    yield permuted, jattn.induced_set_attention(induced, KEY)[order]
    pooling = jattn.init_set_pooling(jax.random.key(0), seeds=2, **sizes)
    pooled = jattn.pooling_by_attention(pooling, KEY)
    yield jattn.pooling_by_attention(pooling, KEY[order]), pooled


@law
def padding_of_a_set_changes_nothing():
    """pooling_by_attention: padding, NaN even, is as if it were not there."""
    valid: Any = np.arange(S) < 4
    rows = jnp.where(valid[:, None], KEY, jnp.nan)
    sizes: Any = {"size": K, "heads": 2, "hidden_size": 3}
    pooling = jattn.init_set_pooling(jax.random.key(0), seeds=2, **sizes)
    yield (
        jattn.pooling_by_attention(pooling, rows, valid=valid),
        jattn.pooling_by_attention(pooling, KEY[:4]),
    )


IMAGE: Any = RNG.standard_normal((3, 5, K))


@law
def a_gate_of_channels_without_weights_halves_them():
    """squeeze_excitation: without weights every factor is one half."""
    params = jattn.images.ChannelGateParams(jnp.zeros((2, K)), jnp.zeros((K, 2)))
    yield jattn.images.squeeze_excitation(params, IMAGE).features, IMAGE / 2


@law
def factors_of_channels_do_not_depend_on_places():
    """squeeze_excitation: a constant image has the factors of its one pixel."""
    params = jattn.images.init_channel_gate(jax.random.key(0), channels=K, units=2)
    constant = jnp.broadcast_to(jnp.asarray(IMAGE[0, 0]), IMAGE.shape)
    hidden = np.maximum(params.reduce_weight @ IMAGE[0, 0], 0.0)
    factors = 1 / (1 + np.exp(-params.expand_weight @ hidden))
    yield jattn.images.squeeze_excitation(params, constant).factors, factors


@law
def gates_without_weights_quarter_an_image():
    """cbam: without weights both gates are one half."""
    params = jattn.images.init_cbam(jax.random.key(0), channels=K, units=2, size=3)
    params = jax.tree.map(jnp.zeros_like, params)
    yield jattn.images.cbam(params, IMAGE).features, IMAGE / 4


@law
def a_constant_image_has_one_mean_and_maximum():
    """cbam: in a constant image mean and maximum are the same, and the network counts twice."""
    params = jattn.images.init_cbam(jax.random.key(0), channels=K, units=2, size=3)
    constant = jnp.broadcast_to(jnp.asarray(IMAGE[0, 0]), IMAGE.shape)
    once = jattn.images.squeeze_excitation(params.channels, constant).factors
    odds = once / (1 - once)
    yield jattn.images.cbam(params, constant).factors, odds**2 / (1 + odds**2)


@law
def a_gate_without_weights_is_its_bias():
    """attention_gate: without weights every place has the sigmoid of the score's bias."""
    sizes: Any = {"channels": K, "signal_channels": 2, "units": 3}
    params = jattn.images.init_attention_gate(jax.random.key(0), **sizes)
    params = params._replace(score_weight=jnp.zeros(3), score_bias=jnp.asarray(np.log(3.0)))
    signal: Any = RNG.standard_normal((3, 5, 2))
    yield jattn.images.attention_gate(params, IMAGE, signal).features, 0.75 * IMAGE


@law
def a_non_local_block_is_dot_attention():
    """non_local_block: identities as its maps add the dot attention of the places."""
    eye = jnp.eye(K)
    params = jattn.images.NonLocalParams(eye, eye, eye, eye)
    places = IMAGE.reshape(15, K)
    block = jattn.images.non_local_block(params, IMAGE)
    added = jattn.dot_attention(places, places, places).context
    yield block.features, IMAGE + added.reshape(IMAGE.shape)


@law
def a_non_local_block_starts_as_the_identity():
    """init_non_local: the block starts as the identity."""
    params = jattn.images.init_non_local(jax.random.key(0), channels=K, units=2)
    yield jattn.images.non_local_block(params, IMAGE).features, IMAGE


def deformable(offset: Any, points: Any) -> Any:
    """Returns what two equal points of one head read, without maps."""
    params = jattn.images.DeformableParams(
        *(jnp.zeros((1, 2, 2, 1)), jnp.tile(jnp.asarray(offset, float), (1, 2, 1))),
        *(jnp.zeros((1, 2, 1)), jnp.zeros((1, 2)), jnp.eye(K)[None], jnp.eye(K)[:, None]),
    )
    points = jnp.asarray(points)[None]
    return jattn.images.deformable_attention(params, jnp.ones((1, 1)), points, IMAGE).context[0]


@law
def points_without_offsets_sample_the_image():
    """deformable_attention: without offsets it is the bilinear sample at the reference point."""
    yield deformable([0, 0], [1.5 / 3, 2.5 / 5]), IMAGE[1, 2]
    yield deformable([0, 0], [1 / 3, 2 / 5]), IMAGE[:2, 1:3].mean((0, 1))
    yield deformable([0, 0], [0.0, 0.5 / 5]), IMAGE[0, 0] / 2


@law
def offsets_are_counted_in_pixels():
    """deformable_attention: an offset of one row and minus two columns reads that pixel."""
    yield deformable([1, -2], [1.5 / 3, 2.5 / 5]), IMAGE[2, 0]
    yield deformable([7, 0], [1.5 / 3, 2.5 / 5]), np.zeros(K)


@law
def a_gru_with_an_open_update_gate_keeps_its_state():
    """gru_cell: with an update gate of one the state stays as it is."""
    params = jattn.init_gru(jax.random.key(0), input_size=3, units=2)
    bias = jnp.asarray(params.input_bias).at[1].set(1e3)
    hidden = jnp.asarray([0.3, -0.8])
    yield jattn.gru_cell(params._replace(input_bias=bias), hidden, jnp.ones(3)), hidden


@law
def a_gru_with_closed_gates_is_a_tanh():
    """gru_cell: with both gates closed the state is the tanh of the candidate's input part."""
    params = jattn.init_gru(jax.random.key(0), input_size=3, units=2)
    bias = jnp.asarray(params.input_bias).at[:2].set(-1e3)
    hidden, inputs = jnp.asarray([0.3, -0.8]), jnp.asarray([0.1, 0.5, -1.0])
    candidate = jnp.tanh(params.input_weight[2] @ inputs + params.input_bias[2])
    yield jattn.gru_cell(params._replace(input_bias=bias), hidden, inputs), candidate


ADDITIVE = jattn.init_additive(jax.random.key(3), query_size=K, key_size=K, units=3, bias=True)
ONE_HOT = np.eye(S)


def monotonic_params(offset: float) -> alignment.MonotonicParams:
    """Parameters whose energy is `offset` at every key."""
    params = alignment.init_monotonic(jax.random.key(0), query_size=K, key_size=K, units=3)
    return params._replace(gain=jnp.zeros(()), offset=jnp.asarray(offset))


@law
def without_filters_location_awareness_is_additive():
    """alignment.location_aware: with a filter of zeros it is additive attention."""
    params = alignment.LocationAwareParams(
        *ADDITIVE[:3], jnp.ones((3, 2)), jnp.zeros((2, 3)), ADDITIVE.bias
    )
    aware = alignment.location_aware(params, QUERY, KEY, VALUE)
    yield aware.context, jattn.additive_attention(ADDITIVE, QUERY, KEY, VALUE).context


@law
def a_filter_looks_at_the_neighbours_of_a_key():
    """alignment.location_aware: a filter with its one tap before the centre moves weights on."""
    moving = alignment.LocationAwareParams(
        jnp.zeros((1, K)), jnp.zeros((1, K)), jnp.full(1, 1e4), jnp.ones((1, 1)), row(1.0, 0.0, 0.0)
    )
    for place in (0, 3):
        start = jnp.asarray(ONE_HOT[place])
        moved = alignment.location_aware(moving, QUERY[:2], KEY, VALUE, initial=start)
        yield moved.weights, ONE_HOT[[place + 1, place + 2]]


@law
def without_its_weight_coverage_is_additive():
    """alignment.coverage: with a coverage weight of zero it is additive attention."""
    params = alignment.CoverageParams(*ADDITIVE[:3], jnp.zeros(3), ADDITIVE.bias)
    covering = alignment.coverage(params, QUERY, KEY, VALUE)
    yield covering.context, jattn.additive_attention(ADDITIVE, QUERY, KEY, VALUE).context


@law
def repeated_attention_is_counted():
    """alignment.coverage_loss: n queries that all attend to one key lose n - 1."""
    yield alignment.coverage_loss(jnp.asarray(ONE_HOT[[2, 2, 2, 2]])).sum(), jnp.asarray(3.0)
    yield alignment.coverage_loss(jnp.asarray(ONE_HOT)).sum(), jnp.asarray(0.0)


@law
def a_constant_chance_to_stop_gives_a_negative_binomial():
    """alignment.monotonic: with chance p at every key, C(i + j, i) p^(i + 1) (1 - p)^j, from 0."""
    stop = 0.3
    params = monotonic_params(np.log(stop / (1 - stop)))
    weights = alignment.monotonic(params, QUERY, KEY, VALUE).weights
    expected = [
        [math.comb(i + j, i) * stop ** (i + 1) * (1 - stop) ** j for j in range(S)]
        for i in range(T)
    ]
    yield weights, np.asarray(expected)


@law
def the_scan_over_keys_is_the_recurrence():
    """alignment.monotonic: the parallel form is the recurrence of the paper, key after key."""
    params = alignment.init_monotonic(
        jax.random.key(1), query_size=K, key_size=K, units=3, offset=0.2
    )
    stop = jax.nn.sigmoid(alignment.monotonic_energies(params, QUERY, KEY))
    weights, before = [], jnp.asarray(ONE_HOT[0])
    for i in range(T):
        arrive, row = 0.0, []
        for j in range(S):
            arrive = (1 - stop[i, j - 1]) * arrive + before[j] if j else before[j]
            row.append(stop[i, j] * arrive)
        before = jnp.asarray(row)
        weights.append(before)
    yield alignment.monotonic(params, QUERY, KEY, VALUE).weights, jnp.stack(weights)


@law
def certain_chances_give_the_hard_process():
    """alignment.hard_monotonic: the limit of monotonic attention as chances go to 0 and 1."""
    params = alignment.init_monotonic(
        jax.random.key(1), query_size=K, key_size=K, units=3, offset=0.05
    )
    certain = params._replace(gain=params.gain * 1e6, offset=params.offset * 1e6)
    hard = alignment.hard_monotonic(params, QUERY, KEY, VALUE)
    yield hard.weights, alignment.monotonic(certain, QUERY, KEY, VALUE).weights


@law
def steps_of_an_alignment_are_the_whole():
    """alignment.monotonic: one step after another gives the weights of the whole pass."""
    params = alignment.init_monotonic(jax.random.key(1), query_size=K, key_size=K, units=3)
    state, rows = alignment.monotonic_start(jnp.asarray(KEY)), []
    for query in QUERY:
        attended, state = alignment.monotonic_step(params, state, query, KEY, VALUE)
        rows.append(attended.weights)
    yield alignment.monotonic(params, QUERY, KEY, VALUE).weights, jnp.stack(rows)


@law
def equal_scores_halve_the_stick():
    """alignment.stick_breaking: of zero scores, key j of query i gets 2^-(i - j), if it is past."""
    weights = alignment.stick_breaking(jnp.zeros((T, S)), masks.causal(-1))
    distance = np.arange(T)[:, None] - np.arange(S)
    yield weights, np.where(distance > 0, 0.5 ** np.maximum(distance, 0), 0.0)


FLAT = jattn.AdditiveParams(jnp.zeros((1, K)), jnp.zeros((1, K)), jnp.ones(1))


def binomials(chance: float) -> Any:
    """The chance of j steps among the first i, where the first query may take one already."""
    return np.asarray(
        [
            [
                math.comb(i, j) * chance**j * (1 - chance) ** (i - j) if j <= i else 0.0
                for j in range(S)
            ]
            for i in range(1, T + 1)
        ]
    )


@law
def equal_scores_give_binomials():
    """alignment.forward: of equal scores, query i has gone on Binomial(i, 1/2) times, from 1."""
    yield alignment.forward(FLAT, QUERY, KEY, VALUE).weights, binomials(0.5)


@law
def an_agent_of_equal_scores_gives_its_own_binomials():
    """alignment.forward: with a chance u to go on and equal scores it is Binomial(i, u)."""
    agent = jnp.full(T, np.log(0.3 / 0.7))
    yield alignment.forward(FLAT, QUERY, KEY, VALUE, transition=agent).weights, binomials(0.3)


@law
def an_even_agent_is_none():
    """alignment.forward: a transition of zero, one half, is forward attention without an agent."""
    half = alignment.forward(ADDITIVE, QUERY, KEY, VALUE, transition=jnp.zeros(T))
    yield half.weights, alignment.forward(ADDITIVE, QUERY, KEY, VALUE).weights


@law
def a_centre_at_a_place_gives_its_height():
    """alignment.gaussian_window: a Gaussian whose centre is at a place gives it its height."""
    bias = jnp.log(jnp.asarray([[0.7], [1e3], [1.0]]))
    params = alignment.GaussianWindowParams(jnp.zeros((3, 1, K)), bias)
    yield alignment.gaussian_window(params, QUERY, VALUE).weights, 0.7 * ONE_HOT[1 : T + 1]


@law
def a_pointer_generator_that_generates_or_copies():
    """alignment.copy_distribution: with p of one the vocabulary's, with zero the summed weights."""
    words, weights = jattn.softmax(SCORES[:, :4]), jattn.softmax(SCORES)
    tokens: Any = np.array([1, 1, 3, 0, 3, 1, 1])
    one, none = jnp.ones(T), jnp.zeros(T)
    yield alignment.copy_distribution(one, words, weights, tokens), words
    copied = alignment.copy_distribution(none, words, weights, tokens)
    yield copied, weights @ np.eye(4)[tokens]
    yield copied.sum(1), one


@law
def the_diagonal_costs_nothing():
    """alignment.guided_attention_loss: zero on the diagonal, 1 - exp(-d² / 2g²) at distance d."""
    diagonal = alignment.guided_attention_loss(jnp.eye(S))
    yield diagonal, jnp.zeros(())
    corner = jnp.zeros((S, S)).at[0, S - 1].set(1.0)
    away = 1 - np.exp(-(((S - 1) / S) ** 2) / (2 * 0.3**2))
    yield alignment.guided_attention_loss(corner, width=0.3), jnp.asarray(away / S**2)


@law
def the_best_path_is_the_best_of_all():
    """alignment.monotonic_alignment_search: the largest sum of all paths, one after another."""
    scores = RNG.standard_normal((6, 4))
    paths = []
    for moves in itertools.combinations(range(1, 6), 3):
        keys = [sum(move <= i for move in moves) for i in range(6)]
        paths.append(np.eye(4)[keys])
    best = max(paths, key=lambda path: (path * scores).sum())
    yield alignment.monotonic_alignment_search(scores), best
    yield alignment.monotonic_alignment_search(RNG.standard_normal((4, 4))), np.eye(4)


MOCHA = alignment.init_mocha(
    jax.random.key(2), query_size=K, key_size=K, units=3, offset=-0.5, bias=False
)


@law
def chunks_of_one_key_are_monotonic_attention():
    """alignment.mocha: with chunks of one key it is monotonic attention."""
    chunks = alignment.mocha(MOCHA, QUERY, KEY, VALUE, width=1)
    yield chunks.context, alignment.monotonic(MOCHA.monotonic, QUERY, KEY, VALUE).context


@law
def a_chunk_of_all_keys_is_additive_attention():
    """alignment.mocha: all mass at the last key and chunks of all keys give a softmax."""
    stuck = MOCHA._replace(monotonic=monotonic_params(50.0))
    chunks = alignment.mocha(stuck, QUERY[:1], KEY, VALUE, width=S, initial=ONE_HOT[-1])
    yield chunks.weights, jattn.additive_attention(MOCHA.chunk, QUERY[:1], KEY, VALUE).weights


@law
def infinite_lookback_is_a_chunk_as_wide_as_the_keys():
    """alignment.infinite_lookback: chunkwise attention with chunks of all keys."""
    chunks = alignment.mocha(MOCHA, QUERY, KEY, VALUE, width=S)
    yield alignment.infinite_lookback(MOCHA, QUERY, KEY, VALUE).weights, chunks.weights


@law
def a_wide_mixture_has_the_mean_of_its_components():
    """alignment.stable_mixture: weights sum to one, and their mean is the mean of the means."""
    params = alignment.init_stable_mixture(jax.random.key(0), query_size=K, units=3, components=2)
    deviation, step = np.log(np.expm1(2.0)), np.log(np.expm1(5.0))
    bias = jnp.asarray([[0.0, 1.2], [deviation] * 2, [step, step]])
    params = params._replace(weight=jnp.zeros_like(params.weight), bias=bias)
    start, places = jnp.asarray([20.0, 32.0]), jnp.arange(60.0)[:, None]
    attended = alignment.stable_mixture(params, QUERY[:1], places, initial=start)
    share = jattn.softmax(row(0.0, 1.2))[0]
    yield attended.weights.sum(), jnp.asarray(1.0)
    yield attended.context[0, 0], share @ (start + 5.0)


@law
def beta_binomial_taps_are_the_papers():
    """alignment.beta_binomial_taps: n of 10, α of 0.1, β of 0.9: they sum to one, with mean one."""
    taps = alignment.beta_binomial_taps(11)
    yield taps.sum(), 1.0
    yield taps @ np.arange(11), 1.0
    beta = lambda a, b: math.gamma(a) * math.gamma(b) / math.gamma(a + b)
    expected = [math.comb(10, k) * beta(k + 0.1, 10.9 - k) for k in range(11)]
    yield taps, np.asarray(expected) / beta(0.1, 0.9)


@law
def without_filters_a_dynamic_convolution_is_its_prior():
    """alignment.dynamic_convolution: with score weights of zero it steps on as the prior says."""
    params = alignment.init_dynamic_convolution(jax.random.key(0), query_size=K, units=3)
    params = params._replace(score_weight=jnp.zeros(3), prior=jnp.asarray([0.25, 0.5, 0.25]))
    attended = alignment.dynamic_convolution(params, QUERY[:2], VALUE, floor=1e-30)
    expected = np.zeros((2, S))
    expected[0, :3] = [0.25, 0.5, 0.25]
    expected[1, :5] = np.convolve(expected[0, :3], expected[0, :3])
    yield attended.weights, expected


@law
def a_fertility_of_one_is_coverage():
    """alignment.fertility_coverage: where every key has fertility one it is coverage."""
    params = alignment.init_coverage(jax.random.key(4), query_size=K, key_size=K, units=3)
    fertile = alignment.FertilityCoverageParams(*params[:4], jnp.zeros(K), params.bias)
    covering = alignment.fertility_coverage(fertile, QUERY, KEY, VALUE, most=2.0)
    yield covering.context, alignment.coverage(params, QUERY, KEY, VALUE).context


STRENGTH: Any = RNG.uniform(0, 1, S)
DECAY: Any = RNG.uniform(0.5, 1, (S, K))
STEPS: tuple[Any, Any, Any] = (RNG.standard_normal((S, K)), KEY, VALUE)
UNIT_KEYS: Any = KEY / np.linalg.norm(KEY, axis=1, keepdims=True)


@law
def a_chunk_of_one_step_and_one_of_all_are_the_same():
    """delta_rule: the recurrence, chunks of any size and the parallel form are one function."""
    sides = {"erase": STRENGTH[:, None] * UNIT_KEYS, "write": UNIT_KEYS}
    for decay in (DECAY, DECAY[:, :1], None):
        rule = functools.partial(linear.delta_rule, *STEPS, decay=decay, **sides)
        for chunk_size in (2, 4, S):
            yield rule(chunk_size=chunk_size).outputs, rule(chunk_size=1).outputs
            yield rule(chunk_size=chunk_size).state, rule(chunk_size=1).state


@law
def a_decay_of_zero_starts_anew():
    """delta_rule: a decay of 0 leaves what a state of zeros would have become."""
    decay = DECAY.copy()
    decay[3] = 0.0
    later = [rows[3:] for rows in STEPS]
    yield (
        linear.delta_rule(*STEPS, decay=decay).outputs[3:],
        linear.delta_rule(*later, decay=DECAY[3:]).outputs,
    )


@law
def linear_attention_of_equal_keys_is_a_running_mean():
    """linear_attention: keys that are all equal give the mean of the values so far."""
    outputs = linear.linear_attention(STEPS[0], jnp.tile(KEY[:1], (S, 1)), VALUE).outputs
    yield outputs, VALUE.cumsum(0) / np.arange(1, S + 1)[:, None]


@law
def linear_attention_is_attention():
    """linear_attention: it is a causal softmax of the logarithms of products of features."""
    features = lambda x: np.where(x > 0, x + 1, np.exp(np.minimum(x, 0)))
    scores = jnp.log(features(STEPS[0]) @ features(KEY).T)
    weights = jattn.softmax(scores, masks.causal())
    yield linear.linear_attention(*STEPS).outputs, weights @ VALUE


@law
def retention_is_a_product_with_powers():
    """retention: it is (Q Kᵀ ∘ D) V, where D[t, s] is the decay to the power t - s."""
    distances = np.arange(S)[:, None] - np.arange(S)
    powers = np.where(distances < 0, 0.0, 0.8 ** np.maximum(distances, 0))
    yield linear.retention(*STEPS, jnp.asarray(0.8)).outputs, (STEPS[0] @ KEY.T * powers) @ VALUE


@law
def retention_that_keeps_all_is_a_sum():
    """retention: with a decay of 1 it is linear attention without features or a denominator."""
    yield linear.retention(*STEPS, jnp.asarray(1.0)).outputs, np.tril(STEPS[0] @ KEY.T) @ VALUE


@law
def equal_gates_are_retention():
    """gated_linear_attention: with one decay everywhere it is retention."""
    gates = jnp.full((S, K), 0.8)
    yield (
        linear.gated_linear_attention(*STEPS, gates).outputs,
        linear.retention(*STEPS, jnp.asarray(0.8)).outputs,
    )


@law
def hgrn2_that_forgets_all_reads_the_step():
    """hgrn2: with gates of 0 an output is the step's value times the sum of its query."""
    outputs = linear.hgrn2(STEPS[0], VALUE, jnp.zeros((S, K))).outputs
    yield outputs, STEPS[0].sum(1)[:, None] * VALUE


@law
def a_constant_input_is_integrated():
    """state_space_dual: exact steps under a constant input solve the differential equation."""
    step, rate, ones = STRENGTH + 0.1, jnp.asarray(1.7), jnp.ones((S, 1))
    key = ((1 - np.exp(-rate * step)) / (rate * step))[:, None]
    outputs = linear.state_space_dual(ones, key, ones, step, rate).outputs
    yield outputs, (1 - np.exp(-rate * step.cumsum()))[:, None] / rate


@law
def the_delta_rule_is_an_exact_table():
    """delta_net: orthonormal keys of strength 1 hold their values, the last one of each key."""
    keys = jnp.eye(K)[np.array([0, 1, 2, 3, 1, 0, 2])]
    state = linear.delta_net(keys, keys, VALUE, jnp.ones(S)).state
    yield state, VALUE[np.array([5, 4, 6, 3])]


@law
def strength_two_reflects():
    """delta_net: with values of zero and strength 2, each key of length one reflects the state."""
    nothing, twice = jnp.zeros((S, K)), jnp.full(S, 2.0)
    state = linear.delta_net(STEPS[0], UNIT_KEYS, nothing, twice, initial=jnp.eye(K)).state
    reflections = [np.eye(K) - 2 * np.outer(key, key) for key in UNIT_KEYS]
    yield state, functools.reduce(lambda product, each: each @ product, reflections)


@law
def a_gate_of_one_is_the_delta_rule():
    """gated_delta_net: with decays of 1 it is delta_net."""
    yield (
        linear.gated_delta_net(*STEPS, STRENGTH, jnp.ones(S)).outputs,
        linear.delta_net(*STEPS, STRENGTH).outputs,
    )


@law
def one_decay_of_all_features_is_the_gated_delta_rule():
    """kimi_delta_attention: with one decay for all features it is gated_delta_net."""
    decay = DECAY[:, 0]
    yield (
        linear.kimi_delta_attention(*STEPS, STRENGTH, jnp.tile(decay[:, None], (1, K))).state,
        linear.gated_delta_net(*STEPS, STRENGTH, decay).state,
    )


@law
def rwkv7_that_removes_what_it_writes_is_the_delta_rule():
    """rwkv7: without decay, with removal at the key and the rate in key and removal: delta_net."""
    query, key, value = STEPS
    rates = jnp.tile(STRENGTH[:, None], (1, K))
    yield (
        linear.rwkv7(query, rates * key, value, jnp.ones((S, K)), key, rates).outputs,
        linear.delta_net(*STEPS, STRENGTH).outputs,
    )


@law
def two_reflections_are_a_rotation():
    """delta_product: two keys of strength 2 at an angle rotate the state by twice that angle."""
    angle = 0.4
    keys = jnp.asarray([[[1.0, 0.0], [np.cos(angle), np.sin(angle)]]])
    twice, nothing = jnp.full((1, 2), 2.0), jnp.zeros((1, 2, 2))
    product = linear.delta_product(nothing[:, 0], keys, nothing, twice, initial=jnp.eye(2))
    cos, sin = np.cos(2 * angle), np.sin(2 * angle)
    yield product.state, np.array([[cos, -sin], [sin, cos]])


@law
def one_replacement_is_the_delta_rule():
    """delta_product: with one key for each query it is delta_net."""
    query, key, value = STEPS
    product = linear.delta_product(query, key[:, None], value[:, None], STRENGTH[:, None])
    yield product.outputs, linear.delta_net(*STEPS, STRENGTH).outputs


PAGE = """\
# Laws and closed forms

Properties that hold whatever code computes a mechanism. A mistake in a convention, such as an index
that is shifted or a length that counts padding, breaks one of them, even where training does not
notice it. The test suite checks each in float64, to a relative error of 1e-12.
`python -m jattn.testing.laws` prints this page.

| Mechanism | Law |
|---|---|
"""


def page() -> str:
    """Returns the text of docs/laws.md."""
    stated = [(each.__doc__ or "").replace("|", "\\|").split(": ", 1) for each in LAWS]
    rows = [f"| `{name}` | {statement.removesuffix('.')} |" for name, statement in stated]
    return PAGE + "\n".join(rows) + "\n"


if __name__ == "__main__":
    print(page(), end="")
