"""Losses under a mask, and error rates against several references."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jattn.training import (
    edit_distance,
    sequence_error_rate,
    standard_error,
    token_accuracy,
    token_cross_entropy,
    token_error_rate,
)

MASK = np.array([[True, True, False], [False] * 3, [True] * 3])


def examples(dtype=np.float64):
    rng = np.random.default_rng(0)
    return rng.normal(size=(3, 3, 7)).astype(dtype), rng.integers(0, 7, (3, 3), np.int32)


def by_hand(logits, labels, mask, smoothing):
    """Returns the mean of -sum p log softmax, with p = (1 - smoothing) label + smoothing / w."""
    losses = []
    for place in zip(*np.nonzero(mask), strict=True):
        row = logits[place]
        log_probability = row - np.log(np.sum(np.exp(row)))
        target = np.full(len(row), smoothing / len(row))
        target[labels[place]] += 1 - smoothing
        losses.append(-target @ log_probability)
    return np.mean(losses)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_is_the_mean_over_the_kept_tokens(smoothing):
    logits, labels = examples()
    actual = token_cross_entropy(logits, labels, MASK, label_smoothing=smoothing)
    np.testing.assert_allclose(actual, by_hand(logits, labels, MASK, smoothing), rtol=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_masked_tokens_influence_nothing(smoothing):
    logits, labels = examples()
    value_and_gradient = jax.jit(
        jax.value_and_grad(functools.partial(token_cross_entropy, label_smoothing=smoothing))
    )
    value, gradient = value_and_gradient(logits, labels, MASK)
    for poison in (np.nan, np.inf, -np.inf, 1e300):
        poisoned = np.where(MASK[..., None], logits, poison)
        other = value_and_gradient(poisoned, np.where(MASK, labels, -1), MASK)
        assert value == other[0]
        assert (gradient == other[1]).all()
    assert (gradient[~MASK] == 0).all()
    value, gradient = value_and_gradient(logits, labels, np.zeros_like(MASK))
    assert value == 0
    assert (gradient == 0).all()


def test_half_precision_is_computed_in_float32():
    logits, labels = examples(jnp.bfloat16)
    actual = token_cross_entropy(jnp.array(logits), labels, MASK)
    assert actual.dtype == jnp.float32
    expected = by_hand(logits.astype(np.float64), labels, MASK, 0.0)
    np.testing.assert_allclose(actual, expected, rtol=1e-6)
    assert token_cross_entropy(examples()[0], labels, MASK).dtype == jnp.float64


def test_accuracy_counts_the_kept_tokens():
    logits, labels = examples()
    hits = logits.argmax(-1) == labels
    labels[0, 0] = logits[0, 0].argmax()
    hits[0, 0] = True
    assert token_accuracy(logits, labels, MASK) == np.float32(hits[MASK].mean())
    assert token_accuracy(logits, labels, np.zeros_like(MASK)) == 0


@pytest.mark.parametrize("function", [token_cross_entropy, token_accuracy])
def test_arguments_that_disagree_are_named(function):
    logits, labels = examples()
    with pytest.raises(
        ValueError, match=rf"{function.__name__}: labels has shape \(3, 2\), expected"
    ):
        function(logits, labels[:, :2], MASK)
    with pytest.raises(ValueError, match=r"mask has shape \(3,\), expected \(3, 3\)"):
        function(logits, labels, MASK[0])
    with pytest.raises(ValueError, match="mask has dtype float64, expected bool"):
        function(logits, labels, MASK.astype(float))


LOSSES = {
    "cross entropy": token_cross_entropy,
    "smoothed": functools.partial(token_cross_entropy, label_smoothing=0.1),
    "accuracy": token_accuracy,
}


@pytest.mark.parametrize("function", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("label", [-1, -100, 7, 2**32 + 1])
def test_labels_that_are_no_class_are_refused_or_give_nan(function, label):
    """Concrete labels raise; labels of a compiled function make every loss NaN."""
    logits, labels = examples()
    labels = labels.astype(np.int64)
    labels[0, 0] = label
    with pytest.raises(ValueError, match=f"labels holds {label}, expected 0 to 6 where mask is"):
        function(logits, labels, MASK)
    assert jnp.isnan(jax.jit(function)(logits, labels, MASK))
    elsewhere = MASK & (np.arange(9).reshape(3, 3) > 0)
    expected = function(logits, np.clip(labels, 0, 6), elsewhere)
    assert function(logits, labels, elsewhere) == expected
    assert jax.jit(function)(logits, labels, elsewhere) == expected


@pytest.mark.parametrize("function", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.uint32, np.int64])
def test_labels_of_any_integer_dtype_are_the_same_classes(function, dtype):
    """With 300 classes the best one may be past the end of a narrow dtype: 256 + 5 is not 5."""
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(3, 3, 300))
    logits[0, 0, 261] = 9.0
    labels = rng.integers(0, 100, (3, 3))
    labels[0, 0] = 5
    expected = function(logits, labels.astype(np.int32), MASK)
    assert function(logits, labels.astype(dtype), MASK) == expected
    assert jnp.allclose(jax.jit(function)(logits, labels.astype(dtype), MASK), expected)


@pytest.mark.parametrize("function", LOSSES.values(), ids=LOSSES)
def test_sound_calls_do_not_alarm_a_search_for_nan(function):
    logits, labels = examples()
    with jax.debug_nans(True):
        function(logits, labels, MASK)
        jax.vmap(function)(logits, jnp.asarray(labels), jnp.asarray(MASK))


def test_hits_are_not_counted_in_half_precision():
    """4,099 is no float16 and no bfloat16."""
    labels = np.zeros(5003, np.int32)
    labels[4099:] = 1
    for dtype in (np.float16, jnp.bfloat16):
        logits = np.broadcast_to(np.array([1, 0], dtype), (5003, 2))
        accuracy = token_accuracy(logits, labels, np.ones(5003, bool))
        assert accuracy == np.float32(4099 / 5003)


@pytest.mark.parametrize("smoothing", [1.5, -0.3, float("nan"), float("inf"), True, "0.1", None])
def test_smoothing_is_a_share(smoothing):
    with pytest.raises(ValueError, match=r"label_smoothing is .*, expected a number from 0 to 1"):
        token_cross_entropy(*examples(), MASK, label_smoothing=smoothing)


@pytest.mark.parametrize("function", [token_cross_entropy, token_accuracy])
def test_dtypes_that_are_no_scores_or_labels_are_named(function):
    logits, labels = examples()
    name = function.__name__
    for wrong in (labels.astype(float), labels > 3):
        with pytest.raises(ValueError, match=f"{name}: labels has dtype .*, expected integers"):
            function(logits, wrong, MASK)
    with pytest.raises(ValueError, match=f"{name}: logits has dtype int.*, expected a floating"):
        function(logits.astype(int), labels, MASK)
    for wrong in (np.float64(1), np.ones((3, 3, 0))):
        with pytest.raises(ValueError, match=rf"{name}: logits has shape .*, expected \(..., w\)"):
            function(wrong, labels, MASK)


@functools.cache
def defined(hypothesis, reference):
    """Returns the distance by its definition, a recursion over the first tokens."""
    if not hypothesis or not reference:
        return len(hypothesis) + len(reference)
    return min(
        defined(hypothesis[1:], reference) + 1,
        defined(hypothesis, reference[1:]) + 1,
        defined(hypothesis[1:], reference[1:]) + (hypothesis[0] != reference[0]),
    )


WORDS = st.text("abc", max_size=7)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(WORDS, WORDS, WORDS)
def test_edit_distance_is_the_defined_metric(left, middle, right):
    distance = edit_distance(left, right)
    assert distance == defined(left, right) == edit_distance(right, left)
    assert (distance == 0) == (left == right)
    assert distance <= edit_distance(left, middle) + edit_distance(middle, right)


def by_rows(hypothesis, reference):
    """Returns the distance from the table of all distances, row by row."""
    above = list(range(len(reference) + 1))
    for row, token in enumerate(hypothesis, start=1):
        current = [row]
        for column, other in enumerate(reference):
            replaced = above[column] + (token != other)
            current.append(min(replaced, above[column + 1] + 1, current[column] + 1))
        above = current
    return above[-1]


def test_edit_distances_of_sequences_longer_than_a_machine_word():
    rng = np.random.default_rng(0)
    for size in (63, 64, 65, 130):
        hypothesis, reference = (rng.integers(0, 5, size + extra).tolist() for extra in (0, 7))
        assert edit_distance(hypothesis, reference) == by_rows(hypothesis, reference)


def test_edit_distance_of_three_thousand_tokens():
    """A table of nine million entries, which takes seconds in a loop over them."""
    tokens = np.random.default_rng(0).integers(0, 50, 3000).tolist()
    changed = [*tokens[:1000], *tokens[1500:2000], -1, -2, *tokens[2000:]]
    assert edit_distance(tokens, changed) == 502


def test_tokens_of_arrays_are_compared_by_value():
    tokens = np.array([3, 1, 4])
    assert edit_distance(jnp.array([3, 1, 4]), tokens) == 0
    assert edit_distance([np.int32(3), jnp.int32(1)], [3, 1, 4]) == 1
    assert token_error_rate([tokens], [[[3, 1, 5]]]) == 1 / 3
    assert sequence_error_rate([tokens], [[jnp.array([3, 1, 4])]]) == 0
    unhashable: Any = [[1]]
    with pytest.raises(ValueError, match=r"edit_distance: tokens are .*, expected hashable"):
        edit_distance(unhashable, unhashable)


@pytest.mark.parametrize("rate", [token_error_rate, sequence_error_rate])
@pytest.mark.parametrize(
    ("hypotheses", "references"),
    [
        (["kat", "dog"], ["kat", "dog"]),
        ([["K", "AE", "T"]], [["K", "AE", "T"]]),
        ([[3, 1, 4]], [[3, 1, 4]]),
        (np.array([[3, 1, 4]]), np.array([[3, 1, 4]])),
        (["the cat"], [[["the", "cat"]]]),
        ([["the", "cat"]], [["the cat"]]),
        (["kat"], [{"kat"}]),
        ([b"kat"], [b"kat"]),
        ("kat", [["k"], ["a"], ["t"]]),
        ([7], [[[7]]]),
        ([[7]], [None]),
    ],
)
def test_references_that_are_no_list_of_sequences_are_refused(rate, hypotheses, references):
    with pytest.raises(ValueError, match=rf"{rate.__name__}: .*, expected a (list|sequence)"):
        rate(hypotheses, references)


def test_the_closest_reference_counts_and_its_length_divides():
    hypotheses = [["K", "AE", "T"], ["D", "AO", "K"], []]
    references = [[["D"], ["K", "AE", "T", "S"]], [["D", "AO", "G"]], [["AH"]]]
    assert token_error_rate(hypotheses, references) == (1 + 1 + 1) / (4 + 3 + 1)
    assert sequence_error_rate(hypotheses, references) == 1
    references[0].append(["K", "AE", "T"])
    assert token_error_rate(hypotheses, references) == (0 + 1 + 1) / (3 + 3 + 1)
    assert sequence_error_rate(hypotheses, references) == 2 / 3
    assert sequence_error_rate([("K", "AE", "T")], references[:1]) == 0


def test_of_references_equally_close_the_first_counts():
    assert token_error_rate(["ab"], [["abc", "a"]]) == 1 / 3
    assert token_error_rate(["ab"], [["a", "abc"]]) == 1


@pytest.mark.parametrize("rate", [token_error_rate, sequence_error_rate])
def test_error_rates_refuse_what_has_no_answer(rate):
    with pytest.raises(
        ValueError, match=f"{rate.__name__}: 1 hypotheses and 2 lists of references"
    ):
        rate(["a"], [["a"], ["b"]])
    with pytest.raises(ValueError, match="0 hypotheses"):
        rate([], [])
    with pytest.raises(ValueError, match="hypothesis 1 has no reference"):
        rate(["a", "b"], [["a"], []])


def test_references_without_a_token_have_no_token_error_rate():
    with pytest.raises(ValueError, match="token_error_rate: the references hold no token"):
        token_error_rate(["a"], [[""]])


def test_the_standard_error_is_the_spread_of_the_proportion():
    draws = np.random.default_rng(0).binomial(400, 0.3, 100_000) / 400
    np.testing.assert_allclose(standard_error(0.3, 400), draws.std(), rtol=0.01)
    assert standard_error(0.0, 5) == standard_error(1.0, 5) == 0
    for proportion in (1.1, -0.1, float("nan")):
        with pytest.raises(ValueError, match=r"standard_error: proportion is .*, expected 0 to 1"):
            standard_error(proportion, 5)
    wrong: tuple[Any, ...] = (0, 2.5, True)
    for count in wrong:
        with pytest.raises(ValueError, match=r"standard_error: count is .*, expected "):
            standard_error(0.5, count)
