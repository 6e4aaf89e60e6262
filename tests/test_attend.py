# pyright: reportArgumentType=false, reportCallIssue=false
"""Models with the engine as their `attend`: values of the dense form, without its arrays."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from attending import QUICK
from test_engine_plans import sizes

import jattn
from jattn import engine, masks, testing
from jattn.masks import visible as visibility
from jattn.testing.trees import draw_like, inner

D, S, T, HEADS = 6, 7, 5, 4
RNG = np.random.default_rng(0)
QUERY, MEMORY = RNG.standard_normal((T, D)), RNG.standard_normal((S, D))
HEADED = jattn.init_multi_head(
    jax.random.key(0), heads=HEADS, query_size=D, head_size=2, key_value_heads=2, bias=True
)
HEADED = draw_like(HEADED, 1)
SIZES = {"layers": 2, "size": D, "heads": 3, "hidden_size": 4, "key_value_heads": 1}
DECODER = draw_like(jattn.init_transformer_decoder(jax.random.key(0), **SIZES), 2)
ENCODER = draw_like(jattn.init_transformer_encoder(jax.random.key(0), **SIZES), 3)
PAIRS = RNG.random((T, S)) < 0.4
PAIRS[2] = PAIRS[:, 3] = False
IDS = np.array([0, 0, 1, 1, 3]), np.array([1, 1, 0, 0, 0, 2, 2])
HIDING = np.where(RNG.random((HEADS, T, S)) < 0.6, RNG.standard_normal((HEADS, T, S)), -np.inf)
HIDING[:, 1] = HIDING[:, :, 4] = -np.inf

WAYS = {
    "nothing": ({}, {}),
    "causal": ({"mask": masks.causal(1)}, {}),
    "a window of the first": ({"mask": masks.window(1, 0) & masks.lengths(4, 3)}, {}),
    "documents": ({"mask": masks.segments(*IDS) | masks.prefix(1)}, {}),
    "an array": ({"mask": PAIRS, "logits_soft_cap": 0.7}, {"scale": np.array(0.9)}),
    "a bias of each head": (
        {"mask": masks.lengths(6)},
        {"bias": HIDING, "sinks": RNG.standard_normal(HEADS)},
    ),
    "a bias of all": ({"turn": jattn.rotary, "query_offset": 3}, {"bias": HIDING[0]}),
    "dropout": (
        {"dropout_rate": 0.4, "dropout_rng": jax.random.key(3), "mask": masks.causal(2)},
        {"sinks": RNG.standard_normal(HEADS)},
    ),
}
HIDDEN = {"a window of the first": ([3, 4], [3, 4, 5, 6]), "an array": ([2], [3])}


def padded(name):
    """Query and memory with values that cannot be used where nobody may read them."""
    query, memory = QUERY.copy(), MEMORY.copy()
    rows, columns = HIDDEN.get(name, ([], []))
    query[rows], memory[columns] = np.nan, np.inf
    return query, memory


def every_derivative(function, inputs):
    """Value, gradient, and the derivatives of both along a direction, as one compiled program."""
    cotangent = draw_like(jax.eval_shape(function, *inputs), 4)
    direction = draw_like(inputs, 5)

    def first(*inputs):
        value, pullback = jax.vjp(function, *inputs)
        return value, pullback(cotangent)

    def along(*inputs):
        return inner(cotangent, jax.jvp(function, inputs, direction)[1])

    run = lambda *inputs: (jax.jvp(first, inputs, direction), jax.grad(along)(*inputs))
    return jax.jit(run, compiler_options=QUICK)(*inputs)


@pytest.mark.parametrize("name", WAYS)
def test_G3_C1_the_engine_gives_the_dense_form_and_its_derivatives(name):
    """Of a batch, whose padding may hold any value."""
    options, arrays = WAYS[name]
    query, memory = (np.stack([x, -0.5 * x]) for x in padded(name))

    def attended(attend, params, query, memory, arrays):
        one = lambda query, memory: jattn.multi_head_attention(
            params, query, memory, memory, attend=attend, **options, **arrays
        )
        return jax.vmap(one)(query, memory).context

    inputs = (HEADED, query, memory, arrays)
    dense, of_engine = (
        every_derivative(functools.partial(attended, attend), inputs)
        for attend in (None, engine.attend)
    )
    testing.assert_close(of_engine, dense, 1e-12)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(of_engine))


STACKS = {
    "encoder": (
        lambda params, inputs, memory, **options: jattn.transformer_encoder(
            params, inputs, self_mask=masks.causal() & masks.lengths(3, 3), **options
        ),
        ENCODER,
    ),
    "decoder": (
        functools.partial(
            jattn.transformer_decoder,
            self_mask=masks.window(2, 0) & masks.lengths(3, 3),
            memory_mask=masks.lengths(4),
            turn=jattn.rotary,
            attention_dropout_rate=0.3,
            rng=jax.random.key(5),
        ),
        DECODER,
    ),
}


@pytest.mark.parametrize("name", STACKS)
def test_G3_C1_stacks_on_the_engine_are_stacks_on_the_dense_form(name):
    """Padding holds NaN and infinity, and reaches no derivative."""
    stack, params = STACKS[name]
    inputs = np.where(np.arange(T)[:, None] < 3, QUERY, np.nan)
    memory = np.where(np.arange(S)[:, None] < 4, MEMORY, np.inf)

    def outputs(attend, *inputs):
        return stack(*inputs, attend=attend)[0]

    dense, of_engine = (
        every_derivative(functools.partial(outputs, attend), (params, inputs, memory))
        for attend in (None, functools.partial(engine.attend, chunk_size=2))
    )
    testing.assert_close(of_engine, dense, 1e-12)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(of_engine))


def test_weights_are_returned_where_they_are_asked_for():
    run = functools.partial(jattn.multi_head_attention, HEADED, QUERY, MEMORY, MEMORY, mask=PAIRS)
    assert run(attend=engine.attend).weights is None
    asked = run(attend=functools.partial(engine.attend, return_weights=True)).weights
    testing.assert_close(asked, run().weights, 1e-14)
    decoded = jattn.transformer_decoder(DECODER, QUERY, MEMORY, attend=engine.attend)
    assert decoded.self_weights == decoded.cross_weights == (None, None)
    assert jattn.transformer_encoder(ENCODER, QUERY, attend=engine.attend).weights == (None, None)


LONG, LONGER = 1201, 1301  # Prime; all their pairs are more than any block of queries holds.


@pytest.mark.parametrize("by_engine", [True, False])
def test_no_array_has_all_pairs_of_queries_and_keys(by_engine):
    """In the gradient of a decoder with padding and documents; the dense form has such arrays."""
    attend = engine.attend if by_engine else None
    shape = lambda *sizes: jax.ShapeDtypeStruct(sizes, jnp.float32)
    params = jax.tree.map(lambda x: shape(*x.shape), DECODER)
    ids = np.arange(LONGER) // 100

    def loss(params, inputs, memory, length):
        return jattn.transformer_decoder(
            params,
            inputs,
            memory,
            self_mask=masks.window(64, 0) & masks.lengths(length, length),
            memory_mask=masks.segments(ids[:LONG], ids) & masks.lengths(length),
            attend=attend,
        ).outputs.sum()

    length = jax.ShapeDtypeStruct((), jnp.int32)
    inputs = (params, shape(LONG, D), shape(LONGER, D), length)
    found = list(sizes(jax.make_jaxpr(jax.value_and_grad(loss, (0, 1, 2)))(*inputs).jaxpr))
    assert len(found) > 50
    assert (max(found) < LONG * LONGER) == by_engine


MASKS = {
    "causal": masks.causal(-2),
    "a window of some": masks.window(1, 1, 2) & masks.lengths(5, 3),
    "traced": masks.lengths(jnp.array(3), jnp.array(4)),
    "blocks": masks.blocks(3) & ~masks.lengths(2),
    "documents": masks.segments(*IDS),
    "nothing": masks.lengths(0) | masks.dense(np.zeros((T, S), bool)),
    "an array": PAIRS,
}
BIASES = {"no bias": None, "a bias": HIDING[0], "heads": HIDING}


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("name", MASKS)
def test_visible_queries_and_keys_are_those_of_the_dense_mask(name, bias, monkeypatch):
    monkeypatch.setattr(visibility, "PAIRS", 2 * S)  # Two queries at once, and five in all.
    mask, bias = MASKS[name], BIASES[bias]
    pairs = np.asarray(mask if isinstance(mask, np.ndarray) else mask.dense(T, S))
    pairs = pairs if bias is None else pairs & (bias != -np.inf)
    pairs = pairs.any(0) if pairs.ndim == 3 else pairs
    seen = visibility.visible(mask, bias, T, S)
    seen = (np.ones(T, bool), np.ones(S, bool)) if seen is None else seen
    np.testing.assert_array_equal(seen[0], pairs.any(1))
    np.testing.assert_array_equal(seen[1], pairs.any(0))


def test_without_keys_or_queries_nothing_is_visible():
    assert visibility.visible(None, None, 2, 3) is None
    assert visibility.visible(masks.causal(), None, 3, 3) is None
    for mask in (None, masks.causal(), masks.dilated(2)):
        for t, s in ((0, 3), (3, 0)):
            seen = visibility.visible(mask, None, t, s)
            assert seen is not None
            assert not np.asarray(seen.queries).any()
            assert not np.asarray(seen.keys).any()


REFUSED = {
    "attend: normalizer is sparsemax, expected softmax": (
        engine.attend,
        {"normalizer": jattn.sparsemax},
    ),
    "attend: query_offset is 3, expected 0 with dropout_rate": (
        engine.attend,
        {"query_offset": 3, "dropout_rate": 0.5, "dropout_rng": jax.random.key(0)},
    ),
    "multi_head_attention: attend is 3, expected a function": (3, {}),
    "multi_head_attention: attend returned a context of shape (4, 5, 2), expected a context of"
    " shape (5, 4, 2) (t, h, u)": (
        lambda query, key, value: (jnp.swapaxes(query, 0, 1), None),
        {},
    ),
    "multi_head_attention: attend returned ArrayImpl, expected a context of shape (5, 4, 2)": (
        jattn.dot_product_attention,
        {},
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_mistakes_are_named(message):
    attend, options = REFUSED[message]
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        jattn.multi_head_attention(HEADED, QUERY, MEMORY, MEMORY, attend=attend, **options)


def test_a_function_of_ones_own_gets_the_options_that_are_set_and_refuses_others():
    def mean(query, key, value, *, scale):
        groups = query.shape[1] // value.shape[1]
        return scale * query * 0.0 + jnp.repeat(value.mean(0), groups, 0)[None], None

    run = functools.partial(jattn.multi_head_attention, HEADED, QUERY, MEMORY, MEMORY, attend=mean)
    everything = jattn.multi_head_attention(
        HEADED._replace(query_weight=HEADED.query_weight * 0.0, query_bias=None),
        QUERY,
        MEMORY,
        MEMORY,
    )
    testing.assert_close(run(scale=1.0).context, everything.context, 1e-14)
    with pytest.raises(TypeError, match="logits_soft_cap"):
        run(scale=1.0, logits_soft_cap=3.0)
