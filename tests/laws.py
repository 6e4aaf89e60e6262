# pyright: reportArgumentType=false
"""Laws and closed forms that mechanisms obey, whatever code computes them.

Each is a function that yields pairs of arrays that have to be equal. Its docstring states the law.
`python tests/laws.py` prints docs/laws.md.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jattn
from jattn import biases, masks

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


PAGE = """\
# Laws and closed forms

Properties that hold whatever code computes a mechanism. A mistake in a convention, such as an index
that is shifted or a length that counts padding, breaks one of them, even where training does not
notice it. The test suite checks each in float64, to a relative error of 1e-12.
`python tests/laws.py` prints this page.

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
