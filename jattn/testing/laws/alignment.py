"""Laws of attention with memory between queries."""

import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jattn
from jattn import alignment, masks
from jattn.testing.laws.law import KEY, QUERY, RNG, SCORES, VALUE, K, S, T, law, row

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
