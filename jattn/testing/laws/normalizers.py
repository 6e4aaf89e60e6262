"""Laws of normalizers."""

import jax
import jax.numpy as jnp
import numpy as np

import jattn
from jattn import masks
from jattn.testing.laws.law import SCORES, S, T, law, row


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
