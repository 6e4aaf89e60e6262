"""Captions as tokens. Each language has its own words, and a token that begins its captions."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Key

from experiments.captions.grammar import Rows, caption, vocabulary

STOP = 0


def starts(languages: Sequence[str]) -> Int[Array, " l"]:
    """Returns the token that begins the captions of each language."""
    return jnp.arange(1, 1 + len(languages), dtype=jnp.int32)


def names(languages: Sequence[str]) -> list[str]:
    """Returns the word of each token."""
    said = [word for language in languages for word in vocabulary(language)]
    return ["<stop>", *(f"<{language}>" for language in languages), *said]


def word_count(languages: Sequence[str]) -> int:
    """Returns the number of tokens."""
    return len(names(languages))


def tokens_of(languages: Sequence[str]) -> list[dict[str, int]]:
    """Returns the token of each word, for each language."""
    first, tables = 1 + len(languages), []
    for language in languages:
        words = vocabulary(language)
        tables.append({word: first + index for index, word in enumerate(words)})
        first += len(words)
    return tables


def captions(
    scenes: Sequence[Rows], languages: Sequence[str], longest: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the captions of scenes as tokens, with their lengths and the digits they name.

    Returns:
        Tokens [n l 1+longest], the start, the words, then stops; the number of words and the
        stop after them [n l]; and the place of the digit that each word names, or -1,
        [n l longest], where row t is of token t + 1.
    """
    tables = tokens_of(languages)
    shape = (len(scenes), len(languages))
    tokens = np.full((*shape, longest + 1), STOP, np.int32)
    named = np.full((*shape, longest), -1, np.int32)
    lengths = np.zeros(shape, np.int32)
    tokens[:, :, 0] = np.arange(1, 1 + len(languages))
    for index, rows in enumerate(scenes):
        for place, (language, table) in enumerate(zip(languages, tables, strict=True)):
            words, places = caption(rows, language)
            tokens[index, place, 1 : 1 + len(words)] = [table[word] for word in words]
            named[index, place, : len(words)] = places
            lengths[index, place] = len(words) + 1
    return tokens, lengths, named


def in_one_language(
    rng: Key[Array, ""], tokens: Int[Array, "n l t"], lengths: Int[Array, "n l"]
) -> tuple[Int[Array, "n t"], Int[Array, " n"]]:
    """Returns each scene's caption in a language that is drawn, and its length."""
    count, several = lengths.shape
    rows, language = jnp.arange(count), jax.random.randint(rng, (count,), 0, several)
    return tokens[rows, language], lengths[rows, language]
