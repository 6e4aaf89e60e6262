# pyright: reportArgumentType=false
"""jit, vmap, checkpoint, scan, repeats, order of calls and memory layout change nothing."""

import functools
import hashlib
import json
import os
import pathlib
import random
import subprocess
import sys

import jax
import numpy as np
import pytest
from compiled import assert_same_bits, cotangent_of, each, having, leaves_of, representatives
from conftest import THOROUGHLY
from jax.experimental import jet

import jattn
from jattn import testing
from jattn.catalog import MECHANISMS
from jattn.testing.properties import ROUNDING
from jattn.testing.trees import draw_like

UNIT = ROUNDING["float64"]
TWO = 2


def batch_of(call):
    """Two sets of inputs, stacked."""
    inputs = call.inputs()
    other = jax.tree.map(lambda x, d: x + d / 8, inputs, draw_like(inputs, 3))
    return jax.tree.map(lambda *leaves: np.stack(leaves), inputs, other)


def value_and_gradient(call, inputs, cotangent):
    output, pullback = jax.vjp(call.function, *inputs)
    return output, pullback(cotangent)


@functools.cache
def compiled(name):
    call = next(row for row in MECHANISMS if row.name == name).hardest()
    return jax.jit(functools.partial(value_and_gradient, call), compiler_options=THOROUGHLY)


def evaluated(row, inputs=None):
    call = row.hardest()
    return compiled(row.name)(inputs or call.inputs(), cotangent_of(call))


@each("row", MECHANISMS)
def test_T2_any_subset_of_arguments_can_be_batched(row):
    """Every other argument, and the rest of them; what is not batched is the same for all."""
    call = row.hardest()
    batch = batch_of(call)
    first = jax.tree.map(lambda x: x[0], batch)
    subsets = [range(start, len(batch), 2) for start in range(min(2, len(batch)))]

    @jax.jit
    def run(batch, first):
        results = []
        for subset in subsets:
            axes = [0 if index in subset else None for index in range(len(batch))]
            chosen = [b if axis == 0 else f for b, f, axis in zip(batch, first, axes, strict=True)]
            results.append(jax.vmap(call.function, axes)(*chosen))
        return results

    @jax.jit
    def one_by_one(*inputs):
        return jax.lax.map(lambda inputs: call.function(*inputs), inputs)

    for subset, result in zip(subsets, run(batch, first), strict=True):
        repeated = [
            jax.tree.map(lambda x, k=index in subset: x if k else np.stack([x[0], x[0]]), b)
            for index, b in enumerate(batch)
        ]
        testing.assert_close(result, one_by_one(*repeated), 4 * UNIT, f"{list(subset)}")


@each("row", representatives())
def test_T2_T3_gradients_of_batches_and_of_recomputation_are_the_gradients(row):
    """vmap(grad) = grad(vmap), and checkpoint and scan give what a loop gives."""
    call = row.hardest()
    batch = batch_of(call)
    cotangent = cotangent_of(call)
    pairs = lambda outputs: zip(jax.tree.leaves(outputs), jax.tree.leaves(cotangent), strict=True)
    loss = lambda *inputs: sum((o * c).sum() for o, c in pairs(call.function(*inputs)))
    arguments = tuple(range(len(batch)))

    @jax.jit
    def run(batch):
        recomputed = jax.checkpoint(call.function)
        scan = lambda *batch: jax.lax.scan(
            lambda total, inputs: (total + loss(*inputs), None), 0.0, batch
        )[0]
        checkpointed = lambda *inputs: sum((o * c).sum() for o, c in pairs(recomputed(*inputs)))
        return (
            jax.vmap(jax.grad(loss, arguments))(*batch),
            jax.grad(lambda *batch: jax.numpy.sum(jax.vmap(loss)(*batch)), arguments)(*batch),
            jax.grad(scan, arguments)(*batch),
            jax.vmap(jax.grad(checkpointed, arguments))(*batch),
        )

    of_each, *others = run(batch)
    singles = [evaluated(row, jax.tree.map(lambda x, i=i: x[i], batch))[1] for i in range(TWO)]
    one_by_one = jax.tree.map(lambda *leaves: np.stack(leaves), *singles)
    testing.assert_close(of_each, one_by_one, 16 * UNIT)
    for name, other in zip(("grad of vmap", "scan", "checkpoint"), others, strict=True):
        testing.assert_close(other, of_each, 16 * UNIT, name)


def digests():
    """A fingerprint of each representative's value and gradient."""
    return {
        row.name: hashlib.sha256(
            b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(evaluated(row)))
        ).hexdigest()
        for row in representatives()
    }


def second_coefficients(call, inputs, direction):
    """The second derivative along a direction, by Taylor mode."""
    leaves, structure = jax.tree.flatten(inputs)
    function = lambda *leaves: jax.tree.leaves(
        call.function(*jax.tree.unflatten(structure, leaves))
    )
    series = [[d, np.zeros_like(d)] for d in jax.tree.leaves(direction)]
    # The module of JAX promotes dtypes and ranks itself.
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        return jax.jit(lambda leaves: jet.jet(function, leaves, series)[1])(leaves)


@each("row", [row for row in MECHANISMS if "Taylor" not in row.exceptions])
def test_Taylor_mode_gives_the_second_derivative(row):
    call = row.hardest()
    inputs = call.inputs()
    direction = draw_like(inputs, 3)

    def first(*inputs):
        return jax.jvp(call.function, inputs, direction)[1]

    expected = jax.jit(lambda *inputs: jax.jvp(first, inputs, direction))(*inputs)
    for coefficients, order in zip(
        zip(*second_coefficients(call, inputs, direction), strict=True), expected, strict=True
    ):
        testing.assert_close(list(coefficients), jax.tree.leaves(order), 1e-12)


@each("row", [row for row in MECHANISMS if "Taylor" in row.exceptions])
def test_Taylor_exceptions_are_real(row):
    call = row.hardest()
    with pytest.raises((KeyError, AttributeError, jax.errors.UnexpectedTracerError)):
        second_coefficients(call, call.inputs(), draw_like(call.inputs(), 3))


@each("row", [row for row in having("value") if "linear" not in row.exceptions])
def test_the_context_is_linear_in_the_value_and_has_a_transpose(row):
    """The context, or what stands first."""
    call = row.hardest()
    inputs, cotangent = call.inputs(), cotangent_of(call)
    place = [leaf.path.partition(".")[0] for leaf in leaves_of(call)]
    place = list(dict.fromkeys(place)).index("value")
    context = lambda value: call.function(*inputs[:place], value, *inputs[place + 1 :])[0]
    run = jax.jit(
        lambda d: (
            jax.linear_transpose(context, inputs[place])(d)[0],
            jax.vjp(context, inputs[place])[1](d)[0],
        )
    )
    transposed, gradient = run(cotangent[0])
    testing.assert_close(transposed, gradient, 4 * UNIT)


def test_T4_repeats_and_a_fresh_process_give_the_same_bits():
    for row in representatives():
        first = evaluated(row)
        for _ in range(20):
            assert_same_bits(evaluated(row), first, row.name)
    here = pathlib.Path(__file__)
    program = "import conftest, json, test_transforms; print(json.dumps(test_transforms.digests()))"
    paths = os.pathsep.join([str(here.parent), str(here.parent.parent)])
    process = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert json.loads(process.stdout) == digests()


def test_T5_no_call_remembers_another():
    """Shuffled calls, without jit, of two sizes and two dtypes each, give what they gave before."""
    calls = []
    for row in representatives():
        call = row.calls()[0]
        for dtype in (np.float64, np.float32):
            inputs = jax.tree.map(lambda x, dtype=dtype: x.astype(dtype), call.inputs())
            calls.append((call.function, inputs))
    before = [function(*inputs) for function, inputs in calls]
    order = list(range(len(calls)))
    for seed in range(4):
        random.Random(seed).shuffle(order)
        for index in order:
            function, inputs = calls[index]
            assert_same_bits(function(*inputs), before[index])


def layouts(array):
    """The same numbers, laid out otherwise in memory."""
    yield "Fortran order", np.asarray(array, order="F")
    yield "reversed twice", array[..., ::-1].copy()[..., ::-1] if array.ndim else array
    padded = np.zeros((*array.shape, 2))
    padded[..., 0] = array
    yield "every second number", padded[..., 0]
    yield "JAX array", jax.numpy.asarray(array)


@each("row", representatives())
def test_I1_layout_changes_no_bit_and_compiles_nothing(row):
    call = row.hardest()
    traces = []

    @jax.jit
    def run(*inputs):
        traces.append(row)
        return call.function(*inputs)

    first = run(*call.inputs())
    kinds = zip(*map(layouts, jax.tree.leaves(call.inputs())), strict=True)
    for arrays in kinds:
        names, arrays = zip(*arrays, strict=True)
        again = run(*jax.tree.unflatten(jax.tree.structure(call.inputs()), arrays))
        assert_same_bits(again, first, names[0])
    broadcast = jax.tree.map(
        lambda x: np.broadcast_to(x[:1], x.shape) if x.ndim else x, call.inputs()
    )
    assert any(0 in leaf.strides for leaf in jax.tree.leaves(broadcast))
    assert_same_bits(run(*broadcast), run(*jax.tree.map(np.array, broadcast)))
    assert len(traces) == 1


def test_T2_what_is_split_over_devices_may_be_inputs_alone_or_parameters_alone():
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("device",))
    params = jattn.init_gru(jax.random.key(0), input_size=3, units=2)
    inputs = np.random.default_rng(0).standard_normal((1, 5, 3))
    bias = np.zeros((1, 2, 5, 5))
    bias[..., 3:] = -np.inf
    heads = inputs[0][:, None].repeat(2, axis=1)
    calls = (
        (lambda one: jattn.gru(params, one).final, inputs),
        (
            lambda own: jattn.gru(own, inputs[0], length=3).final,
            jax.tree.map(lambda x: x[None], params),
        ),
        (lambda one: jattn.dot_product_attention(heads, heads, heads, one), bias),
    )
    spec = jax.sharding.PartitionSpec("device")
    for call, split in calls:
        batched = jax.vmap(call)
        one_each = jax.shard_map(batched, mesh=mesh, in_specs=spec, out_specs=spec)
        testing.assert_close(jax.jit(one_each)(split), jax.jit(batched)(split), 1e-12)


def decoders():
    """What a loop of a decoder starts from never varies; what its steps read does, or not."""
    draw = np.random.default_rng(1).standard_normal
    sizes = {"words": 5, "embedding_size": 3, "units": 2, "value_size": 4, "summary_size": 3}
    additive = jattn.init_additive(jax.random.key(0), query_size=2, key_size=4, units=3)
    rng, options = jax.random.key(1), {"attention": additive, **sizes}
    bahdanau = jattn.init_bahdanau_decoder(rng, **options)
    luong = jattn.init_luong_decoder(rng, input_feeding=True, **options)
    fed = functools.partial(jattn.luong_decode, input_feeding=True)
    values, summary, tokens = draw((7, 4)), draw(3), np.array([1, 0, 3])
    memory = lambda values, length=None: jattn.Memory(values, summary, length)

    def nothing(params, memory):
        rows = lambda query, size: np.zeros((len(query), size))
        return lambda query, position: jattn.Attended(rows(query, 4), rows(query, 7))

    for params, decode in ((bahdanau, jattn.bahdanau_decode), (luong, fed)):
        of = functools.partial(decode, params)
        yield lambda own, decode=decode: decode(own, memory(values), tokens), params
        yield lambda own, of=of: of(memory(own), tokens), values
        yield lambda length, of=of: of(memory(values, length), tokens), np.asarray(3)
        yield lambda own, of=of: of(memory(values), own, attention=nothing), tokens

    gru = jattn.init_gru(rng, input_size=4, units=2)
    cell = lambda factor: lambda *inputs: jattn.gru_cell(*inputs) * factor
    yield lambda factor: jattn.gru(gru, values, cell=cell(factor)), np.asarray(0.5)


def searches():
    table = np.log(np.random.default_rng(1).dirichlet(np.ones(5), 5))
    options = {"start": 0, "stop": 0, "max_steps": 4, "beam_size": 2}

    def search(table):
        step = lambda state, token: (jax.numpy.asarray(table)[token], state + 1)
        return jattn.beam_search(step, np.zeros(3), collect=lambda state: state, **options)

    yield search, table
    collect = lambda factor: lambda state: state * factor
    step = lambda state, token: (jax.numpy.asarray(table)[token], state)
    yield (
        lambda own: jattn.beam_search(step, np.ones(3), collect=collect(own), **options),
        np.asarray(2.0),
    )


def caches():
    query, key = np.random.default_rng(1).standard_normal((2, 2, 2, 3))

    def read(query=query, key=key, value=key, lengths=None, **options):
        cache = jattn.init_cache(capacity=6, key_value_heads=2, key_size=3)
        cache = jattn.extend_cache(cache, key, value, lengths=lengths)
        return jattn.attend_to_cache(query, cache, chunk_size=2, **options)

    arrays = {"query": query, "key": key, "value": key, "lengths": np.asarray(1)}
    arrays |= {"query_offset": np.asarray(0), "bias": np.zeros((2, 2, 6))}
    for name, array in arrays.items():
        yield lambda own, name=name: read(**{name: own}), array


@pytest.mark.parametrize("calls", [decoders, searches, caches])
def test_T2_loops_over_constants_may_read_what_is_split_over_devices(calls):
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("device",))
    spec = jax.sharding.PartitionSpec("device")
    for call, one in calls():
        split = jax.tree.map(lambda x: x[None], one)
        one_each = jax.shard_map(jax.vmap(call), mesh=mesh, in_specs=spec, out_specs=spec)
        found = jax.tree.map(lambda x: x[0], jax.jit(one_each)(split))
        testing.assert_close(found, jax.jit(call)(one), 1e-12)
