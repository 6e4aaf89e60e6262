import sys

import jax
import numpy as np
import optax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jattn import training

address, count, index = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
jax.config.update("jax_num_cpu_devices", 1)  # On a CPU; a GPU or TPU needs neither line.
jax.config.update("jax_cpu_collectives_implementation", "gloo")
jax.distributed.initialize(address, count, index, cluster_detection_method="deactivate")

mesh = jax.make_mesh((jax.device_count(),), ("devices",), axis_types=(AxisType.Auto,))
whole, parts = (NamedSharding(mesh, spec) for spec in (PartitionSpec(), PartitionSpec("devices")))
rng = np.random.default_rng(0)
inputs = rng.standard_normal((64, 3)).astype(np.float32)
data = {"inputs": inputs, "targets": inputs @ np.float32([1, -2, 3])}
batches = training.shuffled_batches(data, batch_size=16, seed=0)


def put(tree, sharding):
    own_part = lambda x: jax.make_array_from_callback(x.shape, sharding, lambda part: x[part])
    return jax.tree.map(own_part, tree)


def loss(params, batch, rng):
    return ((batch["inputs"] @ params - batch["targets"]) ** 2).mean(), {}


fitted = training.fit(
    loss,
    optax.adam(0.1),
    put(np.zeros(3, np.float32), whole),
    lambda step: put(batches(step), parts),
    steps=200,
    rng=jax.random.key(0),
    progress=False,
)
if jax.process_index() == 0:
    print(jax.device_count(), "devices:", np.asarray(fitted.state.params).round(2))
jax.distributed.shutdown()
