# pyright: reportArgumentType=false, reportCallIssue=false
"""Transformers: steps are the full pass, padding is inert, dropout and errors are explicit."""

import functools
import re
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiled import assert_same_bits

import jattn
from jattn import masks, testing
from jattn._dropout import kept_pairs
from jattn.catalog.row import oracle_of
from jattn.oracle.attention.multi_head import multi_head_attention as oracle
from jattn.testing.trees import draw_like, inner

D, S, T, WORDS, LAYERS, HEADS = 6, 5, 3, 7, 2, 3
SIZES = {"layers": LAYERS, "size": D, "heads": HEADS, "hidden_size": 4, "key_value_heads": 1}
RNG = np.random.default_rng(0)
MEMORY, INPUTS = RNG.standard_normal((S, D)), RNG.standard_normal((T, D))
GELU = functools.partial(jax.nn.gelu, approximate=False)
TURNED = {
    "turn": jattn.rotary,
    "feed_forward": functools.partial(jattn.feed_forward, activation=GELU),
}
UNUSABLE = (np.nan, np.inf)


def drawn(params):
    """The same parameters with none of them zero or one, as trained ones are."""
    rng = np.random.default_rng(1)
    return jax.tree.map(lambda x: np.asarray(x) + 0.3 * rng.standard_normal(x.shape), params)


DECODER = drawn(jattn.init_transformer_decoder(jax.random.key(0), **SIZES))
ENCODER = drawn(jattn.init_transformer_encoder(jax.random.key(1), **SIZES))
FIRST_THREE = np.arange(S) < 3
SINKS = {
    "self_sinks": RNG.standard_normal((LAYERS, HEADS)),
    "memory_sinks": RNG.standard_normal((LAYERS, HEADS)),
}
SELF_BIAS, MEMORY_BIAS = RNG.standard_normal((HEADS, T, T)), RNG.standard_normal((T, S))
NEAR = jattn.biases.alibi(jattn.biases.alibi_slopes(HEADS))
MEMORY_MASK = np.array([[True] * 2 + [False] * 3, FIRST_THREE, [False] * S])
# Position 1 attends to no position, and none attends to it.
SELF_MASK = np.array([[True, False, False], [False] * 3, [True, False, True]])

# Options of the whole pass, and the memory's mask that is the same for every query.
WHOLE = {
    "post-norm, rotation, a bias, a memory with padding": (
        {"order": jattn.post_norm, "self_bias": NEAR.dense(T, T), **TURNED},
        masks.lengths(3),
    ),
    "sinks, cap, scale and rotation of the memory from a later position": (
        {
            **SINKS,
            "logits_soft_cap": 0.7,
            "scale": 0.9,
            "turn": jattn.half_split_rotary,
            "memory_turn": jattn.rotary,
            "query_offset": 4,
            "self_bias": SELF_BIAS,
            "memory_bias": MEMORY_BIAS,
        },
        None,
    ),
    "masks of each query, and a position that is padding": (
        {"self_mask": SELF_MASK, "memory_mask": MEMORY_MASK, "memory_turn": jattn.rotary},
        FIRST_THREE[None],
    ),
    "masks of positions": (
        {
            "self_mask": masks.window(1, 0),
            "memory_mask": masks.causal(1) & masks.lengths(3),
            **SINKS,
        },
        masks.lengths(3),
    ),
}


def whole_pass(options, memory_mask, params, inputs, memory):
    given = options.get("memory_mask")
    if memory_mask is not None and given is None:
        given = memory_mask
    return jattn.transformer_decoder(params, inputs, memory, **{**options, "memory_mask": given})


def by_step(options, memory_mask, params, inputs, memory, attend=None):
    """Outputs and weights of one step after another."""
    of_memory = jattn.transformer_memory(params, memory, memory_mask=memory_mask)
    start = jattn.transformer_start(params, of_memory, capacity=T)

    def step(state, row):
        biases = {
            name: jnp.take(options[name], state.position, axis=-2)
            for name in ("self_bias", "memory_bias")
            if name in options
        }
        outputs, state = jattn.transformer_step(
            params, state, row, of_memory, attend=attend, **{**options, **biases}
        )
        return state, (outputs, state.weights)

    return jax.lax.scan(step, start, inputs)[1]


def padded(name):
    """Inputs and memory with values that cannot be used where an entry of `WHOLE` has padding."""
    options, memory_mask = WHOLE[name]
    inputs, memory = INPUTS, MEMORY
    if memory_mask is not None:
        memory = np.where(FIRST_THREE[:, None], memory, np.nan)
    if options.get("self_mask") is SELF_MASK:
        inputs = np.where(np.arange(T)[:, None] == 1, np.inf, inputs)
    return inputs, memory


ATTENDS = {"dense": None, "engine": jattn.engine.attend_with_cache}


@pytest.mark.parametrize("attend", ATTENDS)
@pytest.mark.parametrize("name", WHOLE)
def test_S1_steps_are_the_full_pass(name, attend):
    run = lambda way: jax.jit(functools.partial(way, *WHOLE[name]))(DECODER, *padded(name))
    steps = functools.partial(by_step, attend=ATTENDS[attend])
    (outputs, weights), full = run(steps), run(whole_pass)
    testing.assert_close(outputs, full.outputs, 1e-14)
    testing.assert_close([jnp.swapaxes(x, 0, 1) for x in weights], list(full.cross_weights), 1e-14)
    assert np.asarray(full.cross_weights[0]).any()


@pytest.mark.parametrize("attend", ATTENDS)
@pytest.mark.parametrize("name", [name for name, (_, mask) in WHOLE.items() if mask is not None])
def test_S1_G1_C1_the_gradient_of_steps_is_that_of_the_full_pass(name, attend):
    """Padding of the memory and of the inputs reaches neither."""
    decoder = DECODER._replace(blocks=DECODER.blocks[:1])
    options, memory_mask = WHOLE[name]
    options = {n: x[:1] if n.endswith("sinks") else x for n, x in options.items()}
    cotangent = jnp.cos(jnp.arange(float(T * D))).reshape(T, D)

    def gradient(way):
        loss = lambda *inputs: (way(options, memory_mask, *inputs)[0] * cotangent).sum()
        return jax.jit(jax.grad(loss, (0, 1, 2)))(decoder, *padded(name))

    steps = functools.partial(by_step, attend=ATTENDS[attend])
    testing.assert_close(gradient(steps), gradient(whole_pass), 1e-13)


def test_S1_a_state_has_room_for_more_positions_than_are_used():
    of_memory = jattn.transformer_memory(DECODER, MEMORY)
    states = [jattn.transformer_start(DECODER, of_memory, capacity=m) for m in (1, T + 2)]
    step = lambda state: jattn.transformer_step(DECODER, state, INPUTS[0], of_memory)[0]
    testing.assert_close(*map(step, states), 1e-15)


def test_a_cache_that_is_full_takes_no_more():
    of_memory = jattn.transformer_memory(DECODER, MEMORY)
    for capacity in (0, 1):
        state = jattn.transformer_start(DECODER, of_memory, capacity=capacity)
        if capacity:
            _, state = jattn.transformer_step(DECODER, state, INPUTS[0], of_memory)
        message = rf"^transformer_step: state holds {capacity} positions \(m\)"
        with pytest.raises(ValueError, match=message):
            jattn.transformer_step(DECODER, state, INPUTS[0], of_memory)
    for attend in ATTENDS.values():
        step = jax.jit(functools.partial(jattn.transformer_step, attend=attend))
        outputs, _ = step(DECODER, state, INPUTS[0], of_memory)
        assert np.isnan(outputs).all()


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
    result = jax.jit(search)(DECODER, MEMORY)
    length = int(result.lengths)
    assert length > 1
    tokens = np.array([1, *result.tokens])[:max_steps]
    full = jax.jit(jattn.transformer_decoder)(DECODER, table[tokens], MEMORY)
    likeliest = (full.outputs @ table.T).argmax(-1)
    np.testing.assert_array_equal(likeliest[:length], result.tokens[:length])
    testing.assert_close(
        result.collected[1][:length], full.cross_weights[1].swapaxes(0, 1)[:length], 1e-14
    )


BLOCKS = {
    "encoder block": (jattn.encoder_block, ENCODER.blocks[0]),
    "encoder": (jattn.transformer_encoder, ENCODER),
    "decoder block": (jattn.decoder_block, DECODER.blocks[0]),
    "decoder": (jattn.transformer_decoder, DECODER),
}
PAIRS = FIRST_THREE[:, None] & FIRST_THREE
HIDDEN = {
    "a mask of lengths": {"self_mask": masks.lengths(3, query_lengths=3)},
    "a bias of -inf": {"self_mask": None, "self_bias": np.where(PAIRS, 0.5, -np.inf)},
    "a bias for each head": {
        "self_mask": PAIRS | ~np.tri(S, dtype=bool).T,
        "self_bias": np.where(PAIRS, 0.5, -np.inf)[None].repeat(HEADS, 0),
    },
}


@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("name", BLOCKS)
def test_C1_padding_changes_no_bit(name, hidden):
    """Neither of a value nor of a gradient, where a position neither attends nor is attended to."""
    function, params = BLOCKS[name]
    options = dict(HIDDEN[hidden])
    decodes = "decoder" in name
    if decodes:
        options |= {"memory_mask": masks.lengths(3)}

    def run(params, inputs, memory):
        function_of = lambda params, inputs, *memory: function(params, inputs, *memory, **options)
        arguments = (params, inputs, memory) if decodes else (params, inputs)
        results, pullback = jax.vjp(function_of, *arguments)
        return results, pullback(jax.tree.map(jnp.ones_like, results))

    run = jax.jit(run)
    clean = run(params, INPUTS_OF_FIVE, MEMORY)
    for value in UNUSABLE:
        padded = [np.where(FIRST_THREE[:, None], x, value) for x in (INPUTS_OF_FIVE, MEMORY)]
        assert_same_bits(run(params, *padded), clean, f"{value}")
    results, gradient = clean
    for rows in (results[0], *gradient[1:]):
        assert not np.asarray(rows[3:]).any()
        assert np.asarray(rows[:3]).all()
    for weights in jax.tree.leaves(results[1:]):
        assert not np.asarray(weights[:, 3:]).any()


INPUTS_OF_FIVE = RNG.standard_normal((S, D))


def test_C1_a_memory_that_padding_alone_may_read_changes_no_bit():
    """The last position of the memory belongs to the last query, which is padding."""
    options = {
        "self_mask": masks.causal() & masks.lengths(2, 2),
        "memory_mask": masks.lengths(4) | np.array([[False], [False], [True]]).repeat(S, 1),
    }
    run = jax.jit(
        jax.grad(lambda *args: jattn.decoder_block(*args, **options).outputs.sum(), (0, 2))
    )
    params, memory = DECODER.blocks[0], np.where(np.arange(S)[:, None] < 4, MEMORY, np.nan)
    assert_same_bits(run(params, INPUTS, memory), run(params, INPUTS, np.nan_to_num(memory)))


def test_G3_derivatives_of_a_stack_with_all_options_agree_in_every_order():
    """With dropout of both kinds, along a random direction."""
    params = ENCODER._replace(blocks=ENCODER.blocks[:1])
    arrays = {"self_sinks": SINKS["self_sinks"][:1], "self_bias": SELF_BIAS, "scale": np.array(0.8)}
    options = {
        "self_mask": SELF_MASK,
        "logits_soft_cap": 0.7,
        "dropout_rate": 0.2,
        "attention_dropout_rate": 0.3,
        "rng": jax.random.key(2),
        "feed_forward": functools.partial(jattn.feed_forward, activation=jnp.tanh),
    }
    inputs = (params, INPUTS, arrays)
    results = jattn.transformer_encoder(params, INPUTS, **arrays, **options)
    cotangent, direction = draw_like(results, 3), draw_like(inputs, 4)

    def loss(inputs):
        *leading, arrays = inputs
        return inner(cotangent, jattn.transformer_encoder(*leading, **arrays, **options))

    def derivatives(inputs):
        gradient = jax.grad(loss)
        along = lambda inputs: jax.jvp(loss, (inputs,), (direction,))[1]
        change = jax.jvp(gradient, (inputs,), (direction,))[1]
        return along(inputs), inner(gradient(inputs), direction), change, jax.grad(along)(inputs)

    forward, reverse, *second = jax.jit(derivatives)(inputs)
    testing.assert_close(forward, reverse, 1e-13)
    testing.assert_close(*second, 1e-11)


RATE = 0.4
GENERATORS = ("threefry2x32", "rbg", "unsafe_rbg")


@pytest.mark.parametrize("generator", GENERATORS)
def test_K1_dropout_of_weights_is_that_of_the_engine_and_of_the_oracle(generator):
    """Equal rng, head, query and key drop the same weights."""
    rng = jax.random.key(7, impl=generator)
    params = drawn(
        jattn.init_multi_head(jax.random.key(0), heads=4, query_size=D, key_value_heads=2)
    )
    options = {"sinks": RNG.standard_normal(4), "logits_soft_cap": 0.7, "scale": 0.9}
    dropped = {"dropout_rate": RATE, "dropout_rng": rng}
    bias = RNG.standard_normal((4, T, S))

    def run(params, query, memory):
        attend = functools.partial(jattn.multi_head_attention, bias=bias, **options, **dropped)
        results, pullback = jax.vjp(attend, params, query, memory, memory)
        return results, pullback(jax.tree.map(jnp.cos, results))

    results, gradient = jax.jit(run)(params, INPUTS, MEMORY)
    kept = kept_pairs(rng, RATE, jnp.arange(4), jnp.arange(T), jnp.arange(S))
    wanted, pullback = oracle(
        params, INPUTS, MEMORY, MEMORY, bias=bias, **options, dropout_rate=RATE, dropout_rng=kept
    )
    testing.assert_close(results, wanted, 1e-13)
    testing.assert_close(gradient, pullback(jax.tree.map(np.cos, wanted))[:4], 1e-12)

    to_heads = lambda weight, rows: jnp.einsum("hef,sf->she", weight, rows)[None]
    heads = to_heads(params.query_weight, INPUTS), to_heads(params.key_weight, MEMORY)
    context, weights = jattn.dot_product_attention(
        *heads,
        to_heads(params.value_weight, MEMORY),
        bias[None],
        **options,
        **dropped,
        return_weights=True,
    )
    of_engine = jnp.einsum("dhu,thu->td", params.output_weight, context[0])
    testing.assert_close(results.context, of_engine, 1e-13)
    testing.assert_close(results.weights, weights[0], 1e-13)


def test_K1_dropout_of_weights_goes_by_position():
    """The later queries of a call drop what a call of these queries alone drops."""
    params = jattn.init_multi_head(jax.random.key(0), heads=2, query_size=D)
    attend = functools.partial(
        jattn.multi_head_attention, dropout_rate=RATE, dropout_rng=jax.random.key(3)
    )
    whole = attend(params, INPUTS_OF_FIVE, MEMORY, MEMORY)
    later = attend(params, INPUTS_OF_FIVE[2:], MEMORY, MEMORY, query_offset=2)
    testing.assert_close(later.context, whole.context[2:], 1e-14)
    plain = jattn.multi_head_attention(params, INPUTS_OF_FIVE, MEMORY, MEMORY)
    assert np.any(np.abs(plain.context - whole.context) > 1e-3)
    np.testing.assert_array_equal(plain.weights, whole.weights)


def test_K1_blocks_and_stacks_drop_weights_of_each_attention_by_a_key_of_its_own():
    """Each block is what its parts give with the keys that are split off."""
    rng, params = jax.random.key(5), ENCODER.blocks[0]
    keys = jax.random.split(rng, 3)
    block = jattn.encoder_block(params, MEMORY, attention_dropout_rate=RATE, rng=rng)
    normal = jattn.layer_norm(params.attention_norm, MEMORY)
    attended = jattn.multi_head_attention(
        params.attention, normal, normal, normal, dropout_rate=RATE, dropout_rng=keys[2]
    )
    rows = MEMORY + attended.context
    network = jattn.feed_forward(
        params.feed_forward, jattn.layer_norm(params.feed_forward_norm, rows)
    )
    testing.assert_close(block.outputs, rows + network, 1e-14)

    params = DECODER.blocks[0]
    keys = jax.random.split(rng, 5)
    block = jattn.decoder_block(params, INPUTS, MEMORY, attention_dropout_rate=RATE, rng=rng)
    normal = jattn.layer_norm(params.self_norm, INPUTS)
    options = {"dropout_rate": RATE, "mask": masks.causal(), "dropout_rng": keys[3]}
    rows = (
        INPUTS
        + jattn.multi_head_attention(
            params.self_attention, normal, normal, normal, **options
        ).context
    )
    normal = jattn.layer_norm(params.cross_norm, rows)
    options = {"dropout_rate": RATE, "dropout_rng": keys[4]}
    rows = (
        rows
        + jattn.multi_head_attention(
            params.cross_attention, normal, MEMORY, MEMORY, **options
        ).context
    )
    network = jattn.feed_forward(
        params.feed_forward, jattn.layer_norm(params.feed_forward_norm, rows)
    )
    testing.assert_close(block.outputs, rows + network, 1e-14)

    rates = {"dropout_rate": 0.2, "attention_dropout_rate": RATE}
    for stack, function, params, memory in (
        (jattn.transformer_encoder, jattn.encoder_block, ENCODER, ()),
        (jattn.transformer_decoder, jattn.decoder_block, DECODER, (MEMORY,)),
    ):
        rows = INPUTS
        for block, key in zip(params.blocks, jax.random.split(rng, LAYERS), strict=True):
            rows = function(block, rows, *memory, rng=key, **rates).outputs
        rows = jattn.layer_norm(params.norm, rows)
        testing.assert_close(stack(params, INPUTS, *memory, rng=rng, **rates).outputs, rows, 1e-14)


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


def test_a_sink_of_minus_infinity_is_no_sink():
    params = jattn.init_multi_head(jax.random.key(0), heads=2, query_size=D)
    attend = lambda sinks: jattn.multi_head_attention(
        params, INPUTS, MEMORY, MEMORY, mask=masks.lengths(3, query_lengths=2), sinks=sinks
    )
    without = attend(None)
    testing.assert_close(attend(np.full(2, -np.inf)), without, 1e-15)
    gradient = jax.grad(lambda sinks: attend(sinks).context.sum())(np.array([-np.inf, 0.5]))
    assert np.isfinite(gradient).all()
    assert gradient[0] == 0.0
    assert gradient[1] != 0.0


def test_the_position_of_the_first_input_moves_both_queries_and_keys():
    """A turn that adds a feature of each position tells absolute positions apart."""
    table = RNG.standard_normal((T + 4, 2))
    turn = lambda heads, positions: heads + jnp.asarray(table)[positions]
    longer = RNG.standard_normal((T + 4, D))
    alone = np.arange(T + 4) >= 4
    options = {"turn": turn, "self_mask": masks.dense(alone[:, None] & alone)}
    encoder, decoder = ENCODER.blocks[0], DECODER.blocks[0]
    wanted = jattn.encoder_block(encoder, longer, **options)
    moved = jattn.encoder_block(encoder, longer[4:], turn=turn, query_offset=4)
    testing.assert_close(moved.outputs, wanted.outputs[4:], 1e-14)
    options["memory_turn"] = turn
    wanted = jattn.decoder_block(decoder, longer, MEMORY, **options)
    moved = jattn.decoder_block(
        decoder, longer[4:], MEMORY, turn=turn, memory_turn=turn, query_offset=4, self_mask=None
    )
    testing.assert_close(moved.outputs, wanted.outputs[4:], 1e-14)


LLAMA_DRAWN = {
    "init_norm": jattn.init_rms_norm,
    "init_feed_forward": jattn.init_gated_feed_forward,
}
LLAMA = {
    "norm": functools.partial(jattn.rms_norm, epsilon=1e-3),
    "feed_forward": jattn.gated_feed_forward,
}


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_G1_blocks_with_other_norms_and_networks_match_the_oracle(kind):
    init, block = (getattr(jattn, f"{name}_block") for name in (f"init_{kind}", kind))
    sizes = {"size": D, "heads": HEADS, "hidden_size": 4}
    params = drawn(init(jax.random.key(0), **sizes, **LLAMA_DRAWN))
    assert isinstance(params.feed_forward_norm, jattn.RMSNormParams)
    assert isinstance(params.feed_forward, jattn.GatedFeedForwardParams)
    inputs = (params, INPUTS) if kind == "encoder" else (params, INPUTS, MEMORY)
    of_oracle = {
        "norm": functools.partial(oracle_of(jattn.rms_norm), epsilon=1e-3),
        "feed_forward": oracle_of(jattn.gated_feed_forward),
    }
    report = testing.first_order(
        functools.partial(block, **LLAMA),
        functools.partial(oracle_of(block), **of_oracle),
        inputs,
        tolerance=1e-12,
    )
    assert testing.Report(kind, report).passed, str(testing.Report(kind, report))


def test_S1_stacks_with_other_norms_and_networks_give_the_same_by_steps():
    params = drawn(jattn.init_transformer_decoder(jax.random.key(0), **SIZES, **LLAMA_DRAWN))
    assert isinstance(params.norm, jattn.RMSNormParams)
    outputs, _ = by_step(LLAMA, None, params, INPUTS, MEMORY)
    testing.assert_close(outputs, whole_pass(LLAMA, None, params, INPUTS, MEMORY).outputs, 1e-14)
    encoder = jattn.init_transformer_encoder(jax.random.key(0), **SIZES, **LLAMA_DRAWN)
    scales = [block.attention_norm for block in encoder.blocks] + [encoder.norm]
    assert all(isinstance(scale, jattn.RMSNormParams) for scale in scales)


def test_a_norm_and_a_network_of_ones_own_have_parameters_of_their_own():
    """Parameters of any NamedTuple, with other fields than those of the library's layers."""

    class Shift(NamedTuple):
        by: Any

    params = ENCODER.blocks[0]._replace(
        attention_norm=Shift(0.5), feed_forward_norm=Shift(2.0), feed_forward=(np.float64(3.0),)
    )
    block = jattn.encoder_block(
        params,
        INPUTS,
        norm=lambda shift, rows: rows + shift.by,
        feed_forward=lambda factors, rows: factors[0] * rows,
    )
    moved = INPUTS + 0.5
    rows = INPUTS + jattn.multi_head_attention(params.attention, moved, moved, moved).context
    testing.assert_close(block.outputs, rows + 3.0 * (rows + 2.0), 1e-14)


def test_parameters_are_drawn_with_variance_one_over_fan_in():
    """Of many features; each weight has a key of its own, and biases are zero."""
    sizes = {"size": 60, "heads": 4, "hidden_size": 90, "key_value_heads": 2}
    params = jattn.init_transformer_decoder(jax.random.key(0), layers=2, **sizes)
    block = params.blocks[0]
    weights = {
        60: [*block.self_attention[:4], *block.cross_attention[:4], block.feed_forward[0]],
        90: [block.feed_forward[1]],
    }
    for fan_in, arrays in weights.items():
        for array in arrays:
            assert abs(np.std(array) * fan_in**0.5 - 1) < 4 / np.sqrt(2 * array.size)
    firsts = [array.ravel()[0] for block in params.blocks for array in jax.tree.leaves(block)]
    drawn_weights = [float(first) for first in firsts if float(first) not in (0.0, 1.0)]
    assert len(set(drawn_weights)) == len(drawn_weights) == 20
    assert not any(np.asarray(bias).any() for bias in block.self_attention[4:])


OF_MEMORY = jattn.transformer_memory(DECODER, MEMORY)
STATE = jattn.transformer_start(DECODER, OF_MEMORY, capacity=2)
SHORTER = DECODER._replace(blocks=DECODER.blocks[:1])
RNG_KEY = jax.random.key(0)
HEADED = jattn.init_multi_head(jax.random.key(0), heads=2, query_size=D)


def step_with(**options):
    return jattn.transformer_step(DECODER, STATE, INPUTS[0], OF_MEMORY, **options)


ERRORS = {
    "transformer_start: memory is None, expected TransformerMemory": (
        lambda: jattn.transformer_start(DECODER, None, capacity=2)
    ),
    "transformer_start: params is a TransformerEncoderParams, expected TransformerDecoderParams": (
        lambda: jattn.transformer_start(ENCODER, OF_MEMORY, capacity=2)
    ),
    "transformer_start: memory.keys has 2 blocks, expected 1 (from params)": (
        lambda: jattn.transformer_start(SHORTER, OF_MEMORY, capacity=2)
    ),
    "transformer_start: unexpected argument size": (
        lambda: jattn.transformer_start(DECODER, OF_MEMORY, size=2)
    ),
    "transformer_step: state is a TransformerMemory, expected TransformerState": (
        lambda: jattn.transformer_step(DECODER, OF_MEMORY, INPUTS[0], OF_MEMORY)
    ),
    "transformer_step: state.caches has 2 blocks, expected 1 (from params)": (
        lambda: jattn.transformer_step(SHORTER, STATE, INPUTS[0], OF_MEMORY)
    ),
    "transformer_step: memory is a Array": lambda: jattn.transformer_step(
        DECODER, STATE, INPUTS[0], jnp.ones((S, D))
    ),
    "transformer_step: unexpected argument mask": lambda: step_with(mask=None),
    "transformer_step: self_bias has shape (3, 5), expected (3, 2)": (
        lambda: step_with(self_bias=np.zeros((3, 5)))
    ),
    "transformer_step: memory_bias has shape (4,), expected (5,)": (
        lambda: step_with(memory_bias=np.zeros(4))
    ),
    "transformer_step: self_sinks has shape (2, 2), expected (2, 3)": (
        lambda: step_with(self_sinks=np.zeros((2, 2)))
    ),
    "transformer_step: self_sinks has shape (3, 3), expected (l, h) with l=2": (
        lambda: step_with(self_sinks=np.zeros((3, 3)))
    ),
    "transformer_step: memory_mask: mask has t=3, expected 2": (
        lambda: step_with(memory_mask=np.ones((3, S), bool))
    ),
    "transformer_step: inputs has shape (7,), expected (d) with d=6": (
        lambda: jattn.transformer_step(DECODER, STATE, np.zeros(7), OF_MEMORY)
    ),
    "transformer_step: inputs has shape (7,), expected (6,)": lambda: jattn.transformer_step(
        DECODER._replace(norm=None), STATE, np.zeros(7), OF_MEMORY
    ),
    "transformer_step: state.caches[1].key has shape (1, 3, 2), expected (1, 2, 2)": (
        lambda: jattn.transformer_step(
            DECODER,
            STATE._replace(
                caches=(
                    STATE.caches[0],
                    jattn.init_cache(capacity=3, key_value_heads=1, key_size=2),
                )
            ),
            INPUTS[0],
            OF_MEMORY,
        )
    ),
    "transformer_step: norm is 3, expected a function": lambda: step_with(norm=3),
    "rms_norm: params is a LayerNormParams, expected RMSNormParams with fields scale": (
        lambda: step_with(norm=jattn.rms_norm)
    ),
    "gated_feed_forward: params is a FeedForwardParams, expected GatedFeedForwardParams": (
        lambda: step_with(feed_forward=jattn.gated_feed_forward)
    ),
    "transformer_memory: memory_mask depends on the query, expected one row": (
        lambda: jattn.transformer_memory(DECODER, MEMORY, memory_mask=masks.causal())
    ),
    "transformer_memory: memory has shape (5, 7), expected (s, k) with k=6": (
        lambda: jattn.transformer_memory(DECODER, np.zeros((S, 7)))
    ),
    "transformer_memory: params is None, expected TransformerDecoderParams": (
        lambda: jattn.transformer_memory(None, MEMORY)
    ),
    "transformer_encoder: params is a EncoderBlockParams, expected TransformerEncoderParams": (
        lambda: jattn.transformer_encoder(ENCODER.blocks[0], MEMORY)
    ),
    "transformer_encoder: params.blocks[0] is a DecoderBlockParams, expected EncoderBlockParams": (
        lambda: jattn.transformer_encoder(ENCODER._replace(blocks=DECODER.blocks), MEMORY)
    ),
    "transformer_encoder: unexpected argument mask": (
        lambda: jattn.transformer_encoder(ENCODER, MEMORY, mask=None)
    ),
    "transformer_encoder: dropout_rate is 0.5 but rng is None": (
        lambda: jattn.transformer_encoder(ENCODER, MEMORY, dropout_rate=0.5)
    ),
    "transformer_encoder: self_sinks has shape (1, 3), expected (l, h) with l=2": (
        lambda: jattn.transformer_encoder(ENCODER, MEMORY, self_sinks=np.zeros((1, 3)))
    ),
    "transformer_decoder: memory is None, expected an array": (
        lambda: jattn.transformer_decoder(DECODER, INPUTS, None)
    ),
    "transformer_decoder: attention_dropout_rate is 0.5 but rng is None": (
        lambda: jattn.transformer_decoder(DECODER, INPUTS, MEMORY, attention_dropout_rate=0.5)
    ),
    "transformer_decoder: scale is inf, expected a finite number": (
        lambda: jattn.transformer_decoder(DECODER, INPUTS, MEMORY, scale=np.inf)
    ),
    "decoder_block: logits_soft_cap is inf, expected a finite number": (
        lambda: jattn.decoder_block(DECODER.blocks[0], INPUTS, MEMORY, logits_soft_cap=np.inf)
    ),
    "decoder_block: feed_forward is None, expected a function": (
        lambda: jattn.decoder_block(DECODER.blocks[0], INPUTS, MEMORY, feed_forward=None)
    ),
    "encoder_block: params is a DecoderBlockParams, expected EncoderBlockParams": (
        lambda: jattn.encoder_block(DECODER.blocks[0], INPUTS)
    ),
    "encoder_block: dropout_rate is 0.5 but rng is None": (
        lambda: jattn.encoder_block(ENCODER.blocks[0], INPUTS, dropout_rate=0.5)
    ),
    "multi_head_attention: params has 2 heads (h), expected a multiple of its 3 key-value heads": (
        lambda: jattn.multi_head_attention(
            HEADED._replace(key_weight=np.zeros((3, 3, D)), value_weight=np.zeros((3, 3, D))),
            INPUTS,
            MEMORY,
            MEMORY,
        )
    ),
    "init_multi_head: heads is 4, expected a multiple of key_value_heads=3": (
        lambda: jattn.init_multi_head(RNG_KEY, heads=4, query_size=D, key_value_heads=3)
    ),
    "multi_head_attention: scale is inf, expected a finite number": (
        lambda: jattn.multi_head_attention(HEADED, INPUTS, MEMORY, MEMORY, scale=np.inf)
    ),
    "multi_head_attention: logits_soft_cap is 0.0, expected a finite number above 0": (
        lambda: jattn.multi_head_attention(HEADED, INPUTS, MEMORY, MEMORY, logits_soft_cap=0.0)
    ),
    "multi_head_attention: sinks has shape (3,), expected (h) with h=2": (
        lambda: jattn.multi_head_attention(HEADED, INPUTS, MEMORY, MEMORY, sinks=np.zeros(3))
    ),
    "multi_head_attention: dropout_rate is 0.5 but dropout_rng is None": (
        lambda: jattn.multi_head_attention(HEADED, INPUTS, MEMORY, MEMORY, dropout_rate=0.5)
    ),
}


@pytest.mark.parametrize("message", ERRORS)
def test_mistakes_are_named(message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        ERRORS[message]()
