# pyright: reportArgumentType=false
"""Laws of selectors, and of attention to fewer keys than there are."""

import functools
from typing import Any

import jax.numpy as jnp
import numpy as np

import jattn
from jattn import masks, selectors
from jattn.testing.laws.law import KEY, QUERY, RNG, SCORES, VALUE, K, S, T, V, law

BRANCHES = RNG.standard_normal((S, 3, K)), RNG.standard_normal((S, 3, V))


@law
def attention_to_the_top_keys_is_a_normalizer():
    """selectors.top_k: attention under its choice is attention with top_k_softmax."""
    chosen = selectors.top_k(QUERY @ KEY.T, count=3)
    normalizer = functools.partial(jattn.top_k_softmax, count=3)
    yield (
        jattn.scaled_dot_product_attention(QUERY, KEY, VALUE, mask=chosen).weights,
        jattn.scaled_dot_product_attention(QUERY, KEY, VALUE, normalizer=normalizer).weights,
    )


@law
def hidden_scores_take_no_place():
    """selectors.top_k: with hidden keys it is the choice among the others, the first of equals."""
    negative = SCORES - 10.0
    mask = np.arange(S) >= 3
    chosen = selectors.top_k(negative, np.tile(mask, (T, 1)), count=2)
    yield chosen[:, 3:], selectors.top_k(negative[:, 3:], count=2)
    yield selectors.top_k(jnp.zeros((1, 5)), count=2), [[True, True, False, False, False]]


@law
def all_blocks_are_causal_and_one_is_the_own():
    """selectors.moba: all blocks give the causal mask, and one gives the query's own block."""
    causal = masks.causal(S - T)
    choose = functools.partial(selectors.moba, QUERY, KEY, block_size=2, offset=S - T)
    yield choose(count=4), causal.dense(T, S)
    yield choose(count=1), (causal & masks.blocks(2, S - T)).dense(T, S)


@law
def a_block_like_the_query_is_chosen():
    """selectors.moba: of two blocks, one is the own, and one has the keys that match the query."""
    keys = np.repeat(np.eye(4), 3, axis=0)
    chosen = selectors.moba(np.eye(4)[[1]], keys, block_size=3, count=2, offset=11)
    yield chosen[0], np.repeat([False, True, False, True], 3)


@law
def an_important_block_is_the_one_that_is_read():
    """selectors.native_blocks: overlapping compressed blocks point to the block that they cover."""
    keys = np.zeros((24, K))
    keys[8:12] = 9.0
    query = np.ones((1, K))
    sizes: Any = {"block_size": 4, "compressed_size": 4, "stride": 2}
    chosen = selectors.native_blocks(query, keys, **sizes, count=2, initial=0, local=1, offset=23)
    yield chosen[0], np.repeat([False, False, True, False, False, True], 4)


@law
def all_native_blocks_are_causal():
    """selectors.native_blocks: with as many blocks as there are it gives the causal mask."""
    chosen = selectors.native_blocks(QUERY, KEY, block_size=2, count=4, offset=S - T)
    yield chosen, masks.causal(S - T).dense(T, S)


@law
def each_branch_that_sees_all_is_causal_attention():
    """native_sparse_attention: blocks of one key, all blocks, or a wide window: causal softmax."""
    query = RNG.standard_normal((T, 2, K))
    sizes: Any = {"block_size": 2, "count": 4, "window": S, "compressed_size": 1, "offset": S - T}
    for branch in range(3):
        gates = jnp.zeros((T, 2, 3)).at[:, :, branch].set(1.0)
        found = jattn.native_sparse_attention(query, *BRANCHES, gates, **sizes).context
        keys, values = (array[:, branch] for array in BRANCHES)
        for head in range(2):
            expected = jattn.scaled_dot_product_attention(
                query[:, head], keys, values, mask=masks.causal(S - T)
            )
            yield found[:, head], expected.context


@law
def one_direction_hashes_by_its_side():
    """selectors.lsh: one direction is two buckets, the sides of a plane; lengths do not matter."""
    side = KEY @ np.ones(K) > 0
    others = (side[:, None] == side[None]) & ~np.eye(S, dtype=bool)
    same = others | (np.eye(S, dtype=bool) & ~others.any(1, keepdims=True))
    rotation = np.ones((1, K, 1))
    yield selectors.lsh(KEY, rotation), same
    yield selectors.lsh(KEY * (1.0 + np.arange(S)[:, None]), rotation), same


@law
def a_token_without_others_attends_to_itself():
    """selectors.lsh: the first token of a causal sequence has itself alone."""
    chosen = selectors.lsh(np.ones((3, K)), np.ones((1, K, 1)), mask=masks.causal())
    yield chosen, [[True, False, False], [True, False, False], [True, True, False]]


@law
def one_cluster_hides_nothing():
    """selectors.routing: one centroid gives the mask; each token may be scaled and shifted."""
    centroids = RNG.standard_normal((3, K))
    yield selectors.routing(QUERY, KEY, centroids[:1]), np.ones((T, S))
    yield (
        selectors.routing(QUERY, KEY, centroids[:1], mask=masks.causal()),
        masks.causal().dense(T, S),
    )
    moved = QUERY * (1.0 + np.arange(T)[:, None]) - 3.0, KEY / (1.0 + np.arange(S)[:, None]) + 7.0
    for count in (None, 2):
        chosen = selectors.routing(QUERY, KEY, centroids, count=count)
        yield selectors.routing(*moved, centroids, count=count), chosen


@law
def negative_products_do_not_count():
    """selectors.indexer_scores: heads that reject a key do not lower its score."""
    query = np.eye(2)[None]
    keys = np.array([[3.0, -5.0], [1.0, 0.0]])
    scores = selectors.indexer_scores(query, np.ones((1, 2)), keys)
    yield scores, [[3.0, 1.0]]
    yield selectors.top_k(scores, count=1), [[True, False]]


@law
def a_divergence_from_the_own_softmax_is_zero():
    """selectors.indexer_loss: zero at the target; for equal scores log n less its entropy."""
    weights = jattn.softmax(SCORES)
    yield 1.0 + selectors.indexer_loss(SCORES, 0.5 * jnp.stack([weights] * 3)), np.ones(T)
    entropy = -(weights * jnp.log(weights)).sum(1)
    yield selectors.indexer_loss(jnp.ones((T, S)), weights[None]), np.log(S) - entropy


@law
def a_projection_that_keeps_all_keys_is_attention():
    """linformer_attention: with the identity as its projection it is scaled dot-product."""
    found = jattn.linformer_attention(QUERY, KEY, VALUE, jnp.eye(S))
    yield found.context, jattn.scaled_dot_product_attention(QUERY, KEY, VALUE).context


@law
def landmarks_of_all_tokens_are_exact():
    """nystrom_attention: with a landmark for each token it converges to softmax attention."""
    found = jattn.nystrom_attention(4.0 * KEY, KEY, VALUE, landmarks=S, steps=40)
    yield found.context, jattn.scaled_dot_product_attention(4.0 * KEY, KEY, VALUE).context


@law
def one_landmark_is_the_mean_query():
    """nystrom_attention: with one landmark every query attends as the mean of all queries."""
    found = jattn.nystrom_attention(QUERY, KEY, VALUE, landmarks=1).context
    mean = jattn.scaled_dot_product_attention(QUERY.mean(0, keepdims=True), KEY, VALUE).context
    yield found, np.tile(mean, (T, 1))


@law
def a_pointer_is_the_distribution_itself():
    """additive_attention: a pointer network's output is its weights, the mean of unit vectors."""
    of_query, of_key = RNG.standard_normal((2, 6, K))
    params = jattn.AdditiveParams(of_query, of_key, RNG.standard_normal(6))
    pointed = jattn.additive_attention(params, QUERY, KEY, jnp.eye(S))
    yield pointed.context, pointed.weights
    hidden = np.tanh((QUERY @ params.query_weight.T)[:, None] + (KEY @ params.key_weight.T)[None])
    yield pointed.weights, jattn.softmax(hidden @ params.score_weight)
