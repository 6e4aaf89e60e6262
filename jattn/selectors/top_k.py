"""The keys with the largest scores: Gupta et al. (2021), arXiv:2106.06899."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from jattn._axes import named_axes
from jattn._options import Count
from jattn._precision import at_least_float32
from jattn.normalizers.counted import Allowed, Scores, counted

Selected = Bool[Array, "t s"]


@named_axes
@at_least_float32
def top_k(
    scores: Scores, mask: Allowed = None, *, count: Count | Int[Array, ""]
) -> Bool[Array, "t s"]:
    """Chooses the `count` keys of each query with the largest scores.

    Of equal scores the first is chosen. Attention with this mask and softmax is attention with
    `top_k_softmax`, if the scores are its own. They may be others, such as `indexer_scores`.

        >>> print(top_k(jnp.asarray([[1.0, 3.0, 2.0], [5.0, 5.0, 5.0]]), count=2).astype(int))
        [[0 1 1]
         [1 1 0]]

    Args:
        scores: of any kind. A score of -inf is never chosen.
        mask: True where a query may attend to a key.
        count: number of keys, which may be traced. A query with fewer gets all of them.

    Raises:
        ValueError: if scores and mask disagree about an axis, the mask is not boolean, or count is
            negative.
    """
    allowed, scores = counted(scores, mask)
    return largest(scores, allowed, count)


def largest(
    scores: Float[Array, "t n"],
    allowed: Bool[Array, "t n"],
    count: int | Int[Array, ""],
    first: Bool[Array, "t n"] | None = None,
) -> Bool[Array, "t n"]:
    """Returns the `count` largest of the allowed scores of a row, those in `first` before others.

    Of equal scores the first is kept.
    """
    forced = jnp.zeros_like(allowed) if first is None else first
    ranks = _ranks(lax.stop_gradient(scores), allowed, forced)
    return allowed & (ranks < jnp.asarray(count, ranks.dtype))


@jax.jit  # `jax.experimental.jet` has no rule for a sort.
def _ranks(
    scores: Float[Array, "t n"], allowed: Bool[Array, "t n"], first: Bool[Array, "t n"]
) -> Int[Array, "t n"]:
    """Returns the place of each score in falling order, after forced ones and before hidden ones.

    Allowed is a key of the sort, so that no finite score ties with hidden ones.
    """
    places = lax.broadcasted_iota(jnp.int32, scores.shape, 1)
    falling = jnp.where(allowed, -scores, 0.0)
    order = lax.sort((~allowed, ~first, falling, places), dimension=1, num_keys=3)[3]
    return jnp.argsort(order, axis=1)
