"""Error rates of sequences against one or several references."""

import math
from collections.abc import Hashable, Sequence

Tokens = Sequence[Hashable]


def edit_distance(hypothesis: Tokens, reference: Tokens) -> int:
    """The least number of insertions, deletions and substitutions between the two (Levenshtein).

    >>> edit_distance("kitten", "sitting")
    3
    """
    above = range(len(reference) + 1)
    for row, token in enumerate(hypothesis, start=1):
        current = [row]
        for column, wanted in enumerate(reference):
            substituted = above[column] + (token != wanted)
            current.append(min(substituted, above[column + 1] + 1, current[column] + 1))
        above = current
    return above[-1]


def token_error_rate(hypotheses: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> float:
    """All edits over all reference tokens, each hypothesis against its closest reference.

    Of references equally close, the first. With phones as tokens it is the phone error rate;
    with words, what speech recognition calls the word error rate. It can exceed 1.

    >>> token_error_rate(["kat", "dok"], [["kat", "kats"], ["dog"]])
    0.16666666666666666

    Raises:
        ValueError: there are not as many hypotheses as references, one has no reference, or
            there is no reference token.
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
    """The share of hypotheses that equal none of their references.

    In pronunciation, where a sequence is a word, it is called the word error rate.

    >>> sequence_error_rate(["kat", "dok"], [["kat", "kats"], ["dog"]])
    0.5

    Raises:
        ValueError: there are not as many hypotheses as references, or one has no reference.
    """
    _check("sequence_error_rate", hypotheses, references)
    return sum(
        all(list(hypothesis) != list(candidate) for candidate in candidates)
        for hypothesis, candidates in zip(hypotheses, references, strict=True)
    ) / len(hypotheses)


def standard_error(proportion: float, count: int) -> float:
    """The standard error of a proportion of `count` independent trials, sqrt(p (1 - p) / n).

    >>> standard_error(0.5, 100)
    0.05

    Raises:
        ValueError: it is no proportion, or `count` is less than 1.
    """
    if not 0 <= proportion <= 1 or count < 1:
        raise ValueError(
            f"standard_error: proportion={proportion} with count={count}, expected 0 to 1 of at"
            " least 1"
        )
    return math.sqrt(proportion * (1 - proportion) / count)


def _check(function, hypotheses, references):
    if len(hypotheses) != len(references) or not len(hypotheses):
        raise ValueError(
            f"{function}: {len(hypotheses)} hypotheses and {len(references)} lists of references,"
            " expected equally many, at least 1"
        )
    for index, candidates in enumerate(references):
        if not len(candidates):
            raise ValueError(f"{function}: hypothesis {index} has no reference")
