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
from jattn import biases, linear, masks

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
