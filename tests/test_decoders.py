"""Encoder and decoders: any mechanism plugs in, whole targets equal single steps."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jattn
from jattn import testing

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
ADDITIVE = drawn(jattn.init_additive, query_size=N, key_size=N, units=4, bias=True)
MECHANISMS = {
    "dot": (jattn.dot_attention, None, {}),
    "scaled": (jattn.scaled_dot_product_attention, None, {}),
    "general": (jattn.general_attention, GENERAL, {}),
    "concat": (
        jattn.concat_attention,
        drawn(jattn.init_concat, query_size=N, key_size=N, units=4),
        {},
    ),
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


def decoder(order, kind) -> Any:
    """The parameters and the functions of one decoder: start, step, decode."""
    function, own, options = MECHANISMS[kind]
    sizes = {"words": WORDS, "embedding_size": 5, "units": N, "value_size": N, "summary_size": N}
    attend = jattn.read_by(function, **options)
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


@pytest.mark.parametrize(
    ("order", "kind"),
    [("bahdanau", "additive"), ("luong feeding", "local-p general")],
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


@pytest.mark.parametrize(("order", "kind"), [("bahdanau", "concat"), ("luong", "local-p")])
def test_padding_of_source_and_target_changes_nothing(order, kind):
    params, _, _, _, decode = decoder(order, kind)
    whole = decode(params, MEMORY, jnp.concatenate([TARGET, TARGET]))
    alone = decode(params, jattn.encode(ENCODER, SOURCE[:LENGTH]), TARGET)
    testing.assert_close(whole.logits[: len(TARGET)], alone.logits, 1e-13)
    testing.assert_close(whole.weights[: len(TARGET), :LENGTH], alone.weights, 1e-13)
    assert not np.any(whole.weights[:, LENGTH:])


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
        drawn(jattn.init_linear, input_size=N, output_size=3),
    )
    alone = jattn.attentive_gru(params, SOURCE[:LENGTH])
    padded = jattn.attentive_gru(params, SOURCE, length=LENGTH)
    assert alone.outputs.shape == (LENGTH, 3)
    np.testing.assert_allclose(alone.weights.sum(-1), 1.0, rtol=1e-14)
    testing.assert_close(padded.outputs[:LENGTH], alone.outputs, 1e-14)
    testing.assert_close(padded.weights[:LENGTH, :LENGTH], alone.weights, 1e-14)
    assert not np.any(padded.outputs[LENGTH:])
    assert not np.any(padded.weights[LENGTH:])


def test_what_stands_past_the_length_has_no_gradient_even_where_it_is_nan():
    dirty = jnp.asarray(MEMORY.values).at[LENGTH:].set(jnp.nan)

    def total(params, values):
        read = jattn.read_by(jattn.additive_attention)(params, MEMORY._replace(values=values))
        return read(values[:2], 0).context.sum()

    for leaf in jax.tree.leaves(jax.grad(total, (0, 1))(ADDITIVE, dirty)):
        assert jnp.isfinite(leaf).all()


def test_what_the_memory_is_not_is_refused_by_name():
    attention = jattn.read_by(jattn.additive_attention)
    with pytest.raises(ValueError, match=r"^project_memory: values has shape \(7, 5\)"):
        attention(ADDITIVE, MEMORY._replace(values=MEMORY.values[:, :5]))
    decoder = jattn.TransformerDecoderParams(())
    with pytest.raises(ValueError, match=r"^transformer_memory: memory_mask has dtype float64"):
        jattn.transformer_memory(decoder, MEMORY.values, memory_mask=jnp.ones((1, 7)))
