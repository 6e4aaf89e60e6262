# pyright: reportArgumentType=false, reportCallIssue=false
"""Causal stacks decoded from caches: chunks and steps are the full pass."""

import functools
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_docs import examples

import jattn
from jattn import engine, masks, testing
from jattn.testing.trees import draw_like, inner

PAGE = Path(__file__).parent.parent / "docs" / "llama.md"
MODEL = next(examples(PAGE.read_text("utf-8")))[1]
D, T, LAYERS, HEADS, GROUPS = 6, 7, 2, 3, 1
SIZES = {"layers": LAYERS, "size": D, "heads": HEADS, "key_value_heads": GROUPS, "hidden_size": 5}
PARAMS = draw_like(jattn.init_transformer_encoder(jax.random.key(0), **SIZES), 1)
RNG = np.random.default_rng(0)
INPUTS, LENGTHS = RNG.standard_normal((2, T, D)), np.array([T, 3])
PAST = masks.causal()
SINKS = RNG.standard_normal((LAYERS, HEADS))


def caches_of(*batch, dtype=float, **window):
    init = jattn.init_rolling_cache if window else jattn.init_cache
    sizes = {} if window else {"capacity": T + 2}
    return [
        init(*batch, **sizes, **window, key_value_heads=GROUPS, key_size=2, dtype=dtype)
        for _ in range(LAYERS)
    ]


def in_chunks(chunk, params, caches, inputs, lengths=None, **options):
    """The outputs of one chunk after another, and the caches after the last."""
    parts = []
    for start in range(0, inputs.shape[-2], chunk):
        part = inputs[..., start : start + chunk, :]
        given = None if lengths is None else (lengths - start).clip(0, part.shape[-2])
        part, caches = jattn.causal_decode(
            params, caches, part, attend=jattn.caches.attend_with_cache, lengths=given, **options
        )
        parts.append(part)
    return jnp.concatenate(parts, axis=-2), caches


def whole_pass(params, inputs, lengths, mask=PAST, **options):
    one = lambda rows, length: jattn.transformer_encoder(
        params,
        rows,
        self_mask=mask & masks.lengths(length, length),
        attend=engine.attend,
        **options,
    )
    return jax.vmap(one)(inputs, lengths).outputs


OPTIONS = {
    "rotation, sinks and a cap": {
        "turn": jattn.rotary,
        "self_sinks": SINKS,
        "logits_soft_cap": 0.7,
        "scale": 0.9,
    },
    "post-norm": {"order": jattn.post_norm, "norm": functools.partial(jattn.layer_norm, epsilon=1)},
    "a network of ones own": {"feed_forward": lambda params, rows: rows * params.output_bias[None]},
}


@pytest.mark.parametrize("chunk", [1, 3, T])
@pytest.mark.parametrize("name", OPTIONS)
def test_S1_C1_chunks_are_the_full_pass(name, chunk):
    """Of a batch with padding, which holds NaN."""
    inputs = np.where(np.arange(T)[:, None] < LENGTHS[:, None, None], INPUTS, np.nan)
    options = OPTIONS[name]
    run = jax.jit(functools.partial(in_chunks, chunk, lengths=LENGTHS, **options))
    outputs, caches = run(PARAMS, caches_of(2), inputs)
    testing.assert_close(outputs, whole_pass(PARAMS, inputs, LENGTHS, **options), 1e-12)
    for cache in caches:
        np.testing.assert_array_equal(cache.length, LENGTHS)


def test_S1_sequences_go_on_from_ends_of_their_own():
    """A prompt of each, then steps: each gets what it would get alone."""
    options = {"turn": jattn.rotary}
    _, caches = in_chunks(T, PARAMS, caches_of(2), INPUTS, LENGTHS - 1, **options)
    last = INPUTS[np.arange(2), LENGTHS - 1][:, None]
    outputs, caches = in_chunks(1, PARAMS, caches, last, **options)
    whole = whole_pass(PARAMS, INPUTS, LENGTHS, **options)
    testing.assert_close(outputs[:, 0], whole[np.arange(2), LENGTHS - 1], 1e-12)


def test_S1_a_rolling_cache_is_a_window():
    caches = caches_of(2, window=3, longest_chunk=2)
    outputs, _ = in_chunks(2, PARAMS, caches, INPUTS, turn=jattn.rotary)
    mask = masks.window(2, 0)
    whole = whole_pass(PARAMS, INPUTS, np.full(2, T), mask, turn=jattn.rotary)
    testing.assert_close(outputs, whole, 1e-12)


def test_T1_leading_axes_are_free_and_can_be_mapped():
    batched, _ = in_chunks(3, PARAMS, caches_of(2), INPUTS, LENGTHS, turn=jattn.rotary)
    step = functools.partial(in_chunks, 3, PARAMS, turn=jattn.rotary)
    mapped, _ = jax.vmap(lambda cache, *rows: step(cache, *rows))(caches_of(2), INPUTS, LENGTHS)
    testing.assert_close(mapped, batched, 1e-12)
    deeper = step(caches_of(1, 2), INPUTS[None], LENGTHS[None])[0]
    testing.assert_close(deeper[0], batched, 1e-12)


def test_G1_G3_derivatives_of_chunks_are_those_of_the_full_pass():
    inputs = np.where(np.arange(T)[:, None] < LENGTHS[:, None, None], INPUTS, np.nan)
    given = (PARAMS, inputs, SINKS)
    cotangent, direction = draw_like(INPUTS, 2), draw_like(given, 3)
    options = {
        "turn": jattn.rotary,
        "feed_forward": functools.partial(jattn.feed_forward, activation=jnp.tanh),
    }

    def derivatives(outputs):
        loss = lambda given: inner(cotangent, outputs(*given))
        return jax.jit(lambda given: jax.jvp(jax.grad(loss), (given,), (direction,)))(given)

    chunked = lambda params, rows, sinks: in_chunks(
        4, params, caches_of(2), rows, LENGTHS, self_sinks=sinks, **options
    )[0]
    whole = lambda params, rows, sinks: whole_pass(
        params, rows, LENGTHS, self_sinks=sinks, **options
    )
    testing.assert_close(derivatives(chunked), derivatives(whole), 1e-11)


@pytest.mark.parametrize("stored", ["bfloat16", "float32"])
def test_D1_caches_keep_their_dtype(stored):
    params, inputs = jax.tree.map(lambda x: jnp.asarray(x, "bfloat16"), (PARAMS, INPUTS))
    outputs, caches = in_chunks(3, params, caches_of(2, dtype=stored), inputs)
    assert outputs.dtype == jnp.bfloat16
    assert {str(cache.key.dtype) for cache in caches} == {stored}
    wanted = whole_pass(PARAMS, INPUTS, np.full(2, T))
    assert abs(np.asarray(outputs, "float64") - wanted).max() < 0.1 * abs(wanted).max()


def test_S1_the_model_of_the_page_gives_the_same_in_one_pass_in_chunks_and_by_tokens():
    """With grouped heads, rotation, root mean square norms and gated networks; in 60 lines."""
    assert len(MODEL.splitlines()) <= 60
    page = {}
    exec(compile(MODEL, str(PAGE), "exec"), page)
    tokens, lengths = RNG.integers(page["WORDS"], size=(3, 9)), np.array([9, 5, 7])
    whole = jax.vmap(functools.partial(page["logits"], page["model"]))(tokens, lengths)
    for chunk in (9, 4, 1):
        caches, parts = page["empty_caches"](3), []
        for start in range(0, 9, chunk):
            part = tokens[:, start : start + chunk]
            of_part = np.clip(lengths - start, 0, part.shape[1])
            part, caches = page["next_logits"](page["model"], caches, part, of_part)
            parts.append(part)
        testing.assert_close(jnp.concatenate(parts, axis=1), whole, 1e-12)


def decode(caches=None, inputs=INPUTS, params=PARAMS, **options):
    caches = caches_of(2) if caches is None else caches
    options = {"attend": jattn.caches.attend_with_cache, **options}
    return jattn.causal_decode(params, caches, inputs, **options)


ERRORS = {
    "causal_decode: caches has 1 caches, expected 2 (from params.blocks)": (
        lambda: decode(caches_of(2)[:1])
    ),
    "causal_decode: caches[0].length has shape (3,), expected (2,) (*b, from inputs)": (
        lambda: decode(caches_of(3))
    ),
    "causal_decode: lengths has shape (3,), expected (2,) (*b, from inputs)": (
        lambda: decode(lengths=np.array([1, 2, 3]))
    ),
    "causal_decode: lengths is [1 8], expected 0 to 7 (t)": (
        lambda: decode(lengths=np.array([1, 8]))
    ),
    "causal_decode: self_sinks has shape (1, 3), expected (l, h) with l=2": (
        lambda: decode(self_sinks=np.zeros((1, 3)))
    ),
    "causal_decode: attend is None, expected a function": lambda: decode(attend=None),
    "causal_decode: params is a EncoderBlockParams, expected TransformerEncoderParams": (
        lambda: decode(params=PARAMS.blocks[0])
    ),
    "extend_cache: 14 tokens, expected at most 9": (lambda: decode(decode()[1])),
}


@pytest.mark.parametrize("message", ERRORS)
def test_mistakes_are_named(message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        ERRORS[message]()
