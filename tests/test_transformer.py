# pyright: reportArgumentType=false
"""Transformers: steps are the full pass, padding is inert, dropout is asked for."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiled import assert_same_bits

import jattn
from jattn import masks, testing

D, S, T, WORDS = 6, 5, 3, 7
SIZES = {"layers": 2, "size": D, "heads": 3, "hidden_size": 4, "key_value_heads": 1}
RNG = np.random.default_rng(0)
MEMORY, INPUTS = RNG.standard_normal((S, D)), RNG.standard_normal((T, D))
TURNED = {"turn": jattn.rotary, "activation": functools.partial(jax.nn.gelu, approximate=False)}


def drawn(params):
    """The same parameters with none of them zero or one, as trained ones are."""
    rng = np.random.default_rng(1)
    return jax.tree.map(lambda leaf: leaf + 0.3 * rng.standard_normal(leaf.shape), params)


DECODER = drawn(jattn.init_transformer_decoder(jax.random.key(0), **SIZES))
ENCODER = drawn(jattn.init_transformer_encoder(jax.random.key(1), **SIZES | {"layers": 1}))


def test_S1_steps_with_a_cache_are_the_full_pass():
    """Room for more positions than are used, and a memory whose end nobody may read."""
    memory = np.where(np.arange(S)[:, None] < 3, MEMORY, np.nan)
    options = {"order": jattn.post_norm, **TURNED}

    def by_step(params, inputs, memory):
        of_memory = jattn.transformer_memory(params, memory, memory_mask=masks.lengths(3))
        start = jattn.transformer_start(params, of_memory, capacity=T + 2)

        def step(state, row):
            near = jattn.alibi_bias(SIZES["heads"], 1, T + 2, offset=state.position)[:, 0]
            outputs, state = jattn.transformer_step(
                params, state, row, of_memory, self_bias=near, **options
            )
            return state, (outputs, state.weights)

        return jax.lax.scan(step, start, inputs)[1]

    outputs, weights = jax.jit(by_step)(DECODER, INPUTS, memory)
    options |= {
        "memory_mask": masks.lengths(3),
        "self_bias": jattn.alibi_bias(SIZES["heads"], T, T),
    }
    decode = functools.partial(jattn.transformer_decoder, **options)
    full = jax.jit(decode)(DECODER, INPUTS, memory)
    testing.assert_close(outputs, full.outputs, 1e-14)
    testing.assert_close([jnp.swapaxes(x, 0, 1) for x in weights], list(full.cross_weights), 1e-14)


def test_a_cache_that_is_full_takes_no_more():
    of_memory = jattn.transformer_memory(DECODER, MEMORY)
    state = jattn.transformer_start(DECODER, of_memory, capacity=0)
    with pytest.raises(ValueError, match=r"^transformer_step: state holds 0 positions \(m\)"):
        jattn.transformer_step(DECODER, state, INPUTS[0], of_memory)
    outputs, _ = jax.jit(jattn.transformer_step)(DECODER, state, INPUTS[0], of_memory)
    assert np.isnan(outputs).all()


def test_a_state_of_another_decoder_is_refused():
    of_memory = jattn.transformer_memory(DECODER, MEMORY)
    state = jattn.transformer_start(DECODER, of_memory, capacity=2)
    shorter = DECODER._replace(blocks=DECODER.blocks[:1])
    with pytest.raises(ValueError, match=r"^transformer_step: state has 2 blocks and memory 2,"):
        jattn.transformer_step(shorter, state, INPUTS[0], of_memory)


def test_beams_go_by_steps_of_the_decoder():
    """The sequence found is the likeliest at each token, given the ones before it, in one pass."""
    table = 2.0 * np.random.default_rng(2).standard_normal((WORDS, D))
    max_steps = 4

    def search(params, memory):
        of_memory = jattn.transformer_memory(params, memory)

        def step(state, token):
            outputs, state = jattn.transformer_step(params, state, table[token], of_memory)
            return jax.nn.log_softmax(table @ outputs), state

        start = jattn.transformer_start(params, of_memory, capacity=max_steps)
        return jattn.greedy_search(
            step, start, start=1, stop=0, max_steps=max_steps, collect=lambda state: state.weights
        )

    table = jnp.asarray(table)
    found = jax.jit(search)(DECODER, MEMORY)
    length = int(found.lengths)
    assert length > 1
    tokens = np.array([1, *found.tokens])[:max_steps]
    full = jax.jit(jattn.transformer_decoder)(DECODER, table[tokens], MEMORY)
    likeliest = (full.outputs @ table.T).argmax(-1)
    np.testing.assert_array_equal(likeliest[:length], found.tokens[:length])
    testing.assert_close(
        found.collected[1][:length], full.cross_weights[1].swapaxes(0, 1)[:length], 1e-14
    )


def test_C1_padding_changes_no_bit_of_an_encoder():
    """Neither what it holds nor its gradient, where it neither reads nor is read."""
    mask = masks.lengths(3, query_lengths=3)

    def run(inputs):
        encode = lambda *inputs: jattn.transformer_encoder(*inputs, self_mask=mask).outputs
        encoded, pullback = jax.vjp(encode, ENCODER, inputs)
        return encoded, pullback(jnp.cos(jnp.arange(float(S * D))).reshape(S, D))

    run = jax.jit(run)
    clean = run(MEMORY)
    assert_same_bits(run(np.where(np.arange(S)[:, None] < 3, MEMORY, np.nan)), clean)
    for padded in (clean[0][3:], clean[1][1][3:]):
        assert not np.asarray(padded).any()
    assert np.asarray(clean[0][:3]).all()


def test_K1_dropout_is_drawn_from_rng_and_falls_on_what_is_added():
    encode = functools.partial(jattn.encoder_block, ENCODER.blocks[0], MEMORY)
    plain = encode().outputs
    np.testing.assert_array_equal(encode(rng=jax.random.key(0)).outputs, plain)
    once, again, other = (
        encode(dropout_rate=0.5, rng=jax.random.key(seed)).outputs for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(once, again)
    assert np.any(once != plain)
    assert np.any(once != other)
    nearly_all = encode(dropout_rate=1 - 1e-12, rng=jax.random.key(0)).outputs
    np.testing.assert_array_equal(nearly_all, MEMORY)
    with pytest.raises(ValueError, match=r"^encoder_block: dropout_rate is 0.5 but rng is None"):
        encode(dropout_rate=0.5)
