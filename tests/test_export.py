"""Every public function that computes is lowered for CPU, GPU and TPU on a machine with a CPU."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

import jattn
from jattn.catalog import MECHANISMS

PLATFORMS = ("cpu", "cuda", "tpu")


def shapes_of(tree: Any) -> Any:
    """Shapes alone, and float32 for float64, which TPUs lack."""

    def shape_of(leaf):
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)
        dtype = "float32" if leaf.dtype == "float64" else leaf.dtype
        return jax.ShapeDtypeStruct(leaf.shape, dtype)

    return jax.tree.map(shape_of, tree)


def of_shape(*shape: int) -> Any:
    return jax.ShapeDtypeStruct(shape, "float32")


def exported(function: Callable[..., Any], inputs: Any) -> jax.export.Exported:
    return jax.export.export(jax.jit(function), platforms=PLATFORMS)(*inputs)


def with_gradient(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, and its gradient with respect to every array of floats, for ones."""
    is_float = lambda leaf: jnp.issubdtype(leaf.dtype, jnp.floating)

    def run(*inputs):
        leaves, structure = jax.tree.flatten(inputs)
        floats = [leaf for leaf in leaves if is_float(leaf)]

        def outputs_of(floats):
            rest = iter(floats)
            merged = [next(rest) if is_float(leaf) else leaf for leaf in leaves]
            outputs = jax.tree.leaves(function(*jax.tree.unflatten(structure, merged)))
            return [leaf for leaf in outputs if is_float(leaf)]

        outputs, pullback = jax.vjp(outputs_of, floats)
        return outputs, pullback([jnp.ones_like(output) for output in outputs])

    return run


def parameters(init: Callable[..., Any], **sizes: Any) -> Any:
    return shapes_of(jax.eval_shape(functools.partial(init, **sizes), jax.random.key(0)))


MIXED = jattn.zoneout(jattn.lstm_cell, 0.25)
RNG = shapes_of(jax.random.key(0))
TOKENS = jax.ShapeDtypeStruct((5,), "int32")
SIZES: dict[str, Any] = {"words": 7, "embedding_size": 3, "units": 4}
ENCODER = parameters(jattn.init_encoder, **SIZES)
DECODER = SIZES | {"value_size": 4, "summary_size": 4}
ADDITIVE = parameters(jattn.init_additive, query_size=4, key_size=4, units=3)
BAHDANAU = parameters(jattn.init_bahdanau_decoder, **DECODER, attention=ADDITIVE)
LUONG = parameters(jattn.init_luong_decoder, **DECODER)
BLOCKS: dict[str, Any] = {"layers": 1, "size": 4, "heads": 2, "hidden_size": 3}
ENCODING, DECODING = (
    parameters(init, **BLOCKS)
    for init in (jattn.init_transformer_encoder, jattn.init_transformer_decoder)
)
BY_ADDITIVE, BY_DOT = (
    jattn.read_by(mechanism) for mechanism in (jattn.additive_attention, jattn.dot_attention)
)
QUERY, KEY = of_shape(2, 5, 4, 3), of_shape(2, 5, 2, 3)
TOKEN_QUERY, TOKEN_KEY = of_shape(2, 1, 4, 3), of_shape(2, 1, 2, 3)
CACHED: Any = {"key_value_heads": 2, "key_size": 3, "dtype": "float32"}
FULL = shapes_of(jattn.init_cache(2, capacity=7, **CACHED))
ROLLING = shapes_of(jattn.init_rolling_cache(2, window=3, first_tokens=1, **CACHED))


def decoded(decode, attend, params, encoder, source, target):
    return decode(params, jattn.encode(encoder, source), target, attention=attend)


def attentive(encoder, attention, readout, tokens):
    return jattn.attentive_gru(jattn.AttentiveGRUParams(encoder, attention, readout), tokens)


def nearer(scores, at, slopes):
    return scores - slopes[at.head] * abs(at.query - at.key)


def decode_step(cache, query, key, value, **options):
    cache = jattn.extend_cache(cache, key, value)
    return jattn.attend_to_cache(query, cache, **options)


def transformed(encoder, decoder, source, target):
    memory = jattn.transformer_encoder(encoder, source, order=jattn.post_norm).outputs
    return jattn.transformer_decoder(decoder, target, memory, turn=jattn.rotary)


def transformer_steps(decoder, memory, row):
    of_memory = jattn.transformer_memory(decoder, memory)
    start = jattn.transformer_start(decoder, of_memory, capacity=2)
    return jattn.transformer_step(decoder, start, row, of_memory)


def causal_step(params, caches, rows):
    attend = jattn.engine.attend_with_cache
    return jattn.causal_decode(params, caches, rows, attend=attend, turn=jattn.rotary)


def told_positions(inputs, offset):
    added = inputs
    for vectors in (jattn.sinusoidal_positions, jattn.half_split_sinusoidal_positions):
        added = added + vectors(*inputs.shape, offset=offset, dtype=inputs.dtype)
    turned = jattn.half_split_rotary(added, offset + np.arange(len(inputs), dtype=np.int32))
    bias = jattn.biases.alibi(jattn.biases.alibi_slopes(2))
    return turned, bias.dense(3, 4, offset=offset, dtype=inputs.dtype)


def searched(search, params, encoder, source, **options):
    memory = jattn.encode(encoder, source)
    read = BY_ADDITIVE(params.attention, memory)

    def step(state, token):
        logits, state = jattn.bahdanau_step(params, state, token, read=read)
        return jax.nn.log_softmax(logits), state

    start = jattn.bahdanau_start(params, memory, read)
    return search(step, start, start=0, stop=1, max_steps=3, **options)


ATTENTION: dict[str, dict[str, Any]] = {
    "plain": {},
    "chunks": {"chunk_size": 2, "is_causal": True, "return_residual": True},
    "window": {"local_window_size": (1, 0), "mask": jattn.masks.causal()},
    "everything": {
        "mask": np.tri(5, dtype=bool),
        "logits_soft_cap": 2.0,
        "sinks": np.zeros(4, "float32"),
        "return_weights": True,
    },
    "xla": {"implementation": "xla"},
}

# Beside the rows of the catalog: a function and its arguments.
OTHERS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "dropout": (lambda rng, x: jattn.dropout(rng, x, 0.5), (RNG, of_shape(3, 4))),
    "stacked_gru": (jattn.stacked_gru, (ENCODER.layers, of_shape(5, 3))),
    "stacked, bidirectional, unroll, zoneout": (
        lambda layers, inputs: jattn.stacked(MIXED, layers, inputs).outputs,
        (
            parameters(
                jattn.init_stacked,
                init_cell=jattn.init_lstm,
                layers=1,
                bidirectional=True,
                input_size=3,
                units=4,
            ),
            of_shape(5, 3),
        ),
    ),
    "encode": (jattn.encode, (ENCODER, TOKENS)),
    "attentive_gru": (
        attentive,
        (ENCODER, ADDITIVE, parameters(jattn.init_affine, input_size=4, output_size=2), TOKENS),
    ),
    "bahdanau_decode": (
        functools.partial(decoded, jattn.bahdanau_decode, BY_ADDITIVE),
        (BAHDANAU, ENCODER, TOKENS, TOKENS),
    ),
    "luong_decode": (
        functools.partial(decoded, jattn.luong_decode, BY_DOT),
        (LUONG, ENCODER, TOKENS, TOKENS),
    ),
    "transformer_encoder, transformer_decoder, feed_forward, pre_norm, post_norm": (
        transformed,
        (ENCODING, DECODING, of_shape(5, 4), of_shape(3, 4)),
    ),
    "transformer_memory, transformer_start, transformer_step": (
        transformer_steps,
        (DECODING, of_shape(5, 4), of_shape(4)),
    ),
    "causal_decode": (
        causal_step,
        (
            parameters(jattn.init_transformer_encoder, **BLOCKS),
            [shapes_of(jattn.init_cache(2, capacity=7, key_value_heads=2, key_size=2))],
            of_shape(2, 3, 4),
        ),
    ),
    "latent_memory": (
        functools.partial(jattn.latent_memory, turn=jattn.rotary),
        (
            parameters(
                jattn.init_latent,
                heads=2,
                size=4,
                head_size=3,
                rotary_size=2,
                query_latent_size=3,
                key_latent_size=2,
            ),
            of_shape(5, 4),
        ),
    ),
    "value_heads": (
        jattn.value_heads,
        (parameters(jattn.init_multi_head, heads=2, query_size=4), of_shape(5, 4)),
    ),
    "sinusoidal_positions, half_split_sinusoidal_positions, half_split_rotary": (
        told_positions,
        (of_shape(5, 4), jax.ShapeDtypeStruct((), "int32")),
    ),
    "attention_statistics": (
        functools.partial(jattn.attention_statistics, is_causal=True, chunk_size=2),
        (QUERY, KEY),
    ),
    "attention_rows": (
        lambda query, key: jattn.attention_rows(query, key, jnp.arange(2)),
        (QUERY, KEY),
    ),
    "in_chunks": (
        jattn.in_chunks(jattn.scaled_dot_product_attention, 2),
        (of_shape(5, 4), of_shape(3, 4), of_shape(3, 2)),
    ),
    "merge_attention": (
        jattn.merge_attention,
        (of_shape(5, 2, 3), of_shape(5, 2), of_shape(5, 2, 3), of_shape(5, 2)),
    ),
    "slot_positions, extend_cache": (
        lambda *inputs: jattn.slot_positions(jattn.extend_cache(*inputs)),
        (ROLLING, TOKEN_KEY, TOKEN_KEY),
    ),
    "flex_attention": (
        lambda slopes, *arrays: jattn.flex_attention(
            *arrays, score=nearer, params=slopes, mask=jattn.masks.causal(), returning=("lse",)
        ),
        (of_shape(4), QUERY, KEY, KEY),
    ),
    "attend_to_cache": (
        functools.partial(decode_step, chunk_size=3, logits_soft_cap=2.0),
        (FULL, TOKEN_QUERY, TOKEN_KEY, TOKEN_KEY),
    ),
    "rollback_cache": (
        lambda *inputs: jattn.rollback_cache(jattn.extend_cache(*inputs), 1).key,
        (ROLLING, TOKEN_KEY, TOKEN_KEY),
    ),
    "attend_to_cache, rolling": (decode_step, (ROLLING, TOKEN_QUERY, TOKEN_KEY, TOKEN_KEY)),
} | {
    f"dot_product_attention, {name}": (
        functools.partial(jattn.dot_product_attention, **options),
        (QUERY, KEY, KEY),
    )
    for name, options in ATTENTION.items()
}
# They stop early, and so have no gradient.
SEARCHES = {
    "greedy_search": functools.partial(searched, jattn.greedy_search),
    "beam_search": functools.partial(searched, jattn.beam_search, beam_size=2),
    "sample": functools.partial(searched, jattn.sample, rng=jax.random.key(0), top_k=2),
}


@pytest.mark.parametrize("row", MECHANISMS, ids=lambda row: row.name)
def test_a_mechanism_and_its_gradient_are_lowered(row):
    first = row.calls()[0]
    found = exported(with_gradient(first.function), shapes_of(first.inputs()))
    assert found.platforms == PLATFORMS


@pytest.mark.parametrize("name", OTHERS)
def test_another_function_and_its_gradient_are_lowered(name):
    function, inputs = OTHERS[name]
    assert exported(with_gradient(function), inputs).platforms == PLATFORMS


@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_is_lowered(name):
    found = exported(SEARCHES[name], (BAHDANAU, ENCODER, TOKENS))
    assert found.platforms == PLATFORMS


def test_every_public_function_is_lowered():
    """What is left draws parameters or masks, or makes another function."""
    lowered = {row.name for row in MECHANISMS} | set(SEARCHES)
    lowered |= {name for names in OTHERS for name in names.split(", ")}
    lowered |= {"bahdanau_start", "bahdanau_step", "extend_cache"}  # Parts of others.
    left = {
        name
        for name, public in vars(jattn).items()
        if inspect.isfunction(public)
        and name not in lowered
        and not name.startswith(("init_", "_"))
    }
    # Those of rotary positions return numbers that are known before the run.
    known = {"rotary_frequencies", "yarn_attention_factor"}
    known |= {"alternating_axes", "contiguous_axes", "interleaved_axes"}
    known |= {"initial_balance", "over_queries", "read_in_order"}
    assert left == known | {"luong_start", "luong_step", "read_by", "trace"}


def test_what_cannot_be_lowered_is_noticed():
    """The export sees the whole function: a callback into Python cannot leave the process."""
    told = lambda x: jax.pure_callback(np.sin, jax.ShapeDtypeStruct((), "float32"), x)
    with pytest.raises((ValueError, NotImplementedError)):
        exported(told, (of_shape(),)).serialize()
