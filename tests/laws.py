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
