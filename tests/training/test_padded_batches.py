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
    ],
)
def test_what_cannot_be_padded_is_named(sequences, message):
    with pytest.raises(ValueError, match=f"pad_to: {message}"):
        pad_to(sequences, 2)


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


@pytest.mark.parametrize(("lengths", "count"), [([], 1), ([3, -1], 1), ([3], 0)])
def test_impossible_buckets_are_refused(lengths, count):
    with pytest.raises(ValueError, match="length_buckets: expected at least one length"):
        length_buckets(lengths, count)


def examples(lengths):
    """Two columns; the second is made from the first, so that rows that were mixed up show."""
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
    for epoch in range(2):
        seen = []
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
            seen += batch["index"].tolist()
        assert sorted(i for i in seen if i >= 0) == list(range(len(lengths)))
        assert seen.count(-1) == -len(lengths) % batch_size


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


@pytest.mark.parametrize(
    ("columns", "batch_size"),
    [({"a": [[1]], "b": []}, 1), ({"a": []}, 1), ({"a": [[1]]}, 0), ({}, 1)],
)
def test_impossible_batches_are_refused(columns, batch_size):
    with pytest.raises(
        ValueError, match=r"bucketed_batches: columns have .* expected equally many"
    ):
        bucketed_batches(columns, batch_size)


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


def test_arrays_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match=r"arrays have lengths \[3, 4\]"):
        shuffled_batches([np.ones(3), np.ones(4)], 1)
