"""Greedy and beam search against plain loops and against all sequences there are."""

import itertools
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jattn

WORDS, START, STOP, STEPS = 4, 1, 0, 3


def model(seed=0, words=WORDS):
    """A step whose log-probabilities depend on the last token and on how many came before."""
    logits = np.random.default_rng(seed).standard_normal((STEPS + 5, words, words)) * 1.5
    table = jax.nn.log_softmax(jnp.asarray(logits))

    def step(count, token):
        return table[count, token], count + 1

    return step, np.asarray(table)


def every_sequence(table, length_penalty):
    """All sequences of up to STEPS tokens with their scores, best first."""
    found = []
    for size in range(STEPS + 1):
        for words in itertools.product(range(1, WORDS), repeat=size):
            tokens = (*words, STOP) if size < STEPS else words
            last = (START, *tokens)
            total = sum(table[i, last[i], token] for i, token in enumerate(tokens))
            found.append((total / ((5 + len(tokens)) / 6) ** length_penalty, words))
    return sorted(found, reverse=True)


@pytest.mark.parametrize("length_penalty", [0.0, 0.7])
def test_a_beam_that_holds_everything_finds_what_enumeration_finds(length_penalty):
    step, table = model()
    expected = every_sequence(table, length_penalty)
    size = len(expected)
    found = jattn.beam_search(
        step,
        jnp.asarray(0),
        start=START,
        stop=STOP,
        max_steps=STEPS,
        beam_size=size + 2,
        length_penalty=length_penalty,
    )
    np.testing.assert_allclose(found.scores[:size], [score for score, _ in expected], rtol=1e-12)
    for tokens, length, (_, words) in zip(found.tokens, found.lengths, expected, strict=False):
        assert tuple(tokens[:length].tolist()) == words
        assert np.all(tokens[length:] == STOP)
    # There are no more sequences than these.
    assert np.all(found.scores[size:] == -np.inf)
    assert np.all(found.lengths[size:] == 0)
    assert np.all(found.tokens[size:] == STOP)


@pytest.mark.parametrize("seed", range(3))
def test_greedy_takes_the_likeliest_token_until_it_stops(seed):
    step, table = model(seed)
    token, total, expected = START, 0.0, []
    while len(expected) < STEPS and (token != STOP or not expected):
        row = table[len(expected), token]
        token = int(row.argmax())
        total += row[token]
        expected.append(token)
    found = jattn.greedy_search(step, jnp.asarray(0), start=START, stop=STOP, max_steps=STEPS)
    assert found.tokens.tolist() == expected + [STOP] * (STEPS - len(expected))
    assert int(found.lengths) == len([token for token in expected if token != STOP])
    np.testing.assert_allclose(found.scores, total, rtol=1e-12)


def test_a_beam_can_find_what_greedy_misses():
    probabilities = np.array(
        [[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.6, 0.4], [0.5, 0.5, 0.0, 0.0], [0.9, 0.1, 0.0, 0.0]]
    )
    with np.errstate(divide="ignore"):
        table = jnp.asarray(np.log(probabilities))
    step = lambda state, token: (table[token], state)
    options: dict[str, Any] = {"start": 1, "stop": 0, "max_steps": 4}
    greedy = jattn.greedy_search(step, None, **options)
    beam = jattn.beam_search(step, None, beam_size=2, **options)
    assert int(greedy.tokens[0]) == 2
    assert beam.tokens[0].tolist() == [3, 0, 0, 0]
    np.testing.assert_allclose(np.exp(beam.scores[0]), 0.4 * 0.9, rtol=1e-12)


def test_ties_go_to_the_earlier_place_then_to_the_smaller_token():
    even = jnp.log(jnp.full((WORDS, WORDS), 1 / WORDS))
    step = lambda state, token: (even[token], state)
    found = jattn.beam_search(step, None, start=1, stop=3, max_steps=2, beam_size=5)
    assert found.tokens.tolist() == [[3, 3], [0, 0], [0, 1], [0, 2], [0, 3]]


def test_more_steps_change_nothing_once_all_have_stopped():
    step = model()[0]
    stopping = lambda count, token: (
        jnp.where(count == 2, jnp.log(jnp.array([1.0, 0.0, 0.0, 0.0])), step(count, token)[0]),
        count + 1,
    )
    short, long = (
        jattn.beam_search(
            stopping, jnp.asarray(0), start=START, stop=STOP, max_steps=steps, beam_size=4
        )
        for steps in (3, 7)
    )
    assert np.array_equal(short.scores, long.scores)
    assert np.array_equal(short.lengths, long.lengths)
    assert np.array_equal(short.tokens, long.tokens[:, :3])
    assert np.all(long.tokens[:, 3:] == STOP)


def translator(seed=0):
    """A small encoder and decoder, and the search over both as a function of source and length."""
    rng = np.random.default_rng(seed)

    def drawn(init, **sizes):
        shapes = jax.eval_shape(partial(init, **sizes), jax.random.key(0))
        return jax.tree.map(lambda leaf: jnp.asarray(rng.standard_normal(leaf.shape)), shapes)

    encoder = drawn(jattn.init_encoder, words=7, embedding_size=3, units=2, bidirectional=True)
    attention = drawn(jattn.init_additive, query_size=5, key_size=4, units=3)
    sizes = {"words": WORDS, "embedding_size": 3, "units": 5, "value_size": 4, "summary_size": 4}
    decoder = drawn(jattn.init_bahdanau_decoder, **sizes)._replace(attention=attention)
    attend = jattn.read_by(jattn.additive_attention)

    def search(tokens, length, *, beam_size=3, max_steps=4):
        memory = jattn.encode(encoder, tokens, length=length)
        read = attend(decoder.attention, memory)

        def step(state, token):
            logits, state = jattn.bahdanau_step(decoder, state, token, read)
            return jax.nn.log_softmax(logits), state

        return jattn.beam_search(
            step,
            jattn.bahdanau_start(decoder, memory, read),
            start=START,
            stop=STOP,
            max_steps=max_steps,
            beam_size=beam_size,
            length_penalty=0.6,
            collect=lambda state: state.weights,
        )

    return search, (encoder, decoder, attend)


def test_padding_of_the_source_and_batching_change_nothing():
    search, _ = translator()
    sources = [np.array([1, 2, 3]), np.array([4, 5, 6, 1, 2])]
    padded = np.array([[1, 2, 3, 0, 0, 0, 0], [4, 5, 6, 1, 2, 0, 0]])
    batch = jax.jit(jax.vmap(search))(padded, np.array([3, 5]))
    for index, source in enumerate(sources):
        alone = search(jnp.asarray(source), None)
        assert np.array_equal(alone.tokens, batch.tokens[index])
        assert np.array_equal(alone.lengths, batch.lengths[index])
        np.testing.assert_allclose(alone.scores, batch.scores[index], rtol=1e-12)
        seen = batch.collected[index]
        np.testing.assert_allclose(alone.collected, seen[..., : len(source)], rtol=1e-12)
        assert np.all(seen[..., len(source) :] == 0.0)


def test_scores_and_weights_are_those_of_the_tokens_found():
    """Every hypothesis is decoded again, teacher-forced: places were traced back rightly."""
    search, (encoder, decoder, attend) = translator(seed=1)
    source = jnp.array([1, 2, 3, 4])
    found = search(source, None)
    assert len({tuple(tokens.tolist()) for tokens in found.tokens}) == 3
    memory = jattn.encode(encoder, source)
    for tokens, length, score, seen in zip(*found, strict=True):
        inputs = jnp.concatenate([jnp.array([START], tokens.dtype), tokens[:-1]])
        decoded = jattn.bahdanau_decode(decoder, memory, inputs, attention=attend)
        count = min(int(length) + 1, len(tokens))
        chosen = jax.nn.log_softmax(decoded.logits)[np.arange(count), tokens[:count]]
        np.testing.assert_allclose(score, chosen.sum() / ((5 + count) / 6) ** 0.6, rtol=1e-12)
        np.testing.assert_allclose(seen[:count], decoded.weights[:count], rtol=1e-12)
        assert np.all(seen[count:] == 0.0)


def test_no_step_at_all_finds_the_empty_sequence():
    step = model()[0]
    found = jattn.beam_search(
        step, jnp.asarray(0), start=START, stop=STOP, max_steps=0, beam_size=2
    )
    assert found.tokens.shape == (2, 0)
    assert found.scores.tolist() == [0.0, -np.inf]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"beam_size": 0}, "beam_size is 0, expected at least 1"),
        ({"max_steps": -1}, "max_steps is -1, expected at least 0"),
        ({"stop": WORDS}, r"stop is 4, expected 0 to 3 \(w\)"),
        ({"start": -1}, r"start is -1, expected 0 to 3 \(w\)"),
    ],
)
def test_bad_arguments_are_named(changed, message):
    options = {"start": START, "stop": STOP, "max_steps": STEPS, "beam_size": 2} | changed
    with pytest.raises(ValueError, match=f"beam_search: {message}"):
        jattn.beam_search(model()[0], jnp.asarray(0), **options)


def test_scores_that_are_no_log_probabilities_are_refused():
    step = lambda state, token: (jnp.arange(WORDS), state)
    message = "^beam_search: step returned log-probabilities of dtype int.*, expected a floating"
    with pytest.raises(ValueError, match=message):
        jattn.beam_search(step, None, start=START, stop=STOP, max_steps=2, beam_size=2)
