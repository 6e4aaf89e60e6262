"""Error rates of sequences against one or several references."""

import math
from collections.abc import Hashable, Sequence
from typing import Any, TypeAlias

import jax
import numpy as np

from jattn.training.counts import check_count

Tokens: TypeAlias = Sequence[Hashable] | np.ndarray | jax.Array


def edit_distance(hypothesis: Tokens, reference: Tokens) -> int:
    """Returns the least number of insertions, deletions and substitutions (Levenshtein).

    The table of distances is computed a row at a time, its differences as the bits of two
    integers: Myers (1999), doi:10.1145/316542.316550, and Hyyrö (2003), figure 3, for whole
    sequences. 3,000 tokens against 3,000 take about 20 ms.

    >>> edit_distance("kitten", "sitting")
    3

    Raises:
        ValueError: if a token is not hashable, so that it cannot be looked up.
    """
    hypothesis, reference = _tokens(hypothesis), _tokens(reference)
    size = len(reference)
    if not size:
        return len(hypothesis)
    places = {}
    try:
        for place, token in enumerate(reference):
            places[token] = places.get(token, 0) | 1 << place
        equal_places = [places.get(token, 0) for token in hypothesis]
    except TypeError as error:
        raise ValueError(f"edit_distance: tokens are {error}, expected hashable ones") from None
    distance, last, everywhere = size, 1 << size - 1, (1 << size) - 1
    # Where the distance rises or falls by 1 from one reference token to the next.
    rises, falls = everywhere, 0
    for equal in equal_places:
        no_rise_down = equal | falls
        diagonal = (((equal & rises) + rises) ^ rises) | equal
        rises_across = falls | (everywhere & ~(diagonal | rises))
        falls_across = rises & diagonal
        distance += bool(rises_across & last) - bool(falls_across & last)
        rises_across, falls_across = rises_across << 1 | 1, falls_across << 1
        rises = (falls_across | ~(no_rise_down | rises_across)) & everywhere
        falls = rises_across & no_rise_down & everywhere
    return distance


def token_error_rate(hypotheses: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> float:
    """Returns all edits over all reference tokens, each hypothesis against its closest reference.

    Of equally close references the first counts. With phones as tokens this is the phone error
    rate, with words the word error rate of speech recognition. It can exceed 1.

    >>> token_error_rate(["kat", "dok"], [["kat", "kats"], ["dog"]])
    0.16666666666666666

    Args:
        hypotheses: one sequence of tokens for each example. A string is a sequence of letters.
        references: for each example a list of sequences, of the same kind as its hypothesis.

    Raises:
        ValueError: if the numbers of hypotheses and references differ, if a hypothesis has no
            list of references, or if no reference holds a token.
    """
    _check("token_error_rate", hypotheses, references)
    edits = tokens = 0
    for hypothesis, candidates in zip(hypotheses, references, strict=True):
        distances = [edit_distance(hypothesis, candidate) for candidate in candidates]
        closest = distances.index(min(distances))
        edits += distances[closest]
        tokens += len(candidates[closest])
    if not tokens:
        raise ValueError("token_error_rate: the references hold no token")
    return edits / tokens


def sequence_error_rate(
    hypotheses: Sequence[Tokens], references: Sequence[Sequence[Tokens]]
) -> float:
    """Returns the share of hypotheses that equal none of their references.

    In pronunciation, where a sequence is a word, it is called the word error rate.

    >>> sequence_error_rate(["kat", "dok"], [["kat", "kats"], ["dog"]])
    0.5

    Args:
        hypotheses: one sequence of tokens for each example. A string is a sequence of letters.
        references: for each example a list of sequences, of the same kind as its hypothesis.

    Raises:
        ValueError: if the numbers of hypotheses and references differ, or if a hypothesis has no
            list of references.
    """
    _check("sequence_error_rate", hypotheses, references)
    return sum(
        all(_tokens(hypothesis) != _tokens(candidate) for candidate in candidates)
        for hypothesis, candidates in zip(hypotheses, references, strict=True)
    ) / len(hypotheses)


def standard_error(proportion: float, count: int) -> float:
    """Returns the standard error of a proportion p of n independent trials, sqrt(p (1 - p) / n).

    >>> standard_error(0.5, 100)
    0.05

    Raises:
        ValueError: if `proportion` is not in [0, 1], or if `count` is no number of trials.
    """
    count = check_count("standard_error", "count", count, 1)
    if not 0 <= proportion <= 1:
        raise ValueError(f"standard_error: proportion is {proportion}, expected 0 to 1")
    return math.sqrt(proportion * (1 - proportion) / count)


def _tokens(sequence: Tokens) -> list[Any]:
    """Returns the tokens as Python objects: those of an array are compared by value."""
    if isinstance(sequence, np.ndarray | jax.Array):
        return np.asarray(sequence).tolist()
    return [token.item() if isinstance(token, jax.Array) else token for token in sequence]


def _check(function, hypotheses, references):
    for name, value in (("hypotheses", hypotheses), ("references", references)):
        if not _is_sequence(value) or isinstance(value, str | bytes):
            held = type(value).__name__
            raise ValueError(f"{function}: {name} is a {held}, expected a list, one for an example")
    if len(hypotheses) != len(references) or not len(hypotheses):
        raise ValueError(
            f"{function}: {len(hypotheses)} hypotheses and {len(references)} lists of references,"
            " expected equally many, at least 1"
        )
    for index, (hypothesis, candidates) in enumerate(zip(hypotheses, references, strict=True)):
        if not _is_sequence(hypothesis):
            raise ValueError(
                f"{function}: hypothesis {index} is {hypothesis!r}, expected a sequence of tokens"
            )
        is_text = isinstance(hypothesis, str | bytes)
        if isinstance(candidates, str | bytes) or not (
            _is_sequence(candidates)
            and all(
                _is_sequence(candidate) and isinstance(candidate, str | bytes) == is_text
                for candidate in candidates
            )
        ):
            raise ValueError(
                f"{function}: references of hypothesis {index} are {candidates!r}, expected a list"
                f" of {'strings' if is_text else 'sequences of tokens'}, as the hypothesis is"
            )
        if not len(candidates):
            raise ValueError(f"{function}: hypothesis {index} has no reference")


def _is_sequence(value: Any) -> bool:
    """Returns whether `value` has an order and a length: a list, a string, an array with axes."""
    if isinstance(value, np.ndarray | jax.Array):
        return value.ndim > 0
    return isinstance(value, Sequence)
