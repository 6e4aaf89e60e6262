"""Padding, buckets, and batches that are functions of (seed, step)."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jattn.training import (
    bucketed_batches,
    length_buckets,
    length_mask,
    pad_to,
    shuffled_batches,
)

FEW = settings(max_examples=60, deadline=None, derandomize=True)


def test_padding_keeps_values_dtypes_and_features():
    sequences = [np.full((length, 3), length, np.float16) for length in (2, 0, 5)]
    padded, lengths = pad_to(sequences, 5, value=-1)
    assert (padded.shape, padded.dtype, lengths.dtype) == ((3, 5, 3), np.float16, np.int32)
    assert lengths.tolist() == [2, 0, 5]
    for row, length in zip(padded, lengths, strict=True):
        assert (row[:length] == length).all()
        assert (row[length:] == -1).all()


@pytest.mark.parametrize(
    ("sequences", "dtype"),
    [
        ([[1, 2], []], np.int32),
        ([[], [0.5]], np.float32),
        ([[True]], np.bool_),
        ([np.array([1, 2]), []], np.int64),
        ([jnp.array([1.0], jnp.bfloat16)], jnp.bfloat16),
    ],
)
def test_python_numbers_take_the_dtype_they_have_in_jax(sequences, dtype):
    assert pad_to(sequences, 2)[0].dtype == dtype


@pytest.mark.parametrize(
    ("sequences", "message"),
    [
        ([], "there are no sequences"),
        (
            [[1, 2], [1, 2, 3]],
            r"sequence 1 has shape \(3,\), expected \(s\) with s at most length=2",
        ),
        ([np.ones((1, 4)), np.ones((1, 3))], r"sequence 1 has shape \(1, 3\), expected \(s, 4\)"),
        ([1, 2], r"sequence 0 has shape \(\), expected \(s\)"),
        ([[1], [2**40]], "sequence 1 holds 1099511627776, expected numbers that int32 holds"),
        ([[2**63]], "sequence 0 holds 9223372036854775808, expected numbers that int32"),
        ([[2**64]], "sequence 0 has dtype object, expected numbers"),
        ([[1e39]], "sequence 0 holds 1e.39, expected numbers that float32 holds"),
        ([[2**24 + 1], [0.5]], "sequence 0 holds integers that float32 rounds"),
        ([np.array([2**53 + 1]), np.ones(1)], "sequence 0 holds integers that float64 rounds"),
        ([["a"]], "sequence 0 has dtype <U1, expected numbers"),
        ([[None]], "sequence 0 has dtype object, expected numbers"),
        ([[1, [2]]], "sequence 0 is no array of numbers"),
    ],
)
def test_what_cannot_be_padded_is_named(sequences, message):
    with pytest.raises(ValueError, match=f"pad_to: {message}"):
        pad_to(sequences, 2)


@pytest.mark.parametrize(
    ("sequences", "value"),
    [
        ([[1]], float("nan")),
        ([[1]], 0.5),
        ([[1]], 2**31),
        ([np.ones(1, np.uint8)], -1),
        ([np.ones(1, np.int8)], 128),
        ([[True]], 2),
        ([np.ones(1, np.float16)], 1e6),
        ([[0.5]], 1j),
        ([[0.5]], "x"),
        ([[0.5]], [0.0, 1.0]),
    ],
)
def test_padding_that_the_dtype_cannot_hold_is_refused(sequences, value):
    with pytest.raises(ValueError, match=r"pad_to: value is .*, expected a number"):
        pad_to(sequences, 2, value=value)


@pytest.mark.parametrize(
    ("sequence", "value"),
    [([0.5], float("nan")), ([0.5], -float("inf")), ([True], 1), ([1], 3.0), ([0.5], 0.1)],
)
def test_padding_that_the_dtype_holds_is_written(sequence, value):
    padded, _ = pad_to([sequence], 2, value=value)
    assert padded.dtype == pad_to([sequence], 2)[0].dtype
    np.testing.assert_array_equal(padded[0, 1], np.asarray(value, padded.dtype))


def test_an_empty_list_takes_the_features_of_the_others():
    padded, lengths = pad_to([[], [[1, 2], [3, 4]], []], 2)
    assert padded.tolist() == [[[0, 0]] * 2, [[1, 2], [3, 4]], [[0, 0]] * 2]
    assert (padded.dtype, lengths.tolist()) == (np.int32, [0, 2, 0])


@pytest.mark.parametrize("length", [2.0, True, -1, None])
def test_a_length_is_a_count(length):
    for function in (lambda: pad_to([[]], length), lambda: length_mask(np.array([0]), length)):
        with pytest.raises(ValueError, match=r"length is .*, expected "):
            function()


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.uint32, np.int64, np.uint64])
def test_a_mask_of_lengths_of_any_integer_dtype(dtype):
    """A length past the end of an int32, or an axis past the end of the dtype, changes nothing."""
    largest = np.iinfo(dtype).max
    mask = length_mask(np.array([0, 3, largest], dtype), 300)
    assert mask.sum(-1).tolist() == [0, 3, min(300, int(largest))]
    traced = jax.jit(length_mask, static_argnums=1)(np.array([0, 3, largest], dtype), 300)
    assert (traced == mask).all()


@pytest.mark.parametrize("lengths", [np.array([True]), np.array([1.0]), [1.5]])
def test_lengths_that_are_no_integers_are_refused(lengths):
    with pytest.raises(ValueError, match=r"length_mask: lengths has dtype .*, expected integers"):
        length_mask(lengths, 3)


def test_the_mask_is_true_on_the_sequence_alone():
    lengths = np.array([[0, 1], [4, 3]])
    mask = jax.jit(length_mask, static_argnums=1)(lengths, 4)
    assert (mask.shape, mask.dtype) == ((2, 2, 4), jnp.bool_)
    assert (mask.sum(-1) == lengths).all()
    assert (jnp.sort(mask, axis=-1, descending=True) == mask).all()


@FEW
@given(st.lists(st.integers(0, 9), min_size=1, max_size=12), st.integers(1, 4))
def test_no_other_buckets_pad_less(lengths, count):
    def area(sizes):
        return sum(min(size for size in sizes if size >= length) for length in lengths)

    sizes = length_buckets(lengths, count)
    assert len(sizes) <= count
    assert list(sizes) == sorted(set(sizes))
    assert sizes[-1] == max(lengths)
    choices = itertools.combinations_with_replacement(range(10), count)
    assert area(sizes) == min(area(c) for c in choices if max(c) == max(lengths))


@pytest.mark.parametrize(
    ("lengths", "count", "message"),
    [
        ([], 1, "lengths is empty, expected at least one"),
        ([3, -1], 1, "lengths holds -1, expected at least 0"),
        ([2.5, 3.0], 1, "lengths has dtype float64, expected integers"),
        ([True, False], 1, "lengths has dtype bool, expected integers"),
        ([3], 0, "count is 0, expected at least 1"),
        ([3], 1.5, "count is 1.5, expected an integer"),
    ],
)
def test_impossible_buckets_are_refused(lengths, count, message):
    with pytest.raises(ValueError, match=f"length_buckets: {message}"):
        length_buckets(lengths, count)


def by_every_split(lengths, count):
    """Returns the least area by the definition: all splits for each bucket, quadratic."""
    sizes, uses = np.unique(lengths, return_counts=True)
    held = np.concatenate([[0], np.cumsum(uses)])
    areas = np.concatenate([[0], sizes * held[1:]])
    for _ in range(1, min(count, len(sizes))):
        choices = [areas[:j] + sizes[j - 1] * (held[j] - held[:j]) for j in range(1, len(areas))]
        areas = np.concatenate([[0], [choice.min() for choice in choices]])
    return areas[-1]


@pytest.mark.parametrize("highest", [50, 700, 10**9])
def test_buckets_of_many_lengths_pad_as_little_as_every_split_would(highest):
    lengths = np.random.default_rng(0).integers(0, highest, 503)
    for count in (2, 3, 7):
        sizes = np.array(length_buckets(lengths, count))
        assert sizes[np.searchsorted(sizes, lengths)].sum() == by_every_split(lengths, count)


def test_twenty_thousand_lengths_have_buckets():
    """With a time that grows with their square, this takes minutes."""
    lengths = np.random.default_rng(0).choice(400_000, 20_000, replace=False)
    sizes = length_buckets(lengths, 8)
    assert len(sizes) == 8
    assert sizes[-1] == lengths.max()
    even = np.quantile(lengths, np.arange(1, 9) / 8, method="higher")
    padded = [np.sort(s)[np.searchsorted(np.sort(s), lengths)].sum() for s in (sizes, even)]
    assert padded[0] < padded[1]


def examples(lengths):
    """Two columns; the second is made from the first, so that mixed-up rows differ."""
    letters = [[place] * length for place, length in enumerate(lengths)]
    phones = [np.full((length % 4, 2), place, np.float32) for place, length in enumerate(lengths)]
    return {"letters": letters, "phones": phones}


@FEW
@given(
    lengths=st.lists(st.integers(0, 9), min_size=1, max_size=40),
    batch_size=st.integers(1, 7),
    buckets=st.integers(1, 4),
    seed=st.integers(0, 2**32),
)
def test_every_example_is_in_one_batch_of_an_epoch(lengths, batch_size, buckets, seed):
    columns = examples(lengths)
    batches = bucketed_batches(columns, batch_size, buckets=buckets, seed=seed, pad_value=-9)
    assert batches.steps_per_epoch == -(-len(lengths) // batch_size)
    assert len(batches.shapes) <= buckets
    batch_size = min(batch_size, len(lengths))
    for epoch in range(2):
        indices = []
        for step in range(batches.steps_per_epoch):
            batch = batches(epoch * batches.steps_per_epoch + step)
            shape = {"letters": batch["letters"].shape[1], "phones": batch["phones"].shape[1]}
            assert shape in batches.shapes
            for row, index in enumerate(batch["index"]):
                for name, column in columns.items():
                    length = batch[f"{name}_length"][row]
                    assert length == (len(column[index]) if index >= 0 else 0)
                    assert (batch[name][row, :length] == index).all()
                    assert (batch[name][row, length:] == -9).all()
            indices += batch["index"].tolist()
        assert sorted(i for i in indices if i >= 0) == list(range(len(lengths)))
        assert indices.count(-1) == -len(lengths) % batch_size


def same(left, right):
    return all(np.array_equal(left[name], right[name]) for name in left)


def test_a_batch_is_a_function_of_seed_and_step():
    columns = examples(np.random.default_rng(0).integers(0, 9, 50))
    batches = bucketed_batches(columns, 8, seed=3)
    once = [batches(step) for step in range(30)]
    again = bucketed_batches(columns, 8, seed=3)
    for step in np.random.default_rng(1).permutation(30):
        assert same(once[step], again(step))
    other = bucketed_batches(columns, 8, seed=4)
    assert not all(same(once[step], other(step)) for step in range(7))
    assert not all(same(once[step], once[step + 7]) for step in range(7))


def test_the_batches_of_the_buckets_are_mixed():
    batches = bucketed_batches(examples(np.arange(90) % 9), 5, buckets=3, seed=0)
    widths = [batches(step)["letters"].shape[1] for step in range(18)]
    assert len(set(widths)) == 3
    assert widths != sorted(widths)


def test_an_epoch_compiles_once_a_bucket():
    traces = []

    @jax.jit
    def total(batch):
        traces.append(batch)
        return sum(jnp.sum(leaf, dtype=jnp.float32) for leaf in batch.values())

    batches = bucketed_batches(examples(np.arange(100) % 13), 4, buckets=3)
    for step in range(2 * batches.steps_per_epoch):
        total(batches(step))
    assert len(traces) == len(batches.shapes) == 3


@pytest.mark.parametrize("columns", [{"a": [[1]], "b": []}, {"a": []}, {}])
def test_impossible_batches_are_refused(columns):
    with pytest.raises(
        ValueError, match=r"bucketed_batches: columns have .* expected equally many"
    ):
        bucketed_batches(columns, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0, expected at least 1"),
        ({"batch_size": 1.0}, "batch_size is 1.0, expected an integer"),
        ({"batch_size": True}, "batch_size is True, expected an integer"),
        ({"seed": -1}, "seed is -1, expected at least 0"),
        ({"seed": 0.5}, "seed is 0.5, expected an integer"),
    ],
)
@pytest.mark.parametrize("function", [bucketed_batches, shuffled_batches])
def test_counts_of_batches_are_whole_numbers(function, options, message):
    with pytest.raises(ValueError, match=f"{function.__name__}: {message}"):
        function({"a": np.ones((2, 1))}, **{"batch_size": 1, **options})


@pytest.mark.parametrize("step", [-1, 0.5, True])
def test_a_step_is_a_count(step):
    for batches in (bucketed_batches({"a": [[1]]}, 1), shuffled_batches(np.ones(2), 1)):
        with pytest.raises(ValueError, match=r"batches: step is .*, expected "):
            batches(step)


def test_names_that_a_batch_has_itself_are_refused():
    column = [[1, 2], [3]]
    with pytest.raises(ValueError, match="columns holds index, expected another name"):
        bucketed_batches({"index": column}, 2)
    with pytest.raises(ValueError, match=r"columns holds a_length, .* has the lengths of a under"):
        bucketed_batches({"a": column, "a_length": column}, 2)
    assert set(bucketed_batches({"a_length": column}, 2)(0)) == {
        "a_length",
        "a_length_length",
        "index",
    }


def test_a_batch_larger_than_the_data_has_a_row_an_example():
    batches = bucketed_batches({"a": [[1, 2], [3]]}, 100_000)
    assert batches.steps_per_epoch == 1
    assert sorted(batches(0)["a"].tolist()) == [[1, 2], [3, 0]]


def test_incomplete_batches_of_lists_of_features_are_filled():
    batches = bucketed_batches({"a": [[[1, 2]], [[3, 4]], [[5, 6], [7, 8]]]}, 2, buckets=1)
    both = [batches(step) for step in range(2)]
    assert np.sort([batch["a_length"] for batch in both], None).tolist() == [0, 1, 1, 2]
    assert all(batch["a"].shape == (2, 2, 2) for batch in both)


@FEW
@given(size=st.integers(1, 30), batch_size=st.integers(1, 30), seed=st.integers(0, 9))
def test_shuffled_batches_skip_only_what_fills_no_batch(size, batch_size, seed):
    arrays = {"x": np.arange(size), "y": np.arange(2 * size).reshape(size, 2)}
    if batch_size > size:
        with pytest.raises(ValueError, match="shuffled_batches: arrays have lengths"):
            shuffled_batches(arrays, batch_size, seed=seed)
        return
    batches = shuffled_batches(arrays, batch_size, seed=seed)
    steps = size // batch_size
    for epoch in range(2):
        epoch_batches = [batches(epoch * steps + step) for step in range(steps)]
        for batch in epoch_batches:
            assert (batch["y"][:, 0] == 2 * batch["x"]).all()
        rows = np.concatenate([batch["x"] for batch in epoch_batches])
        assert len(rows) == len(set(rows)) == steps * batch_size
    again = shuffled_batches(arrays, batch_size, seed=seed)
    assert same(again(3 * steps + 1), batches(3 * steps + 1))


def test_in_the_end_no_example_is_skipped():
    batches = shuffled_batches(np.arange(10), 4, seed=0)
    assert len(np.unique(np.concatenate([batches(step) for step in range(20)]))) == 10


def test_arrays_without_an_axis_are_refused():
    with pytest.raises(ValueError, match=r"arrays holds 1.0, expected arrays with an axis"):
        shuffled_batches({"x": np.ones(3), "y": 1.0}, 1)


def test_arrays_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match=r"arrays have lengths \[3, 4\]"):
        shuffled_batches([np.ones(3), np.ones(4)], 1)
