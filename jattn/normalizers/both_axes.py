"""Weights that depend on all queries, since columns of scores are normalized too."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from jattn._axes import named_axes
from jattn._options import Count, NotNegative
from jattn._precision import at_least_float32
from jattn.normalizers.counted import Allowed, Scores, Weights, counted

Matrix = Float[Array, "n m"]


@named_axes
@at_least_float32
def slot_softmax(scores: Scores, mask: Allowed = None, *, epsilon: NotNegative = 1e-8) -> Weights:
    """Returns a softmax over the queries, whose rows are then divided by their sums.

        shares[t, s]  = exp(scores[t, s]) / Σ_t exp(scores) + epsilon
        weights[t, s] = shares[t, s] / Σ_s shares

    Queries compete for each key: they are slots, or clusters, and a context is the mean of the
    keys that a query won. The weights of a row depend on those of other rows, so the queries
    cannot be computed in chunks. Source: Locatello et al. (2020), arXiv:2006.15055, in whose code
    epsilon is added as above.

    Raises:
        ValueError: if scores and mask disagree about an axis, or the mask is not boolean.
    """
    mask, scores = counted(scores, mask)
    return weights_of_shares(jnp.exp(_normalized(scores, mask, axis=0)), mask, epsilon)


def weights_of_shares(
    shares: Weights, mask: Bool[Array, "t s"] | None, epsilon: NotNegative
) -> Weights:
    """Returns the shares that queries have of each key, plus epsilon, over their sum in a row."""
    parts = shares + epsilon
    parts = parts if mask is None else jnp.where(mask, parts, 0.0)
    total = parts.sum(1, keepdims=True)
    return parts / jnp.where(total == 0.0, 1.0, total)


@named_axes
@at_least_float32
def sinkhorn(scores: Scores, mask: Allowed = None, *, steps: Count = 3) -> Weights:
    """Returns exponentials of which rows and columns are divided by their sums in turn.

    Step 1 is `softmax`, step 2 divides each column by its sum, and so on: after an odd number of
    steps rows sum to one. In the limit, as many queries as keys have a matrix whose columns sum to
    one as well. It is computed in logarithms. Weights depend on all queries, so these cannot be
    computed in chunks; keys of later queries are seen too, so a causal mask is not enough. Source:
    Sander et al. (2022), arXiv:2110.11773, who count steps as here; other code counts pairs of
    steps, and may end with the columns.

    Raises:
        ValueError: if scores and mask disagree about an axis, the mask is not boolean, or steps is
            negative.
    """
    mask, scores = counted(scores, mask)
    for step in range(steps):
        scores = _normalized(scores, mask, axis=1 - step % 2)
    return jnp.where(mask, jnp.exp(jnp.where(mask, scores, 0.0)), 0.0)


@named_axes
@at_least_float32
def dustbin_sinkhorn(
    scores: Scores,
    mask: Allowed = None,
    *,
    dustbin: Float[Array, ""] | float = 1.0,
    steps: Count = 100,
) -> Weights:
    """Returns a matching in which queries and keys may be left without a partner.

    The scores get one more row and column, the dustbins, filled with the number `dustbin`. Rows
    and columns are then scaled in turn, rows first, until each query and key has a sum of one, the
    dustbin of queries one of the number of keys, and that of keys one of the number of queries.
    The weights are those without dustbins, so rows sum to at most one. Source: Sarlin et al.
    (2020), arXiv:1911.11763, who learn the number and take 100 steps. A slack row that takes no
    part in the scaling, as in RPM-Net, is another algorithm.

    Raises:
        ValueError: if scores and mask disagree about an axis, the mask is not boolean, or steps is
            negative.
    """
    mask, scores = counted(scores, mask)
    rows, columns = mask.any(1), mask.any(0)
    size = lambda kept: jnp.maximum(kept.astype(scores.dtype).sum(), 1.0)
    pad = lambda kept: jnp.concatenate([kept, jnp.ones(1, bool)])
    whole = jnp.block([[mask, rows[:, None]], [pad(columns)[None]]])
    bin_column = jnp.full((scores.shape[0], 1), dustbin, scores.dtype)
    bin_row = jnp.full((1, scores.shape[1] + 1), dustbin, scores.dtype)
    scores = jnp.concatenate([jnp.concatenate([scores, bin_column], 1), bin_row], 0)
    row_sums = jnp.zeros(scores.shape[0], scores.dtype).at[-1].set(jnp.log(size(columns)))
    column_sums = jnp.zeros(scores.shape[1], scores.dtype).at[-1].set(jnp.log(size(rows)))

    def scale(_, scores):
        scores = _normalized(scores, whole, axis=1) + row_sums[:, None]
        return _normalized(scores, whole, axis=0) + column_sums[None]

    scores = lax.fori_loop(0, steps, scale, scores)[:-1, :-1]
    return jnp.where(mask, jnp.exp(jnp.where(mask, scores, 0.0)), 0.0)


def _normalized(scores: Matrix, mask: Bool[Array, "n m"], axis: int) -> Matrix:
    """Returns the scores minus the logarithm of the sum of their exponentials along an axis."""
    lowest = jnp.finfo(scores.dtype).min
    allowed = lax.stop_gradient(jnp.where(mask, scores, lowest))
    largest = allowed.max(axis, keepdims=True, initial=lowest)
    shifted = jnp.where(mask, scores - largest, 0.0)
    total = jnp.where(mask, jnp.exp(shifted), 0.0).sum(axis, keepdims=True)
    return shifted - jnp.log(jnp.where(total == 0.0, 1.0, total))
