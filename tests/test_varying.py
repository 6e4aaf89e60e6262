"""Loops inside of `jax.shard_map` start with the type of the results of their steps."""

import jax
import jax.numpy as jnp
import numpy as np

from jattn import testing
from jattn._varying import scan, varying_as

MESH = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("device",))
SPLIT, WHOLE = jax.sharding.PartitionSpec("device"), jax.sharding.PartitionSpec()


def test_T2_a_start_varies_over_the_axes_of_all_that_its_loop_reads():
    types = []

    def run(split, whole):
        start = varying_as(jnp.zeros(3), (whole, split))
        types.append((jax.typeof(start), jax.typeof(split), jax.typeof(varying_as(whole, whole))))
        return start + split

    inputs = np.arange(3.0), np.ones(3)
    jax.jit(jax.shard_map(run, mesh=MESH, in_specs=(SPLIT, WHOLE), out_specs=SPLIT))(*inputs)
    start, split, whole = types[0]
    assert start == split
    assert whole != split
    assert varying_as(inputs[0], *inputs) is inputs[0]  # Outside of a mesh.


def test_T2_a_loop_of_a_callers_function_may_read_what_varies():
    split, factors = np.random.default_rng(0).standard_normal((5, 3)), np.arange(1.0, 3.0)

    def run(split, factors):
        step = lambda carry, factor: (carry + factor * split, carry)
        return scan(step, jnp.zeros_like(factors, shape=3), factors)

    results = SPLIT, jax.sharding.PartitionSpec(None, "device")
    on_mesh = jax.jit(jax.shard_map(run, mesh=MESH, in_specs=(SPLIT, WHOLE), out_specs=results))
    for inputs in ((split[0], factors), (split[1], factors[:1])):
        testing.assert_close(on_mesh(*inputs), jax.jit(run)(*inputs), 1e-14)
