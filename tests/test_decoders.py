"""Encoder and decoders: any mechanism plugs in, whole targets equal single steps."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiled import assert_same_bits

import jattn
from jattn import alignment, masks, testing
from jattn.oracle.attention.additive import additive_attention as additive_oracle
from jattn.oracle.recurrent import cells, lstm

N, WORDS = 6, 11
RNG = np.random.default_rng(0)


def drawn(init, **sizes):
    """Parameters in the shapes that `init` gives, without the time it takes to compile."""
    shapes = jax.eval_shape(partial(init, **sizes), jax.random.key(0))
    return jax.tree.map(lambda leaf: jnp.asarray(RNG.standard_normal(leaf.shape) / 2), shapes)


ENCODER = drawn(jattn.init_encoder, words=WORDS, embedding_size=5, units=3, bidirectional=True)
SOURCE, LENGTH = jnp.array([3, 1, 4, 10, 2, 0, 0]), 5
TARGET = jnp.array([1, 5, 2, 7])
MEMORY = jattn.encode(ENCODER, SOURCE, length=LENGTH)
GENERAL = drawn(jattn.init_general, query_size=N, key_size=N)
PREDICTIVE = drawn(jattn.init_local_predictive, query_size=N, units=4)
CONCAT = drawn(jattn.init_concat, query_size=N, key_size=N, units=4)
ADDITIVE = drawn(jattn.init_additive, query_size=N, key_size=N, units=4, bias=True)
MECHANISMS = {
    "dot": (jattn.dot_attention, None, {}),
    "scaled": (jattn.scaled_dot_product_attention, None, {}),
    "general": (jattn.general_attention, GENERAL, {}),
    "concat": (jattn.concat_attention, CONCAT, {}),
    "additive": (jattn.additive_attention, ADDITIVE, {}),
    "additive, sparse": (jattn.additive_attention, ADDITIVE, {"normalizer": jattn.sparsemax}),
    "location": (
        jattn.location_based_attention,
        drawn(jattn.init_location_based, query_size=N, positions=9),
        {},
    ),
    "local-m": (jattn.local_monotonic_attention, None, {"half_width": 1}),
    "local-m general": (
        jattn.local_monotonic_attention,
        GENERAL,
        {"half_width": 1, "attention": jattn.general_attention},
    ),
    "local-p": (jattn.local_predictive_attention, PREDICTIVE, {"half_width": 2}),
    "local-p general": (
        jattn.local_predictive_attention,
        (PREDICTIVE, GENERAL),
        {"half_width": 2, "attention": jattn.general_attention},
    ),
    "multi-head": (
        jattn.multi_head_attention,
        drawn(jattn.init_multi_head, heads=2, query_size=N),
        {},
    ),
}


# Mechanisms with memory between queries: the step, its parameters, the first state and options.
WITH_MEMORY: dict[str, Any] = {
    "coverage": (
        alignment.coverage_step,
        drawn(alignment.init_coverage, query_size=N, key_size=N, units=4),
        {"start": alignment.coverage_start},
    ),
    "chunks": (
        alignment.mocha_step,
        drawn(alignment.init_mocha, query_size=N, key_size=N, units=4),
        {"start": alignment.monotonic_start, "width": 2},
    ),
    "window": (
        alignment.gaussian_window_step,
        drawn(alignment.init_gaussian_window, query_size=N, components=2),
        {"start": alignment.gaussian_window_start},
    ),
}


def reading(kind) -> Any:
    """The parameters of a mechanism, and the mechanism adapted for a decoder."""
    function, own, options = (POSITIONAL | MECHANISMS | WITH_MEMORY)[kind]
    adapt = jattn.read_in_order if kind in WITH_MEMORY else jattn.read_by
    return own, adapt(function, **options)


def own_mechanism(query, key, value, *, mask=None, bias=None, start_at=0):
    """Scores fall with the distance from the query's position, under a name of its own."""
    places = jnp.arange(len(query))[:, None] + start_at - jnp.arange(len(key))[None]
    near = -jnp.abs(places).astype(query.dtype) / 2
    bias = near if bias is None else bias + near
    return jattn.dot_attention(query, key, value, mask=mask, bias=bias)


# What makes a read depend on the query's position, and the same for all queries at once.
ROTARY = drawn(jattn.init_multi_head, heads=3, query_size=N)
HEAD_BIAS = RNG.standard_normal((3, 4, 7))
POSITIONAL: dict[str, Any] = {
    "rotary": (jattn.multi_head_attention, ROTARY, {"turn": jattn.rotary}),
    "rotary, later": (
        jattn.multi_head_attention,
        ROTARY,
        {"turn": jattn.rotary, "query_offset": 3},
    ),
    "rotary, bound": (partial(jattn.multi_head_attention, turn=jattn.rotary), ROTARY, {}),
    "bias of heads": (jattn.multi_head_attention, ROTARY, {"bias": HEAD_BIAS}),
    "local-m": (jattn.local_monotonic_attention, None, {"half_width": 1, "offset": 1}),
    "local-m, bound": (partial(jattn.local_monotonic_attention, half_width=2), None, {}),
    "local-m of rotary": (
        jattn.local_monotonic_attention,
        ROTARY,
        {"half_width": 3, "attention": partial(jattn.multi_head_attention, turn=jattn.rotary)},
    ),
    "mask": (jattn.dot_attention, None, {"mask": masks.window(1, 0) | masks.prefix(1)}),
    "mask of additive": (jattn.additive_attention, ADDITIVE, {"mask": masks.causal()}),
    "array": (jattn.general_attention, GENERAL, {"mask": np.tri(4, 7, 2, dtype=bool)}),
    "bias": (jattn.concat_attention, CONCAT, {"bias": HEAD_BIAS[0]}),
    "own": (own_mechanism, None, {"positions": ["start_at"]}),
}


def decoder(order, kind, **given) -> Any:
    """The parameters and the functions of one decoder: start, step, decode."""
    own, attend = reading(kind)
    sizes = {"words": WORDS, "embedding_size": 5, "units": N, "value_size": N, "summary_size": N}
    sizes |= given
    if order == "bahdanau":
        params = drawn(jattn.init_bahdanau_decoder, **sizes, attention=own)
        decode = partial(jattn.bahdanau_decode, attention=attend)
        return params, attend, jattn.bahdanau_start, jattn.bahdanau_step, decode
    feeding = {"input_feeding": order == "luong feeding"}
    params = drawn(jattn.init_luong_decoder, **sizes, **feeding, attention=own)
    step = partial(jattn.luong_step, **feeding)
    decode = partial(jattn.luong_decode, attention=attend, **feeding)
    return params, attend, jattn.luong_start, step, decode


ORDERS = [
    ("bahdanau", "location"),
    ("bahdanau", "local-m"),
    ("bahdanau", "multi-head"),
    ("luong", "concat"),
    ("luong feeding", "general"),
    ("bahdanau", "coverage"),
    ("luong", "window"),
    ("luong feeding", "chunks"),
]


def both_ways(order, kind):
    """The decoder's parameters, and a whole target decoded at once and by the public step."""
    params, attend, start, step, decode = decoder(order, kind)

    def by_steps(params, memory):
        read = attend(params.attention, memory)

        def advance(state, token):
            logits, state = step(params, state, token, read)
            return state, (logits, state.weights)

        return jax.lax.scan(advance, start(params, memory, read), TARGET)[1]

    return params, lambda params, memory: tuple(decode(params, memory, TARGET)), by_steps


@pytest.mark.parametrize(("order", "kind"), ORDERS)
def test_a_whole_target_is_its_steps(order, kind):
    params, at_once, by_steps = both_ways(order, kind)
    actual, expected = (jax.jit(function)(params, MEMORY) for function in (at_once, by_steps))
    testing.assert_close(actual, expected, 1e-13)


@pytest.mark.parametrize("order", ["bahdanau", "luong", "luong feeding"])
def test_R3_a_target_is_decoded_by_the_equations_of_the_paper(order):
    """One token after the other in NumPy, with the oracles of the cell and of attention."""
    params, _, _, _, decode = decoder(order, "additive")
    exact: Any = jax.tree.map(np.asarray, params)
    values, summary = np.asarray(MEMORY.values)[:LENGTH], np.asarray(MEMORY.summary)
    affine = lambda part, inputs: part.weight @ inputs + part.bias
    read = lambda state: additive_oracle(exact.attention, state[None], values, values)[0]
    hidden = np.tanh(affine(exact.start, summary))
    attentional, logits, weights = np.zeros(N), [], []
    for token in TARGET:
        embedded = exact.embedding.weight[token]
        if order == "bahdanau":
            context, weight = read(hidden)
            inputs = np.concatenate([embedded, context[0]])
            hidden, _ = cells.reset_before_gru_cell(exact.cell, hidden, inputs)
            logits.append(affine(exact.readout, np.concatenate([hidden, inputs])))
        else:
            fed = [attentional] if order == "luong feeding" else []
            hidden, _ = cells.gru_cell(exact.cell, hidden, np.concatenate([embedded, *fed]))
            context, weight = read(hidden)
            attentional = np.tanh(affine(exact.combine, np.concatenate([context[0], hidden])))
            logits.append(affine(exact.readout, attentional))
        weights.append(np.pad(weight[0], (0, len(SOURCE) - LENGTH)))
    decoded = jax.jit(decode)(params, MEMORY, TARGET)
    testing.assert_close(decoded, (np.array(logits), np.array(weights)), 1e-13)


OF_LSTM: Any = {"cell": jattn.lstm_cell}


@pytest.mark.parametrize("order", ["bahdanau", "luong", "luong feeding"])
def test_R3_decoders_with_an_lstm_are_decoded_by_the_equations_of_the_paper(order):
    """As above; the memory cell starts at zero and is part of the state that a step returns."""
    params, attend, start, step, decode = decoder(order, "additive", init_cell=jattn.init_lstm)
    exact: Any = jax.tree.map(np.asarray, params)
    values, summary = np.asarray(MEMORY.values)[:LENGTH], np.asarray(MEMORY.summary)
    affine = lambda part, inputs: part.weight @ inputs + part.bias
    read = lambda state: additive_oracle(exact.attention, state[None], values, values)[0][0][0]
    lstm_state: Any = jattn.LSTMState
    state = lstm_state(np.tanh(affine(exact.start, summary)), np.zeros(N))
    attentional, logits = np.zeros(N), []
    for token in TARGET:
        embedded = exact.embedding.weight[token]
        if order == "bahdanau":
            inputs = np.concatenate([embedded, read(state.hidden)])
            state, _ = lstm.lstm_cell(exact.cell, state, inputs)
            logits.append(affine(exact.readout, np.concatenate([state.hidden, inputs])))
        else:
            fed = [attentional] if order == "luong feeding" else []
            state, _ = lstm.lstm_cell(exact.cell, state, np.concatenate([embedded, *fed]))
            both = np.concatenate([read(state.hidden), state.hidden])
            attentional = np.tanh(affine(exact.combine, both))
            logits.append(affine(exact.readout, attentional))
    decoded = jax.jit(partial(decode, **OF_LSTM))(params, MEMORY, TARGET)
    testing.assert_close(decoded.logits, np.array(logits), 1e-13)
    reader = attend(params.attention, MEMORY)
    after = start(params, MEMORY, reader)
    for token in TARGET:
        last, after = step(params, after, token, reader, **OF_LSTM)
    testing.assert_close(last, logits[-1], 1e-13)
    testing.assert_close(after.hidden, state, 1e-13)


def test_an_encoder_of_lstms_gives_its_hidden_states():
    sizes: dict[str, Any] = {"words": WORDS, "embedding_size": 5, "units": 3}
    params = drawn(jattn.init_encoder, init_cell=jattn.init_lstm, bidirectional=True, **sizes)
    memory = jattn.encode(params, SOURCE, length=LENGTH, **OF_LSTM)
    forward, backward = params.layers[0]
    rows = jattn.embedding(params.embedding, SOURCE)
    one = jattn.lstm(forward, rows, length=LENGTH)
    other = jattn.lstm(backward, rows, length=LENGTH, reverse=True)
    expected = jnp.concatenate([one.outputs, other.outputs], axis=1)
    testing.assert_close(memory.values, expected, 1e-14)
    summary = jnp.concatenate([one.final.hidden, other.final.hidden])
    testing.assert_close(memory.summary, summary, 1e-14)
    with pytest.raises(ValueError, match=r"params.* is a LSTMParams, expected GRUParams"):
        jattn.encode(params, SOURCE)  # The cell was not given.


def test_decoders_have_the_sizes_that_were_asked_for():
    sizes: dict[str, Any] = {"words": 11, "embedding_size": 2, "units": 3}
    sizes |= {"value_size": 5, "summary_size": 7}
    shapes = lambda init, **options: jax.tree.map(
        lambda leaf: leaf.shape,
        jax.eval_shape(partial(init, **sizes, **options), jax.random.key(0)),
    )
    cell = lambda inputs: ((3, 3, inputs), (3, 3, 3), (3, 3), (3, 3))
    bahdanau = (((11, 2),), ((3, 7), (3,)), cell(2 + 5), ((11, 3 + 2 + 5), (11,)), None)
    assert shapes(jattn.init_bahdanau_decoder) == bahdanau
    for feeding, attentional in ((False, None), (True, 4), (True, None)):
        options: dict[str, Any] = {"input_feeding": feeding, "attentional_size": attentional}
        size = attentional or 3
        combine, readout = ((size, 5 + 3), (size,)), ((11, size), (11,))
        luong = (*bahdanau[:2], cell(2 + size * feeding), combine, readout, None)
        assert shapes(jattn.init_luong_decoder, **options) == luong


@pytest.mark.parametrize(
    ("order", "kind"),
    [("bahdanau", "additive"), ("luong feeding", "local-p general"), ("bahdanau", "chunks")],
)
def test_gradients_reach_the_mechanism_and_the_memory(order, kind):
    params, at_once, by_steps = both_ways(order, kind)

    def gradient(function):
        def loss(params, values, summary):
            memory = MEMORY._replace(values=values, summary=summary)
            return jnp.sum(jnp.sin(function(params, memory)[0]))

        return jax.jit(jax.grad(loss, (0, 1, 2)))(params, MEMORY.values, MEMORY.summary)

    actual, expected = gradient(at_once), gradient(by_steps)
    testing.assert_close(actual, expected, 1e-13)
    assert all(np.any(leaf) for leaf in jax.tree.leaves((actual[0].attention, *actual[1:])))
    assert not np.any(actual[1][LENGTH:])


@pytest.mark.parametrize(
    ("order", "kind"), [("bahdanau", "concat"), ("luong", "local-p"), ("luong", "coverage")]
)
def test_padding_of_source_and_target_changes_nothing(order, kind):
    params, _, _, _, decode = decoder(order, kind)
    whole = decode(params, MEMORY, jnp.concatenate([TARGET, TARGET]))
    alone = decode(params, jattn.encode(ENCODER, SOURCE[:LENGTH]), TARGET)
    testing.assert_close(whole.logits[: len(TARGET)], alone.logits, 1e-13)
    testing.assert_close(whole.weights[: len(TARGET), :LENGTH], alone.weights, 1e-13)
    assert not np.any(whole.weights[:, LENGTH:])


def test_a_mechanism_with_memory_reads_as_its_whole_pass():
    params, attend = reading("coverage")
    query, values = MEMORY.values[:3], MEMORY.values
    found = attend(params, MEMORY)(query, 0)
    whole = alignment.coverage(params, query, values, values, mask=MEMORY.mask)
    testing.assert_close(found, whole, 1e-14)


def test_a_search_carries_what_each_hypothesis_attended_to():
    """Beams are reordered with their coverage and memory cells: each is its own decoding."""
    params, attend, start, step, decode = decoder("bahdanau", "coverage", init_cell=jattn.init_lstm)
    step, decode = partial(step, **OF_LSTM), partial(decode, **OF_LSTM)
    read = attend(params.attention, MEMORY)

    def probabilities(state, token):
        logits, state = step(params, state, token, read)
        return jax.nn.log_softmax(logits), state

    found = jattn.beam_search(
        probabilities,
        start(params, MEMORY, read),
        start=1,
        stop=0,
        max_steps=5,
        beam_size=3,
        length_penalty=0.0,
    )
    for tokens, length, score in zip(found.tokens, found.lengths, found.scores, strict=True):
        taken = np.append(np.asarray(tokens)[: int(length)], [0] * (int(length) < 5)).astype(int)
        decoded = decode(params, MEMORY, np.array([1, *taken[:-1]]))
        chosen = jax.nn.log_softmax(decoded.logits)[np.arange(len(taken)), taken]
        testing.assert_close(chosen.sum(), score, 1e-12)


@pytest.mark.parametrize("kind", MECHANISMS)
def test_any_mechanism_reads_a_memory(kind):
    """The memory is key and value; position and length go where they are asked for."""
    mechanism, own, options = MECHANISMS[kind]
    query, values, position = MEMORY.values[:1], MEMORY.values, 2
    found = jattn.read_by(mechanism, **options)(own, MEMORY)(query, position)
    if "attention" in options:
        options = options | {"attention": partial(options["attention"], GENERAL)}
    where = {
        "location": {"mask": MEMORY.mask},
        "local-m": {"mask": MEMORY.mask, "offset": position},
        "local-p": {"length": LENGTH},
    }.get(kind.split()[0], {"mask": MEMORY.mask})
    own = {"local-m": None, "local-p": PREDICTIVE}.get(kind.split()[0], own)
    arrays = [*([] if own is None else [own]), query, *([values] * (1 + (kind != "location")))]
    testing.assert_close(found, mechanism(*arrays, **where, **options), 1e-15)


@pytest.mark.parametrize("kind", POSITIONAL)
def test_a_step_reads_at_the_position_that_it_has_in_the_whole_pass(kind):
    mechanism, params, options = POSITIONAL[kind]
    read_memory = jattn.read_by(mechanism, **options)
    # All queries at once, by the mechanism alone, with the memory's mask.
    options = {name: option for name, option in options.items() if name != "positions"}
    mask = masks.lengths(LENGTH)
    options["mask"] = mask & options["mask"] if "mask" in options else mask
    if "attention" in options:
        options["attention"], leading = partial(options["attention"], params), ()
    else:
        leading = () if params is None else (params,)

    @jax.jit
    def run(queries):
        read = read_memory(params, MEMORY)
        steps = [read(queries[t : t + 1], jnp.asarray(t)) for t in range(4)]
        context = jnp.concatenate([step.context for step in steps])
        weights = jnp.concatenate([step.weights for step in steps], axis=-2)
        expected = mechanism(*leading, queries, MEMORY.values, MEMORY.values, **options)
        return (context, weights), tuple(read(queries, 0)), tuple(expected)

    by_step, whole, expected = run(jnp.asarray(RNG.standard_normal((4, N))))
    testing.assert_close(by_step, expected, 1e-14)
    testing.assert_close(whole, expected, 1e-14)


def test_a_query_past_the_rows_of_a_mask_or_a_bias_does_not_read_another_row():
    query = MEMORY.values[:1]
    read = jattn.read_by(jattn.dot_attention, mask=np.ones((4, 7), bool))(None, MEMORY)
    assert np.any(read(query, 3).weights)
    assert not np.any(read(query, 4).weights)
    read = jattn.read_by(jattn.dot_attention, bias=np.zeros((4, 7)))(None, MEMORY)
    assert np.all(np.isfinite(read(query, 3).context))
    assert np.all(np.isnan(read(query, 4).context))


@pytest.mark.parametrize("kind", [*MECHANISMS, *WITH_MEMORY, "own", "rotary", "mask of additive"])
def test_C1_padding_of_the_memory_changes_no_value_and_no_gradient(kind):
    params, read_memory = reading(kind)
    query = MEMORY.values[:2]

    @jax.jit
    def run(params, query, values):
        def total(params, query, values):
            found = read_memory(params, MEMORY._replace(values=values))(query, 1)
            return jnp.sum(jnp.sin(found.context)), found

        return jax.value_and_grad(total, (0, 1, 2), has_aux=True)(params, query, values)

    clean = run(params, query, MEMORY.values)
    for poison in (np.nan, np.inf):
        assert_same_bits(run(params, query, MEMORY.values.at[LENGTH:].set(poison)), clean)
    assert np.any(clean[1][2])


@pytest.mark.parametrize("kind", ["additive", "dot", "local-p"])
def test_a_memory_with_holes_is_read_where_it_is_valid(kind):
    """Except local-p, whose centre is a share of all positions."""
    mechanism, params, options = MECHANISMS[kind]
    valid: Any = np.array([False, True, True, False, True, False, True])
    dirty = jnp.where(valid[:, None], 1.0, jnp.nan) * RNG.standard_normal((7, N))
    found = jattn.read_by(mechanism, **options)(
        params, jattn.Memory(dirty, MEMORY.summary, valid=valid)
    )(MEMORY.values[:2], 0)
    assert np.all(np.isfinite(found.context))
    assert not np.any(found.weights[:, ~valid])
    if kind != "local-p":
        alone = jattn.Memory(dirty[valid], MEMORY.summary)
        expected = jattn.read_by(mechanism, **options)(params, alone)(MEMORY.values[:2], 0)
        testing.assert_close(found.context, expected.context, 1e-14)
        testing.assert_close(found.weights[:, valid], expected.weights, 1e-14)


@pytest.mark.parametrize(("order", "kind"), [("bahdanau", "dot"), ("luong", "general")])
def test_R2_tokens_past_the_length_of_a_target_give_nothing_and_no_gradient(order, kind):
    """Also where they are no words and cannot be checked."""
    params, _, _, _, decode = decoder(order, kind)

    @jax.jit
    def run(tokens):
        def total(params):
            found = decode(params, MEMORY, tokens, length=3)
            return jnp.sum(jnp.sin(found.logits)), found

        return jax.value_and_grad(total, has_aux=True)(params)

    clean = run(jnp.concatenate([TARGET[:3], jnp.zeros(2, int)]))
    assert_same_bits(run(jnp.concatenate([TARGET[:3], jnp.array([-1, WORDS])])), clean)
    (_, found), _ = clean
    assert not np.any(found.logits[3:])
    assert not np.any(found.weights[3:])
    alone = decode(params, MEMORY, TARGET[:3])
    testing.assert_close((found.logits[:3], found.weights[:3]), tuple(alone), 1e-13)


def test_bahdanau_drops_what_it_embeds_and_what_it_reads_out():
    """The readout's gradient holds what it read: each entry is zero, or doubled at rate 1/2."""
    params = decoder("bahdanau", "additive")[0]

    def read_by(rate, rng):
        def logits(readout):
            changed = params._replace(readout=params.readout._replace(weight=readout))
            return jattn.bahdanau_decode(changed, MEMORY, TARGET, dropout_rate=rate, rng=rng).logits

        return jax.jacobian(logits)(params.readout.weight)[:, 0, 0]

    whole, halved = read_by(0.0, None), read_by(0.5, jax.random.key(0))
    kept = np.asarray(halved) != 0.0
    for part in (slice(0, N), slice(N, N + 5), slice(N + 5, None)):  # State, embedding, context.
        assert 0.1 < kept[:, part].mean() < 0.9
    embedded = slice(N, N + 5)
    expected = np.where(kept[:, embedded], 2 * whole[:, embedded], 0.0)
    testing.assert_close(halved[:, embedded], expected, 1e-14)
    mistakes = {
        r"dropout_rate is .* but rng is None": (0.5, None),
        "rng is int, expected a key of": (0.5, 0),
        "dropout_rate is '0.5', expected a number": ("0.5", jax.random.key(0)),
    }
    for message, (rate, rng) in mistakes.items():
        with pytest.raises(ValueError, match=f"^bahdanau_decode: {message}"):
            read_by(rate, rng)


def test_the_query_position_reaches_local_attention():
    params, attend, start, step, _ = decoder("bahdanau", "local-m")
    read = attend(params.attention, MEMORY)
    state = start(params, MEMORY, read)
    for position in range(4):
        state = step(params, state, TARGET[position], read)[1]
        seen = np.flatnonzero(state.weights)
        assert seen.tolist() == [
            s for s in (position - 1, position, position + 1) if 0 <= s < LENGTH
        ]


def test_a_mechanism_of_ones_own_plugs_in():
    """Attention to the first position alone, from nothing but the form that `read_by` gives."""

    def attention(params, memory):
        weights = jnp.zeros(len(memory.values)).at[0].set(1.0)
        read = jnp.broadcast_to(weights, (1, len(weights)))
        return lambda query, position: jattn.Attended(read @ memory.values, read)

    params = decoder("bahdanau", "dot")[0]
    decoded = jattn.bahdanau_decode(params, MEMORY, TARGET, attention=attention)
    assert decoded.weights.tolist() == [[1.0] + [0.0] * (len(SOURCE) - 1)] * len(TARGET)


def test_an_encoder_ignores_what_stands_past_the_length():
    expected = jattn.encode(ENCODER, SOURCE[:LENGTH])
    for padding in (0, -1, WORDS):
        tokens = SOURCE.at[LENGTH:].set(padding)
        memory = jattn.encode(ENCODER, tokens, length=LENGTH)
        testing.assert_close(memory.values[:LENGTH], expected.values, 1e-14)
        testing.assert_close(memory.summary, expected.summary, 1e-14)
        assert not np.any(memory.values[LENGTH:])


def test_the_smallest_model_with_attention():
    params = jattn.AttentiveGRUParams(
        ENCODER,
        drawn(jattn.init_additive, query_size=N, key_size=N, units=4),
        drawn(jattn.init_affine, input_size=N, output_size=3),
    )
    alone = jattn.attentive_gru(params, SOURCE[:LENGTH])
    padded = jattn.attentive_gru(params, SOURCE, length=LENGTH)
    assert alone.outputs.shape == (LENGTH, 3)
    np.testing.assert_allclose(alone.weights.sum(-1), 1.0, rtol=1e-14)
    testing.assert_close(padded.outputs[:LENGTH], alone.outputs, 1e-14)
    testing.assert_close(padded.weights[:LENGTH, :LENGTH], alone.weights, 1e-14)
    assert not np.any(padded.outputs[LENGTH:])
    assert not np.any(padded.weights[LENGTH:])


def test_what_the_memory_is_not_is_refused_by_name():
    attention = jattn.read_by(jattn.additive_attention)
    with pytest.raises(ValueError, match=r"^project_memory: values has shape \(7, 5\)"):
        attention(ADDITIVE, MEMORY._replace(values=MEMORY.values[:, :5]))
    decoder = jattn.TransformerDecoderParams(())
    with pytest.raises(ValueError, match=r"^transformer_memory: memory_mask has dtype float64"):
        jattn.transformer_memory(decoder, MEMORY.values, memory_mask=jnp.ones((1, 7)))


def mistakes():
    """Calls with a mistake, each with what is said of it."""
    for order, other in (("bahdanau", "luong"), ("luong", "bahdanau")):
        params, attend, start, step, decode = decoder(order, "additive")
        name = type(params).__name__
        read = attend(params.attention, MEMORY)
        state = jax.eval_shape(lambda: start(params, MEMORY, read))  # noqa: B023
        state = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), state)
        of_other = decoder(other, "additive")[0]
        words = f"0 to {WORDS - 1}"
        for function, call in (
            ("decode", lambda p=params, m=MEMORY, *, f=decode, **o: f(p, m, TARGET, **o)),
            ("start", lambda p=params, m=MEMORY, *, f=start, r=read: f(p, m, r)),
        ):
            function = f"{order}_{function}"
            yield f"{function}: params is a dict, expected {name}", partial(call, {})
            yield f"{function}: params is a {type(of_other).__name__}", partial(call, of_other)
            broken = params._replace(start=3.0)
            yield (
                f"{function}: params.start is a float, expected AffineParams",
                partial(call, broken),
            )
            wrong = partial(call, params, MEMORY.values)
            yield f"{function}: memory is a .*, expected Memory", wrong
        decode_it = lambda f=decode, p=params, **given: f(
            p, MEMORY, given.pop("tokens", TARGET), **given
        )
        for message, given in (
            ("attention is 'additive', expected a function", {"attention": "additive"}),
            ("cell is 'gru', expected a function", {"cell": "gru"}),
            ("tokens is a list, expected an array", {"tokens": [1, 2]}),
            (r"tokens has shape \(1, 4\), expected \(t\)", {"tokens": TARGET[None]}),
            ("tokens has dtype float64, expected an integer", {"tokens": np.ones(4)}),
            ("tokens has dtype bool, expected an integer", {"tokens": np.ones(4, bool)}),
            (f"tokens holds 20, expected {words}", {"tokens": TARGET.at[0].set(20)}),
            ("length is 5, expected 0 to 4", {"length": 5}),
        ):
            yield f"{order}_decode: {message}", partial(decode_it, **given)
        step_it = lambda f=step, p=params, s=state, r=read, **given: f(
            p, given.get("state", s), given.get("token", 1), given.get("read", r)
        )
        for message, given in (
            (f"state is None, expected {type(state).__name__}", {"state": None}),
            ("state is a tuple, expected", {"state": tuple(state)}),
            (f"token is -1, expected {words}", {"token": -1}),
            ("token is 1.0, expected an integer", {"token": 1.0}),
            ("token is True, expected an integer", {"token": True}),
            (r"token has shape \(4,\), expected \(\)", {"token": TARGET}),
            ("read is None, expected a function", {"read": None}),
        ):
            yield f"{order}_step: {message}", partial(step_it, **given)
        unbound = partial(step_it, read=jattn.read_by(jattn.dot_attention))
        yield "read_by: memory is a .*, expected a Memory", unbound
        if order == "luong":
            fed = partial(step, params, state, 1, read, input_feeding="no")
            yield "luong_step: input_feeding is 'no', expected True or False", fed
    for message, call in (
        ("mechanism is 'dot', expected a function", lambda: jattn.read_by("dot")),  # type: ignore
        (
            "half_width is an option, expected an argument of dot_attention",
            lambda: jattn.read_by(jattn.dot_attention, half_width=1),
        ),
        (
            "start is an option, expected an argument of dot_attention",
            lambda: jattn.read_by(jattn.dot_attention, positions=["start"]),
        ),
        (
            "length is an option, expected in the Memory",
            lambda: jattn.read_by(jattn.local_predictive_attention, half_width=1, length=2),
        ),
        (
            "nothing has no argument mask or length, expected one of them",
            lambda: jattn.read_by(nothing)(None, MEMORY),
        ),
    ):
        yield f"read_by: {message}", call


def nothing(query, key, value):
    return jattn.dot_attention(query, key, value)


def test_mistakes_are_named_with_their_function_and_argument():
    for message, call in mistakes():
        with pytest.raises(ValueError, match=f"^{message}"):
            call()
