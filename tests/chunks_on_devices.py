"""`in_chunks` of a batch of heads on four devices: no collective, and results sharded as queries.

`test_chunks` runs this file in a process of its own.
"""

import itertools
import re
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jattn
from jattn import masks, testing

COLLECTIVES = re.compile("all-gather|all-reduce|all-to-all|collective-permute")
MESHES = [
    ((4,), "x", PartitionSpec("x")),
    ((4,), "x", PartitionSpec(None, "x")),
    ((2, 2), "xy", PartitionSpec("y", "x")),
]


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    rng = np.random.default_rng(0)
    query, key = rng.standard_normal((4, 4, 7, 3)), rng.standard_normal((4, 4, 5, 3))
    attend: Any = jattn.in_chunks(jattn.dot_attention, 2)
    count = 0
    for mapped in (0, 2):
        one = lambda query, key: attend(query, key, key, mask=masks.causal())
        for _ in range(mapped):
            one = jax.vmap(one)

        def both(query, key, one=one):
            output, pullback = jax.vjp(one, query, key)
            return output, pullback(output)

        wanted = jax.jit(both)(query, key)
        for (shape, names, spec), kind in itertools.product(MESHES, AxisType.__members__.values()):
            if kind is AxisType.Manual:
                continue
            mesh = jax.make_mesh(shape, tuple(names), axis_types=(kind,) * len(shape))
            with jax.set_mesh(mesh):
                placed = jax.device_put((query, key), NamedSharding(mesh, spec))
                program: Any = jax.jit(both).lower(*placed).compile()
                found = COLLECTIVES.findall(program.as_text())
                assert not found, (shape, spec, kind, found)
                actual = program(*placed)
            testing.assert_close(jax.device_get(actual), jax.device_get(wanted), 1e-13)
            for leaf in jax.tree.leaves(actual):
                expected = placed[0].sharding
                assert leaf.sharding.is_equivalent_to(expected, leaf.ndim), (spec, leaf.sharding)
            count += 1
    print(count, "programs")


if __name__ == "__main__":
    main()
