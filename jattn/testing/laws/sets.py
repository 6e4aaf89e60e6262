"""Laws of sets, graphs and two sequences."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jattn
from jattn.testing.laws.law import KEY, QUERY, RNG, SCORES, VALUE, K, S, T, V, law


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
