"""Frequencies that are interpolated where they are slow: Peng et al. (2023), arXiv:2309.00071."""

import math

import numpy as np

from jattn._axes import named_axes
from jattn._options import NotNegative, Positive, check_known
from jattn.positions.frequencies import Frequencies, in_the_given_library


@named_axes
def by_parts_frequencies(
    frequencies: Frequencies,
    *,
    factor: Positive,
    length: Positive,
    slow: NotNegative = 1.0,
    fast: Positive = 32.0,
) -> Frequencies:
    """Returns slow frequencies over `factor`, fast ones as they are, and a mean in between.

        turns[i]   = frequencies[i] length / (2 π)
        kept[i]    = (turns[i] - slow) / (fast - slow), cut off at 0 and 1
        outputs[i] = kept[i] frequencies[i] + (1 - kept[i]) frequencies[i] / factor

    The paper calls this NTK-by-parts and names turns, slow and fast r, α and β. Llama 3.1 has it
    with `fast=4.0`, a factor of 8 and a length of 8192, by the names of `low_freq_factor` and
    `high_freq_factor`. Code of YaRN has the ramp of `yarn_frequencies` instead.

    Args:
        factor: how many times longer contexts become.
        length: of the contexts of training.
        slow: number of turns within `length`, up to which a pair is interpolated.
        fast: number of turns from which on a pair is left as it is.

    Raises:
        ValueError: if a number is out of its bounds, or `fast` is not above `slow`.
    """
    _check("by_parts_frequencies", slow, fast, factor=factor, length=length)
    return _by_turns(frequencies, factor=factor, length=length, slow=slow, fast=fast)


@named_axes
def yarn_frequencies(
    frequencies: Frequencies,
    *,
    factor: Positive,
    length: Positive,
    slow: Positive = 1.0,
    fast: Positive = 32.0,
    base: Positive = 10000.0,
    rounded: bool = True,
) -> Frequencies:
    """Returns the frequencies of YaRN's code, whose ramp is linear in the number of the pair.

        pair(turns) = f log(length / (2 π turns)) / log(base)
        kept[i]     = (pair(slow) - i) / (pair(slow) - pair(fast)), cut off at 0 and 1
        outputs[i]  = kept[i] frequencies[i] + (1 - kept[i]) frequencies[i] / factor

    The paper has another ramp, `by_parts_frequencies`. YaRN also multiplies queries and keys by
    `yarn_attention_factor`.

    Args:
        factor, length, slow, fast: as for `by_parts_frequencies`.
        base: of the frequencies.
        rounded: ends of the ramp are rounded outwards to whole pairs, Hugging Face's `truncate`.

    Raises:
        ValueError: if a number is out of its bounds, or `fast` is not above `slow`.
    """
    _check("yarn_frequencies", slow, fast, factor=factor, length=length, base=base)
    size = frequencies.shape[0]
    first, last = (
        size * math.log(length / (2.0 * math.pi * turns)) / math.log(base) for turns in (fast, slow)
    )
    if rounded:
        first, last = math.floor(first), math.ceil(last)
    first, last = max(first, 0), min(last, 2 * size - 1)
    last = first + 0.001 if first == last else last  # As in the code: no division by zero.
    kept = 1.0 - np.clip((np.arange(size) - first) / (last - first), 0.0, 1.0)
    return _mixed(frequencies, shares=kept + (1.0 - kept) / factor)


@named_axes
def yarn_attention_factor(factor: Positive, *, strength: float = 1.0) -> float:
    """Returns the number that YaRN multiplies queries and keys by: 0.1 strength log(factor) + 1.

    Scores are multiplied by its square, which `scale=` of attention can hold instead. A factor of
    at most 1 gives 1. DeepSeek's models name the strength `mscale`. They multiply queries and keys
    by the ratio of two such numbers (`mscale`, `mscale_all_dim`) and the scale of the softmax by
    the square of the second.

        >>> round(yarn_attention_factor(16.0), 5), round(yarn_attention_factor(40.0) ** 2, 5)
        (1.27726, 1.87385)
    """
    return 0.1 * strength * math.log(factor) + 1.0 if factor > 1.0 else 1.0


@in_the_given_library
def _by_turns(xp, frequencies, *, factor, length, slow, fast):
    turns = frequencies * (length / (2.0 * math.pi))
    kept = xp.where(turns < fast, (turns - slow) / (fast - slow), 1.0)
    kept = xp.where(turns > slow, kept, 0.0)
    return kept * frequencies + (1.0 - kept) * (frequencies / factor)


@in_the_given_library
def _mixed(xp, frequencies, *, shares):
    return frequencies * xp.asarray(shares, frequencies.dtype)


def _check(function: str, slow: float, fast: float, **numbers: float) -> None:
    for name, number in {**numbers, "slow": slow, "fast": fast}.items():
        check_known(f"{function}: {name}", number)
    if not slow < fast:
        raise ValueError(f"{function}: fast is {fast}, expected more than slow, which is {slow}")
