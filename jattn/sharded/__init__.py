"""Attention over a sequence that is sharded over devices: context parallelism in `jax.shard_map`.

Each function gets the shards of a device and returns the output of its queries, with the values and
derivatives that one device computes from the whole sequence. They differ in what devices send and
in how work is balanced.
"""

from jattn.sharded.all_gather import all_gather_attention as all_gather_attention
from jattn.sharded.arguments import Options as Options
from jattn.sharded.ring import ring_attention as ring_attention
from jattn.sharded.ulysses import ulysses_attention as ulysses_attention
from jattn.sharded.zigzag import from_zigzag_order as from_zigzag_order
from jattn.sharded.zigzag import zigzag_attention as zigzag_attention
from jattn.sharded.zigzag import zigzag_order as zigzag_order
