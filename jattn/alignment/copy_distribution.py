"""Copied words: See, Liu & Manning (2017), arXiv:1704.04368."""

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int

from jattn.mechanism import Count, at_least_float32, named_axes


@named_axes
@at_least_float32
def copy_distribution(
    generate: Float[Array, " t"],
    vocabulary: Float[Array, "t w"],
    weights: Float[Array, "t s"],
    tokens: Int[Array, " s"],
    *,
    extra_words: Count = 0,
) -> Float[Array, "t w"]:
    """Returns probabilities of words that are generated or copied from where attention is.

        outputs[t, w] = generate[t] vocabulary[t, w]
                        + (1 - generate[t]) Σ_{s: tokens[s] = w} weights[t, s]

    The paper names these p_gen, P_vocab, a^t and P(w). Rows sum to one if those of `vocabulary` and
    `weights` do. A pointer network (Vinyals et al. 2015, arXiv:1506.03134) is `generate` of zero. A
    loss takes the logarithm of the sum, and not a sum of logarithms.

        >>> half, words = jnp.full(1, 0.5), jnp.array([[0.5, 0.25, 0.25]])
        >>> print(copy_distribution(half, words, jnp.array([[0.5, 0.5]]), np.array([2, 2])))
        [[0.25  0.125 0.625]]

    Args:
        generate: the probability of generating, between zero and one.
        vocabulary: probabilities of the words that can be generated.
        weights: of a mechanism; zero for padding, whose tokens may be any.
        tokens: the words at the places of the source. A traced token out of range adds nothing.
        extra_words: words of the source that cannot be generated, numbered after the vocabulary;
            the outputs have a column more for each.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, extra_words is negative, or
            a token is negative or not less than the number of words.
    """
    words = vocabulary.shape[1] + extra_words
    if not isinstance(tokens, Tracer) and np.size(tokens):
        for extreme in (int(np.asarray(tokens).min()), int(np.asarray(tokens).max())):
            if not 0 <= extreme < words:
                expected = f"expected 0 to {words - 1} (w)"
                raise ValueError(f"copy_distribution: tokens holds {extreme}, {expected}")
    generated = jnp.pad(generate[:, None] * vocabulary, ((0, 0), (0, extra_words)))
    copied = (1.0 - generate)[:, None] * weights
    return generated.at[:, tokens].add(copied, mode="drop", wrap_negative_indices=False)
