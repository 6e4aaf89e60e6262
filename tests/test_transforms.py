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
from compiled import assert_same_bits, cotangent_of, each, representatives
from conftest import THOROUGHLY

import jattn
from jattn import testing
from jattn.catalog import MECHANISMS
from jattn.testing import ROUNDING
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
    yield "Fortran order", np.asfortranarray(array)
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
