"""Caches of layers, roll back, results beside the context, and batches and heads on devices."""

import dataclasses
import functools
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from emulated import printed_on_devices

import jattn
from jattn import testing
from jattn.oracle.engine.dot_product import dot_product_attention as oracle
from jattn.testing.trees import draw_like

L, B, T, H, G, K, V, S = 3, 2, 5, 6, 2, 7, 11, 13
SIZES: Any = {"key_value_heads": G, "key_size": K, "value_size": V, "dtype": "float64"}
MAKERS: Any = {
    "all slots": functools.partial(jattn.init_cache, capacity=S, **SIZES),
    "a ring": functools.partial(
        jattn.init_rolling_cache, window=4, first_tokens=2, longest_chunk=T, **SIZES
    ),
}
extend_cache: Any = jattn.extend_cache
attend_to_cache: Any = jattn.attend_to_cache
rollback_cache: Any = jattn.rollback_cache


def drawn(*lead: int, tokens=T, seed=0) -> Any:
    shapes = (*lead, tokens, H, K), (*lead, tokens, G, K), (*lead, tokens, G, V)
    return tuple(map(jnp.asarray, draw_like(tuple(map(np.zeros, shapes)), seed)))


@pytest.mark.parametrize("options", [{}, {"chunk_size": 4}], ids=str)
@pytest.mark.parametrize("kind", MAKERS)
def test_a_layer_is_a_cache_of_its_own(kind, options):
    arrays = drawn(L, B)

    @jax.jit
    def together(cache, arrays):
        def one(cache, layer):
            index, (query, key, value) = layer
            cache = extend_cache(cache, key, value, layer=index)
            return cache, attend_to_cache(query, cache, layer=index, **options)

        return jax.lax.scan(one, cache, (jnp.arange(L), arrays))

    cache, found = together(MAKERS[kind](L, B), arrays)
    for layer in range(L):
        query, key, value = (x[layer] for x in arrays)
        alone = extend_cache(MAKERS[kind](B), key, value)
        testing.assert_close(found[layer], attend_to_cache(query, alone, **options), 1e-14)
        part = jax.tree.map(lambda x, layer=layer: x[layer], cache)
        testing.assert_close(part, alone, 0.0)


def test_a_scan_over_layers_copies_no_cache():
    cache = MAKERS["all slots"](L, B)
    tokens = tuple(x[:, :1] for x in drawn(B))

    def step(cache, query, key, value):
        def one(cache, layer):
            cache = extend_cache(cache, key, value, layer=layer)
            return cache, attend_to_cache(query, cache, layer=layer, chunk_size=4)

        return jax.lax.scan(one, cache, jnp.arange(L))

    compiled = jax.jit(step, donate_argnums=0).lower(cache, *tokens).compile()
    assert not re.search(rf"f64\[{L},{B},{G},{S},\d+\]\S* copy\(", compiled.as_text() or "")
    used: Any = compiled.memory_analysis()
    assert used.temp_size_in_bytes < (cache.key.nbytes + cache.value.nbytes) / 2


@pytest.mark.parametrize("kind", MAKERS)
def test_R1_a_cache_that_is_rolled_back_is_as_if_tokens_had_never_come(kind):
    """Also in a ring whose slots the forgotten tokens have overwritten."""
    tokens = 16
    query, key, value = drawn(B, tokens=tokens)
    count = np.array([3, 1])
    short: Any = {"window": 4, "longest_chunk": 3}
    made: Any = {
        "all slots": MAKERS["all slots"],
        "a ring": functools.partial(jattn.init_rolling_cache, first_tokens=2, **short, **SIZES),
    }

    @jax.jit
    def run(cache, count):
        for start in range(0, 10, 2):
            part = slice(start, start + 2)
            cache = extend_cache(cache, key[:, part], value[:, part])
        cache = rollback_cache(cache, count)
        outputs = []
        for _ in range(4):
            own = lambda x, cache=cache: jnp.take_along_axis(
                x, cache.length[:, None, None, None], 1
            )
            cache = extend_cache(cache, own(key), own(value))
            outputs.append(attend_to_cache(own(query), cache))
        return jnp.concatenate(outputs, 1), cache.length

    found, length = run(made[kind](B), count)
    assert length.tolist() == [10 + 4 - 3, 10 + 4 - 1]
    every = np.ones((tokens, tokens), bool)
    mask = np.tril(every)
    if kind == "a ring":
        mask &= np.triu(every, -3) | (np.arange(tokens) < 2)
    whole: Any = oracle(*map(np.asarray, (query, key, value)), mask=mask)[0]
    for example, first in enumerate(10 - count):
        testing.assert_close(found[example], whole[example, first : first + 4], 1e-12)


def test_a_roll_back_of_what_is_overwritten_is_refused_or_nan():
    ring: Any = jattn.init_rolling_cache(B, window=4, longest_chunk=2, **SIZES)
    query, key, value = drawn(B, tokens=T + 6)
    for start in range(0, 10, 2):
        ring = extend_cache(ring, key[:, start : start + 2], value[:, start : start + 2])
    kept = rollback_cache(ring, 2)
    assert kept.length.tolist() == [8, 8]
    assert jattn.slot_positions(kept).tolist() == [[5, 6, 7, -1, -1]] * B
    with pytest.raises(ValueError, match=r"rollback_cache: count is 3, expected at most 2 \(long"):
        rollback_cache(ring, 3)
    back = jax.jit(rollback_cache)(ring, np.array([3, 2]))
    back = extend_cache(back, key[:, :1], value[:, :1])
    output = np.asarray(attend_to_cache(query[:, :1], back))
    assert np.isnan(output[0]).all()
    assert np.isfinite(output[1]).all()


def test_queries_of_a_chunk_that_is_partly_forgotten_are_those_of_a_padded_one():
    query, key, value = drawn(B)
    count = np.array([3, 0])
    cache = rollback_cache(extend_cache(MAKERS["all slots"](B), key, value), count)
    padded = extend_cache(MAKERS["all slots"](B), key, value, lengths=T - count)
    testing.assert_close(attend_to_cache(query, cache), attend_to_cache(query, padded), 1e-14)
    layers = extend_cache(MAKERS["all slots"](L, B), *(jnp.stack([x] * L) for x in (key, value)))
    assert rollback_cache(layers, count).length.tolist() == [[2, 5]] * L
    # Tokens before the chunk are forgotten too: queries are then those of the last tokens.
    cache = extend_cache(cache, key[:, :1], value[:, :1])
    cache = rollback_cache(cache, 2)
    first = attend_to_cache(query[:, :1], cache, query_offset=cache.length - 1)
    testing.assert_close(attend_to_cache(query[:, :1], cache), first, 1e-14)


@pytest.mark.parametrize("chunk_size", [None, 4])
@pytest.mark.parametrize("is_causal", [True, False])
def test_G1_lse_and_weights_match_the_oracle(is_causal, chunk_size):
    query, key, value = drawn(B)
    cache = extend_cache(MAKERS["all slots"](B), key, value)
    sinks = jnp.linspace(-1.0, 1.0, H)
    bias = draw_like(np.zeros((H, T, S)), 3)
    shared: Any = {"is_causal": is_causal, "return_residual": True, "return_weights": True}

    def attend(query, keys, values, bias, sinks, **asked):
        filled = dataclasses.replace(cache, key=keys, value=values)
        options: Any = {"bias": bias, "sinks": sinks, "chunk_size": chunk_size}
        return attend_to_cache(query, filled, **options, **asked)

    inputs = query, cache.key, cache.value, bias, sinks
    found, pullback = jax.vjp(functools.partial(attend, **shared), *inputs)
    arrays = [np.asarray(x) for x in (query, key, value, bias[..., :T], sinks)]
    wanted, expected = oracle(*arrays[:4], sinks=arrays[4], **shared)
    testing.assert_close([*found[:2], found[2][..., :T]], list(wanted), 1e-12)
    assert not np.asarray(found[2])[..., T:].any()
    without_weights = attend(*inputs, is_causal=is_causal, return_residual=True)
    testing.assert_close(list(without_weights), list(found[:2]), 1e-13)
    cotangent = draw_like(wanted, 4)
    room = jnp.zeros((B, H, T, S)).at[..., :T].set(cotangent[2])
    gradient = pullback((cotangent[0], cotangent[1], room))
    cut = lambda x: jnp.moveaxis(x[:, :, :T], 1, 2)
    found_gradient = [gradient[0], *map(cut, gradient[1:3]), gradient[3][..., :T], gradient[4]]
    testing.assert_close(found_gradient, list(expected(cotangent)), 1e-12)


def test_G3_second_derivatives_of_lse_and_weights_are_those_of_one_block():
    query, key, value = drawn(B)
    cache = extend_cache(MAKERS["all slots"](B), key, value)
    direction = draw_like((query, cache.key, cache.value), 5)

    def derivative(chunk_size):
        def loss(query, keys, values):
            filled = dataclasses.replace(cache, key=keys, value=values)
            options: Any = {"chunk_size": chunk_size, "return_residual": True}
            output, lse = attend_to_cache(query, filled, **options)
            return (output**2).sum() + jnp.where(lse == -jnp.inf, 0.0, lse**2).sum()

        gradient = jax.grad(loss, (0, 1, 2))
        return jax.jvp(gradient, (query, cache.key, cache.value), direction)

    testing.assert_close(jax.jit(derivative, static_argnums=0)(4), derivative(S), 1e-12)


def test_windows_of_queries_that_are_not_tokens_have_two_sides():
    query, key, value = drawn(B)
    cache = extend_cache(MAKERS["all slots"](B), key, value)
    options: Any = {"is_causal": False, "local_window_size": (1, 2)}
    found = attend_to_cache(query, cache, **options)
    wanted = jattn.dot_product_attention(query, key, value, **options)
    testing.assert_close(found, wanted, 1e-12)


def test_a_prompt_is_read_once_for_several_sequences():
    query, key, value = drawn(B, tokens=S)
    prompt = extend_cache(MAKERS["all slots"](), key[0, :8], value[0, :8])
    own = extend_cache(MAKERS["all slots"](B), key[:, 8:9], value[:, 8:9])
    asked: Any = {"return_residual": True}
    first = attend_to_cache(query[:, 8], prompt, is_causal=False, **asked)
    second = attend_to_cache(query[:, 8:9], own, **asked)
    merged = jattn.merge_attention(*first, *(x[:, 0] for x in second))
    keys, values = (x.at[1, :8].set(x[0, :8])[:, :9] for x in (key, value))
    wanted = jattn.dot_product_attention(query[:, 8:9], keys, values)
    testing.assert_close(merged.output, wanted[:, 0], 1e-12)


def test_lost_tokens_make_every_result_nan():
    query, key, value = drawn(B)
    cache = extend_cache(MAKERS["all slots"](B), key, value)
    cache = dataclasses.replace(cache, length=jnp.array([S + 1, T], jnp.int32))
    for part in attend_to_cache(query, cache, return_residual=True, return_weights=True):
        assert np.isnan(np.asarray(part[0])).all()
        assert np.isfinite(np.asarray(part[1])).all()


def test_nothing_loops_over_the_batch_or_heads_on_an_accelerator():
    """One loop remains, over blocks of slots."""
    cache, tokens = MAKERS["all slots"](L, B), drawn(B)

    def step(cache, query, key, value):
        cache = extend_cache(cache, key, value, layer=1)
        return cache, attend_to_cache(query, cache, layer=1, chunk_size=4)

    exported = jax.export.export(jax.jit(step), platforms=("cuda",))(cache, *tokens)
    assert exported.mlir_module().count("stablehlo.while") == 1


def test_wrong_arguments_raise():
    query, key, value = drawn(B)
    plain, ring = (MAKERS[kind](B) for kind in MAKERS)
    layers, single = MAKERS["all slots"](L, B), MAKERS["all slots"]()
    for message, wrong in (
        (
            "extend_cache: layer is 3, expected 0 to 2",
            lambda: extend_cache(layers, key, value, layer=3),
        ),
        (
            "attend_to_cache: layer is -1, expected 0",
            lambda: attend_to_cache(query, layers, layer=-1),
        ),
        ("layer has shape", lambda: attend_to_cache(query, layers, layer=np.arange(2))),
        ("layer has dtype float64", lambda: attend_to_cache(query, layers, layer=1.0)),
        (
            "layer has shape .*, expected a cache with",
            lambda: attend_to_cache(query[0], single, layer=0),
        ),
        ("query has shape .*, expected .*b=", lambda: attend_to_cache(query, layers)),
        ("key has shape", lambda: extend_cache(plain, key, value, layer=0)),
        (
            "is_causal is False, expected True",
            lambda: attend_to_cache(query, ring, is_causal=False),
        ),
        ("is_causal is 'a', expected", lambda: attend_to_cache(query, plain, is_causal="a")),
        ("rollback_cache: count is 1, expected 0 to", lambda: rollback_cache(plain, 1)),
        ("rollback_cache: count is -1, expected 0 to", lambda: rollback_cache(plain, -1)),
        ("rollback_cache: count has dtype", lambda: rollback_cache(plain, 1.0)),
        ("rollback_cache: count has shape", lambda: rollback_cache(plain, np.zeros(3, int))),
        ("rollback_cache: cache is a dict", lambda: rollback_cache({}, 1)),
    ):
        with pytest.raises(ValueError, match=message):
            wrong()


SHARDED = """
import re, sys
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec
import jattn

SENT = re.compile("all-gather|all-reduce|all-to-all|collective-permute|reduce-scatter")
ALONE, EVERY = {"key_value_heads": 4, "key_size": 7, "dtype": "float32"}, ("x", "y")
rng = np.random.default_rng(0)
q, k, v, bias = (
    rng.standard_normal(shape).astype("float32")
    for shape in ((4, 3, 8, 7), (4, 3, 4, 7), (4, 3, 4, 7), (8, 3, 13))
)
lengths = np.array([3, 1, 0, 2], np.int32)


def step(cache, q, k, v, lengths, bias, layer=None):
    cache = jattn.extend_cache(cache, k, v, lengths=lengths, layer=layer)
    if cache.window is not None:
        cache = jattn.rollback_cache(cache, 1 * (lengths > 1))
    options = {"layer": layer, "chunk_size": 5, "sinks": bias[:, 0, 0]}
    return cache, jattn.attend_to_cache(q, cache, **options, bias=bias[..., : cache.slots])


def layered(*arrays):
    return step(*arrays, layer=1)


def gradient(cache, *arrays):
    loss = lambda *first: step(cache, *first, *arrays[3:])[1].sum()
    return jax.grad(loss, (0, 1, 2))(*arrays[:3])


def alone(run, cache):
    return jax.tree.map(np.asarray, jax.jit(run)(cache, q, k, v, lengths, bias))


plain = jattn.init_cache(4, capacity=13, **ALONE)
ring = jattn.init_rolling_cache(4, window=4, longest_chunk=3, first_tokens=2, **ALONE)
layers = jattn.init_cache(3, 4, capacity=13, **ALONE)
runs = ((step, plain), (step, ring), (layered, layers), (gradient, plain))
wanted = [alone(*run) for run in runs]
placed = {(4,): (("x", None), (None, "x")), (2, 2): (("x", "y"), (EVERY, None), (None, EVERY))}
for kind in (AxisType.Auto, AxisType.Explicit):
    for shape, batches in placed.items():
        mesh = jax.make_mesh(shape, EVERY[: len(shape)], axis_types=(kind,) * len(shape))
        jax.set_mesh(mesh)
        for batch, heads in batches:
            put = lambda x, *spec: jax.device_put(x, NamedSharding(mesh, PartitionSpec(*spec)))
            rows = [put(x, batch, None, heads) for x in (q, k, v)]
            for (run, cache), expected in zip(runs, wanted, strict=True):
                lead = (None,) * (cache.length.ndim - 1)
                place = lambda x: put(x, *lead, batch, *((heads,) * (x.ndim > 2 + len(lead))))
                given = (jax.tree.map(place, cache), *rows, put(lengths, batch), put(bias))
                program = jax.jit(run).lower(*given).compile()
                sent = set(SENT.findall(program.as_text()))
                found = program(*given)
                case = f"{kind} {shape} {batch} {heads} {run.__name__}"
                assert not sent or run is gradient, f"{case}: {sent}"
                for one, other in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
                    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5, err_msg=case)
                context = found[0] if run is gradient else found[1]
                wanted_sharding = NamedSharding(mesh, PartitionSpec(batch, None, heads))
                assert context.sharding.is_equivalent_to(wanted_sharding, 4), case
print("all")
"""


def test_sharded_batches_and_heads_send_nothing_between_devices():
    assert printed_on_devices(4, "-c", SHARDED) == "all\n"
