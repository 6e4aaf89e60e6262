"""Laws of linear attention."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jattn
from jattn import linear, masks
from jattn.testing.laws.law import KEY, RNG, VALUE, K, S, law

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


# Logarithms of gates, whose exponentials are small, near one and large.
GATES: Any = np.array([-3.0, 0.5, 2.0, -0.5, 4.0, 0.0, 1.0])
FORGET: Any = RNG.uniform(0.5, 1, S)


@law
def an_mlstm_is_its_definition():
    """mlstm: no maximum is in the sums with exponentials as they are, over at least one."""
    query, key, value = STEPS
    state, key_sum, outputs = np.zeros((K, VALUE.shape[1])), np.zeros(K), []
    for step in range(S):
        gate = np.exp(GATES[step])
        state = FORGET[step] * state + gate * np.outer(key[step], value[step])
        key_sum = FORGET[step] * key_sum + gate * key[step]
        outputs.append(query[step] @ state / max(abs(query[step] @ key_sum), 1.0))
    for chunk_size in (1, 3, S):
        found = linear.mlstm(*STEPS, GATES, FORGET, chunk_size=chunk_size)
        yield found.outputs, np.stack(outputs)
        yield jnp.exp(found.maximum) * found.state, state


@law
def gates_of_an_mlstm_may_be_of_any_size():
    """mlstm: gates times exp(1000) and times exp(2000) give the same ratios, which are finite."""
    with_gates = lambda more: linear.mlstm(*STEPS, GATES + more, FORGET).outputs
    yield with_gates(1000.0), with_gates(2000.0)


@law
def an_mlstm_takes_its_start_in_any_scale():
    """mlstm: a state and sum of keys that are divided by exp(m) come with the maximum m."""
    start: Any = {"initial": jnp.ones((K, VALUE.shape[1])), "initial_key_sum": jnp.ones(K)}
    expected = linear.mlstm(*STEPS, GATES, FORGET, **start).outputs
    for maximum in (-2.0, 5.0):
        scaled: Any = {name: rows * np.exp(-maximum) for name, rows in start.items()}
        scaled["initial_maximum"] = jnp.asarray(maximum)
        found = linear.mlstm(*STEPS, GATES, FORGET, **scaled)
        yield found.outputs, expected


def features_of(directions, x):
    """Returns the features of one vector, which are the sum of one key."""
    found = linear.performer(directions, x[None], x[None], jnp.ones((1, 1)))
    return jnp.exp(found.maximum) * found.key_sum


@law
def the_mean_of_random_features_is_the_softmax_kernel():
    """performer: products of features, summed over a grid of normal weights, are exp(q k / √d)."""
    line = np.linspace(-12.0, 12.0, 65)
    grid = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)
    weights = np.exp(-(grid**2).sum(1) / 2) / (2 * np.pi) * (line[1] - line[0]) ** 2
    for query, key in zip(STEPS[0][:3, :2], KEY[:3, :2], strict=True):
        product = features_of(grid, query) * features_of(grid, key)
        yield len(grid) * (weights @ product), jnp.exp(query @ key / np.sqrt(2.0))


@law
def opposite_directions_give_a_hyperbolic_cosine():
    """performer: features of w and -w have the product cosh(w · (q + k)), over squares."""
    direction, (query, key) = RNG.standard_normal((1, K)), (STEPS[0][0], KEY[0])
    both = np.concatenate([direction, -direction])
    scaled = (query + key) / K**0.25
    squares = (query @ query + key @ key) / np.sqrt(K) / 2
    yield (
        features_of(both, query) @ features_of(both, key),
        jnp.exp(-squares) * jnp.cosh(direction[0] @ scaled),
    )


@law
def a_performer_is_attention():
    """performer: it is a causal softmax of the logarithms of products of features."""
    directions = linear.init_performer(jax.random.key(0), key_size=K, features=6)
    features = [jax.vmap(functools.partial(features_of, directions))(x) for x in STEPS[:2]]
    weights = jattn.softmax(jnp.log(features[0] @ features[1].T), masks.causal())
    yield linear.performer(directions, *STEPS).outputs, weights @ VALUE


@law
def a_performer_takes_keys_of_any_length():
    """performer: keys that are 40 times as long have finite weights, that of one step is one."""
    directions = linear.init_performer(jax.random.key(0), key_size=K, features=6)
    outputs = linear.performer(directions, STEPS[0], 40.0 * KEY, jnp.ones((S, 1))).outputs
    yield outputs, jnp.ones((S, 1))


@law
def directions_of_a_block_are_orthogonal():
    """init_performer: of a block of directions, each two are orthogonal; of two blocks not."""
    directions = linear.init_performer(jax.random.key(0), key_size=K, features=2 * K)
    for block in (directions[:K], directions[K:]):
        products = block @ block.T
        yield products, jnp.diag(jnp.diag(products))
