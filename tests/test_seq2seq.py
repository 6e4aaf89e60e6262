"""The model that experiments share: targets by hand, and decoding step by step as all at once."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments import optimizer, seq2seq

FORM = seq2seq.Model(
    source_words=11, target_words=7, embedding_size=3, units=5, decoder_units=10, score_units=2,
    attention="general",
)  # fmt: skip
SOURCE, LENGTH = jnp.array([3, 10, 4, 7, 1]), jnp.array(3)


def test_targets_are_shifted_by_one_and_padding_does_not_count():
    tokens = np.array([[5, 6, 4], [6, 2, 2], [0, 0, 0]])  # The last row fills the batch up.
    lengths, source_lengths = np.array([3, 1, 0]), np.array([4, 2, 0])
    inputs, labels, mask = seq2seq.targets(tokens, lengths, source_lengths, start=1, stop=3)
    assert inputs.tolist() == [[1, 5, 6, 4], [1, 6, 2, 2], [1, 0, 0, 0]]
    assert labels.tolist() == [[5, 6, 4, 3], [6, 3, 3, 3], [3, 3, 3, 3]]
    assert mask.tolist() == [[True] * 4, [True, True, False, False], [False] * 4]


def test_rows_are_padded_to_the_least_width_that_holds_them():
    lengths = [4, 9, 1, 5, 4, 23, 0]
    batches = list(seq2seq.batches_by_width(lengths, (4, 10), 2))
    assert batches == [(4, [0, 2]), (4, [4]), (10, [1, 3]), (23, [5])]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"attention": "additive", "attends_first": True},
        {"attention": "local-predictive", "input_feeding": True},
        {"attention": "none", "bidirectional": False},
    ],
    ids=lambda changes: " ".join(changes) or "as it is",
)
def test_a_step_at_a_time_gives_the_scores_of_the_whole(changes):
    model = FORM._replace(**changes)
    params = seq2seq.init(jax.random.key(0), model)
    inputs = jnp.array([1, 4, 6, 2])
    whole = jax.jit(seq2seq.decode, static_argnums=4)(params, SOURCE, LENGTH, inputs, model)
    state, step = seq2seq.stepping(params, SOURCE, LENGTH, model)
    step = jax.jit(step)
    for position, token in enumerate(inputs):
        scores, state = step(state, token)
        expected = jax.nn.log_softmax(whole.logits[position])
        np.testing.assert_allclose(scores, expected, rtol=1e-12)
    is_attentive = model.attention != "none"
    assert (np.asarray(whole.weights[:, :3]).sum(1) > 0.1).all() == is_attentive
    assert not np.asarray(whole.weights[:, 3:]).any()


def test_dropout_changes_training_alone():
    model = FORM._replace(dropout=0.5)
    params = seq2seq.init(jax.random.key(0), model)
    decode = jax.jit(seq2seq.decode, static_argnums=4)
    inputs = jnp.array([1, 4])
    plain = decode(params, SOURCE, LENGTH, inputs, FORM).logits
    np.testing.assert_array_equal(decode(params, SOURCE, LENGTH, inputs, model).logits, plain)
    dropped = decode(params, SOURCE, LENGTH, inputs, model, jax.random.key(1)).logits
    assert not np.allclose(dropped, plain)


def test_sizes_that_do_not_fit_are_refused_by_name():
    dot_scores = {"attention": "local-monotonic", "local_scores": "scaled-dot-product"}
    for changes, complaint in (
        ({"attention": "dot", "decoder_units": 7}, "attention dot: the decoder has 7 units, exp"),
        ({"attention": "multi-head"}, "attention multi-head: the decoder has 10 units, expected a"),
        (
            {**dot_scores, "decoder_units": 7},
            "attention local-monotonic: the decoder has 7 units, expected 10",
        ),
    ):
        with pytest.raises(ValueError, match=complaint):
            seq2seq.init(jax.random.key(0), FORM._replace(**changes))
    seq2seq.check(FORM._replace(attention="local-monotonic", decoder_units=7))


def test_the_rate_rises_and_falls_and_gradients_are_clipped():
    rate: Any = optimizer.warmup_cosine(0.5, 0.25, 40)
    np.testing.assert_allclose([rate(0), rate(5), rate(10)], [0.0, 0.25, 0.5], rtol=1e-6)
    np.testing.assert_allclose([rate(25), rate(40)], [0.2525, 0.005], rtol=1e-5)
    clipped = optimizer.clipped(optax.sgd(1.0))
    for gradient, expected in (([3.0, 4.0], [-0.6, -0.8]), ([0.3, 0.4], [-0.3, -0.4])):
        gradient = jnp.array(gradient)
        step: Any = clipped.update(gradient, clipped.init(gradient))[0]
        np.testing.assert_allclose(step, expected, rtol=1e-6)
