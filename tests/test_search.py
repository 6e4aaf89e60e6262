"""Greedy search, beam search and sampling against plain loops and against all sequences."""

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


def every_sequence(
    table, length_penalty, stops=(STOP,), suppress=(), min_length=0, prompt=(START,)
):
    """All sequences of up to STEPS tokens with their scores, best first."""
    read = len(prompt) - 1
    sequences = []
    for size in range(STEPS + 1):
        for words in itertools.product(range(WORDS), repeat=size):
            ends_early = size < STEPS or words[-1] in stops
            beginning = words[:-1] if ends_early else words
            if any(word in (*stops, *suppress) for word in beginning):
                continue
            if ends_early and (not size or words[-1] not in stops or size - 1 < min_length):
                continue
            last = (*prompt, *words)
            total = sum(table[read + i, last[read + i], word] for i, word in enumerate(words))
            score = total / ((5 + size) / 6) ** length_penalty
            sequences.append((score, words, len(beginning)))
    return sorted(sequences, reverse=True)


RULES = {
    "plain": {},
    "length penalty": {"length_penalty": 0.7},
    "two stops": {"stops": (2, STOP), "length_penalty": 0.7},
    "suppressed": {"suppress": (2,)},
    "least length": {"min_length": 2, "stops": (STOP, 3)},
    "prompt": {"prompt": (START, 3, 2), "suppress": (1,)},
}


@pytest.mark.parametrize("name", RULES)
def test_a_beam_that_holds_everything_finds_what_enumeration_finds(name):
    step, table = model()
    rules = {"length_penalty": 0.0, "stops": (STOP,), "prompt": (START,)} | RULES[name]
    expected = every_sequence(table, **rules)
    size = len(expected)
    stops, prompt = rules.pop("stops"), rules.pop("prompt")
    result = jattn.beam_search(
        step,
        jnp.asarray(0),
        start=np.array(prompt),
        stop=stops,
        max_steps=STEPS,
        beam_size=size + 2,
        **rules,
    )
    scores = [score for score, _, _ in expected]
    np.testing.assert_allclose(result.scores[:size], scores, rtol=1e-12)
    for tokens, length, (_, words, count) in zip(
        result.tokens, result.lengths, expected, strict=False
    ):
        assert tokens.tolist() == [*words, *(stops[0],) * (STEPS - len(words))]
        assert length == count
    # There are no more sequences than these.
    assert np.all(result.scores[size:] == -np.inf)
    assert np.all(result.lengths[size:] == 0)
    assert np.all(result.tokens[size:] == stops[0])


@pytest.mark.parametrize(
    ("seed", "rules"),
    [(0, {}), (1, {}), (2, {"suppress": [3]}), (2, {"min_length": 2}), (1, {"stop": [2, STOP]})],
)
def test_greedy_takes_the_likeliest_token_until_it_stops(seed, rules):
    step, table = model(seed)
    stops = rules.get("stop", [STOP])
    token, total, expected = START, 0.0, []
    while len(expected) < STEPS and (token not in stops or not expected):
        row = table[len(expected), token].copy()
        row[rules.get("suppress", [])] = -np.inf
        if len(expected) < rules.get("min_length", 0):
            row[stops] = -np.inf
        token = int(row.argmax())
        total += row[token]
        expected.append(token)
    options: dict[str, Any] = {"stop": STOP} | rules
    result = jattn.greedy_search(step, jnp.asarray(0), start=START, max_steps=STEPS, **options)
    assert result.tokens.tolist() == expected + stops[:1] * (STEPS - len(expected))
    assert int(result.lengths) == len([token for token in expected if token not in stops])
    np.testing.assert_allclose(result.scores, total, rtol=1e-12)


def test_each_element_of_a_batch_has_its_own_prompt():
    """Prompts of one, two and three tokens in one batch, and single tokens."""
    step, _ = model()
    options: dict[str, Any] = {"stop": STOP, "max_steps": STEPS, "beam_size": 2}
    search = lambda start, **given: jattn.beam_search(
        step, jnp.asarray(0), start=start, **given, **options
    )
    prompts, lengths = np.array([[3, 7, 7], [1, 2, 7], [2, 3, 1]]), np.array([1, 2, 3])
    batch = jax.jit(jax.vmap(lambda start, count: search(start, start_length=count)))(
        prompts, lengths
    )
    for index, length in enumerate(lengths):
        alone = search(prompts[index, :length].tolist())
        assert np.array_equal(alone.tokens, batch.tokens[index])
        np.testing.assert_allclose(alone.scores, batch.scores[index], rtol=1e-12)
    tokens = jax.jit(jax.vmap(search))(prompts[:, 0]).tokens
    assert np.array_equal(tokens[1], search(1).tokens)
    assert np.array_equal(tokens[0], batch.tokens[0])


SEARCHES: dict[str, Any] = {
    "greedy": jattn.greedy_search,
    "beam": partial(jattn.beam_search, beam_size=2),
    "sample": partial(jattn.sample, rng=jax.random.key(0), top_k=1),
}


@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_step_that_says_nothing_ends_the_search_and_keeps_what_was_found(name, wrong):
    """At step 0, 2 and never; token 3 follows 2, 2 follows 3, each with log-probability -1/2."""

    def step(state, token):
        count, broken = state
        row = jnp.where(jnp.arange(WORDS, dtype=jnp.int32) == 5 - token, -0.5, -1.5)
        row = row.at[STOP].set(-9.0)
        if np.isnan(wrong):  # One of them is enough.
            poisoned = row.at[1].set(wrong)
        elif wrong > 0:
            poisoned = row.at[STOP].set(wrong)
        else:
            poisoned = jnp.full(WORDS, wrong)
        return jnp.where(count == broken, poisoned, row), (count + 1, broken)

    def search(broken):
        zero = jnp.asarray(0)
        options: dict[str, Any] = {"start": 2, "stop": STOP, "max_steps": 4}
        return SEARCHES[name](step, (zero, broken), collect=lambda state: state[0], **options)

    best = jax.tree.map(
        lambda leaf: leaf[:, 0] if name == "beam" else leaf,
        jax.jit(jax.vmap(search))(np.array([0, 2, 9])),
    )
    assert best.tokens.tolist() == [[STOP] * 4, [3, 2, STOP, STOP], [3, 2, 3, 2]]
    assert best.lengths.tolist() == [0, 2, 4]
    assert best.scores.tolist() == [0.0, -1.0, -2.0]
    assert best.collected.tolist() == [[0] * 4, [1, 2, 0, 0], [1, 2, 3, 4]]


def test_broken_beginnings_come_after_all_others():
    """Token 1 is likely and leads to NaN. A beam of 12 has room for it after all others."""
    probabilities = np.full((4, 4), 1e-9)
    probabilities[0, 1:], probabilities[1] = (0.8, 0.1, 0.1), np.nan
    probabilities[2:, 0] = 1.0
    table = jnp.log(jnp.asarray(probabilities))
    step = lambda state, token: (table[token], state)
    options: dict[str, Any] = {"start": 0, "stop": 0, "max_steps": 2}
    result = jattn.beam_search(step, None, beam_size=2, **options)
    assert result.tokens.tolist() == [[2, 0], [2, 1]]
    result = jattn.beam_search(step, None, beam_size=12, **options)
    assert [1, 0] in result.tokens.tolist()
    row = result.tokens.tolist().index([1, 0])
    assert result.lengths[row] == 1
    np.testing.assert_allclose(result.scores[row], np.log(0.8), rtol=1e-12)
    assert np.all(result.scores[:row] > -np.inf)
    assert result.scores[row] > result.scores[0]
    assert np.all(result.scores[row + 1 :] == -np.inf)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_N1_scores_are_sums_in_float32(dtype):
    """In half precision 600 tokens of -0.5117 sum to -256, where an added one rounds away."""
    row = jnp.log(jnp.array([0.001, 0.5995, 0.3995])).astype(dtype)
    result = jattn.greedy_search(
        lambda state, token: (row, state), None, start=1, stop=0, max_steps=600
    )
    assert result.scores.dtype == np.float32
    np.testing.assert_allclose(result.scores, 600 * float(row[1]), rtol=1e-6)


def truncated(probabilities, temperature, top_k, top_p):
    """The distribution to draw from, by the definitions of temperature, top-k and nucleus."""
    weights = probabilities ** (1 / temperature)
    ranked = sorted(range(len(weights)), key=lambda token: (-weights[token], token))[:top_k]
    whole = sum(weights[token] for token in ranked)
    sizes = [
        size
        for size in range(1, len(ranked) + 1)
        if sum(weights[token] for token in ranked[:size]) >= top_p * whole
    ]
    kept = ranked[: min(sizes, default=len(ranked))]
    expected = np.zeros(len(weights))
    expected[kept] = weights[kept] / weights[kept].sum()
    return expected


DRAWN = [(1.0, None, 1.0), (0.5, 2, 1.0), (2.0, None, 0.7), (1.3, 4, 0.8), (1.0, None, 1e-9)]


@pytest.mark.parametrize(("temperature", "top_k", "top_p"), DRAWN)
def test_samples_are_of_the_distribution_that_temperature_top_k_and_top_p_define(
    temperature, top_k, top_p
):
    probabilities = np.array([0.08, 0.3, 0.02, 0.25, 0.25, 0.1])
    table = jnp.log(jnp.asarray(probabilities))
    step = lambda state, token: (table, state)
    draws = 4000

    def draw(rng, temperature, top_p):
        result = jattn.sample(
            *(step, None),
            rng=rng,
            start=0,
            stop=2,
            max_steps=1,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            suppress=5,
        )
        return result.tokens[0], result.scores

    rngs = jax.random.split(jax.random.key(1), draws)
    tokens, scores = jax.jit(jax.vmap(draw, (0, None, None)))(rngs, temperature, top_p)
    expected = truncated(np.where(np.arange(6) == 5, 0.0, probabilities), temperature, top_k, top_p)
    shares = np.bincount(tokens, minlength=6) / draws
    assert np.all(shares[expected == 0.0] == 0.0)
    assert np.all(np.abs(shares - expected) <= 4 * np.sqrt(expected * (1 - expected) / draws))
    np.testing.assert_allclose(scores, np.log(probabilities)[tokens], rtol=1e-12)


def test_tokens_of_a_sample_are_drawn_one_by_one():
    """Of 600 tokens, each as likely as two others, a third follows a token like itself."""
    table = jnp.log(jnp.full(4, 1 / 4))
    result = jattn.sample(
        lambda state, token: (table, state),
        None,
        rng=jax.random.PRNGKey(3),
        start=0,
        stop=0,
        max_steps=600,
        min_length=600,
    )
    tokens = np.asarray(result.tokens)
    deviation = np.sqrt(2 / 9 / 600)
    for token in (1, 2, 3):
        assert abs(np.mean(tokens == token) - 1 / 3) < 4 * deviation
    assert abs(np.mean(tokens[1:] == tokens[:-1]) - 1 / 3) < 4 * deviation


@pytest.mark.parametrize("implementation", ["threefry2x32", "rbg", "unsafe_rbg"])
def test_T4_samples_depend_on_the_key_alone_for_every_implementation(implementation):
    step, table = model()
    rngs = jax.vmap(lambda seed: jax.random.key(seed, impl=implementation))(jnp.arange(5))

    def draw(rng, start=START):
        options: dict[str, Any] = {"start": start, "stop": STOP, "max_steps": 6, "min_length": 6}
        return jattn.sample(step, jnp.asarray(0), rng=rng, **options)

    batch = jax.jit(jax.vmap(draw))(rngs)
    for index, rng in enumerate(rngs):
        alone = jax.jit(draw)(rng)
        assert alone.tokens.tolist() == batch.tokens[index].tolist()
        last = [START, *alone.tokens.tolist()]
        total = sum(table[i, last[i], token] for i, token in enumerate(last[1:]))
        np.testing.assert_allclose(alone.scores, total, rtol=1e-12)
    assert len({tuple(tokens.tolist()) for tokens in batch.tokens}) > 1


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


def translator(kind="bahdanau", seed=0):
    """A small encoder and decoder, its search as a function of the source, and its whole pass.

    Bahdanau's attends additively; Luong's with heads that are rotated by the query's position.
    """
    rng = np.random.default_rng(seed)

    def drawn(init, **sizes):
        shapes = jax.eval_shape(partial(init, **sizes), jax.random.key(0))
        return jax.tree.map(lambda leaf: jnp.asarray(rng.standard_normal(leaf.shape)), shapes)

    encoder = drawn(jattn.init_encoder, words=7, embedding_size=3, units=2, bidirectional=True)
    sizes = {"words": WORDS, "embedding_size": 3, "units": 5, "summary_size": 4}
    if kind == "bahdanau":
        decode, start, advance = jattn.bahdanau_decode, jattn.bahdanau_start, jattn.bahdanau_step
        decoder = drawn(jattn.init_bahdanau_decoder, value_size=4, **sizes)
        attention = drawn(jattn.init_additive, query_size=5, key_size=4, units=3)
        attend = jattn.read_by(jattn.additive_attention)
    else:
        decode, start, advance = jattn.luong_decode, jattn.luong_start, jattn.luong_step
        decoder = drawn(jattn.init_luong_decoder, value_size=5, **sizes)
        heads = {"heads": 2, "query_size": 5, "key_size": 4, "head_size": 2}
        attention = drawn(jattn.init_multi_head, **heads)
        attend = jattn.read_by(jattn.multi_head_attention, turn=jattn.rotary)
    params: Any = decoder._replace(attention=attention)

    def search(tokens, length, *, beam_size=3, max_steps=4):
        memory = jattn.encode(encoder, tokens, length=length)
        read = attend(attention, memory)

        def step(state, token):
            logits, state = advance(params, state, token, read)
            return jax.nn.log_softmax(logits), state

        return jattn.beam_search(
            step,
            start(params, memory, read),
            start=START,
            stop=STOP,
            max_steps=max_steps,
            beam_size=beam_size,
            length_penalty=0.6,
            collect=lambda state: state.weights,
        )

    def decoded(source, tokens):
        return decode(params, jattn.encode(encoder, source), tokens, attention=attend)

    return search, decoded


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


@pytest.mark.parametrize("kind", ["bahdanau", "luong"])
def test_scores_and_weights_are_those_of_the_tokens_found(kind):
    """Every hypothesis is decoded again, teacher-forced: places were traced back rightly."""
    search, decode = translator(kind, seed=1)
    source = jnp.array([1, 2, 3, 4])
    result = search(source, None)
    assert len({tuple(tokens.tolist()) for tokens in result.tokens}) == 3
    decode = jax.jit(decode)
    for tokens, length, score, weights in zip(*result, strict=True):
        inputs = jnp.concatenate([jnp.array([START], tokens.dtype), tokens[:-1]])
        decoded = decode(source, inputs)
        count = min(int(length) + 1, len(tokens))
        chosen = jax.nn.log_softmax(decoded.logits)[np.arange(count), tokens[:count]]
        np.testing.assert_allclose(score, chosen.sum() / ((5 + count) / 6) ** 0.6, rtol=1e-12)
        np.testing.assert_allclose(weights[:count], decoded.weights[:count], rtol=1e-12)
        assert np.all(weights[count:] == 0.0)


def test_no_step_at_all_finds_the_empty_sequence():
    step = model()[0]
    found = jattn.beam_search(
        step, jnp.asarray(0), start=START, stop=STOP, max_steps=0, beam_size=2
    )
    assert found.tokens.shape == (2, 0)
    assert found.scores.tolist() == [0.0, -np.inf]


WRONG = {
    "start": {
        -1: r"start is -1, expected 0 to 3 \(w\)",
        True: "start has dtype bool, expected an integer dtype",
        1.5: "start has dtype float64, expected an integer dtype",
        (): "start is empty, expected at least one token",
        (1, 9): r"start holds 9, expected 0 to 3 \(w\)",
        ((1,), (1,)): r"start has shape \(2, 1\), expected one token or a sequence",
    },
    "stop": {
        WORDS: r"stop is 4, expected 0 to 3 \(w\)",
        (): "stop is empty, expected at least one token",
        None: "stop has dtype",
    },
    "suppress": {"a": "suppress has dtype", 4: r"suppress is 4, expected 0 to 3 \(w\)"},
    "start_length": {0: "start_length is 0, expected at least 1", 2: "start_length is 2, expected"},
    "max_steps": {-1: "max_steps is -1, expected at least 0", 2.5: "max_steps is 2.5, expected an"},
    "min_length": {4: r"min_length is 4, expected at most 3 \(max_steps\)"},
    "collect": {3: "collect is 3, expected a function"},
    "beam_size": {0: "beam_size is 0, expected at least 1"},
    "length_penalty": {
        np.inf: "length_penalty is inf, expected a finite number",
        "a": "length_penalty is 'a', expected a number",
    },
    "temperature": {
        0.0: "temperature is 0.0, expected a finite number above 0",
        np.inf: "temperature is inf, expected a finite number above 0",
    },
    "top_k": {0: "top_k is 0, expected at least 1"},
    "top_p": {0.0: "top_p is 0.0, expected", 1.5: "top_p is 1.5, expected", np.nan: "top_p is nan"},
    "rng": {0: "rng is int, expected a key of jax.random.key"},
}
OWN: dict[str, dict[str, Any]] = {
    "greedy_search": {},
    "beam_search": {"beam_size": 2, "length_penalty": 0.0},
    "sample": {"rng": jax.random.key(0), "temperature": 1.0, "top_k": None, "top_p": None},
}


@pytest.mark.parametrize("function", OWN)
def test_bad_arguments_are_named_with_the_function_that_was_called(function):
    given = {"start": START, "stop": STOP, "max_steps": STEPS, "collect": lambda state: None}
    given |= {"suppress": (), "start_length": None, "min_length": 0} | OWN[function]
    for argument, mistakes in WRONG.items():
        if argument in given:
            for wrong, message in mistakes.items():
                with pytest.raises(ValueError, match=f"^{function}: {message}"):
                    getattr(jattn, function)(
                        model()[0], jnp.asarray(0), **{**given, argument: wrong}
                    )


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (lambda state, token: (jnp.arange(WORDS), state), "log-probabilities of dtype int.*, exp"),
        (lambda state, token: (jnp.ones((1, WORDS)), state), r"log-probabilities \(1, 4\), expect"),
        (lambda state, token: jnp.ones(WORDS), "a ShapeDtypeStruct, expected a pair"),
        (lambda state, token: (jnp.ones(WORDS), (state, state)), "a state PyTreeDef"),
        (
            lambda state, token: (jnp.ones(WORDS), jnp.ones(2)),
            r"state float64\[2\], expected int64",
        ),
    ],
)
def test_what_a_step_may_not_return_is_refused(step, message):
    with pytest.raises(ValueError, match=f"^greedy_search: step returned {message}"):
        jattn.greedy_search(step, np.zeros((), int), start=START, stop=STOP, max_steps=2)
