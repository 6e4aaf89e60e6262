"""PyTorch Geometric: attention to the neighbours in a graph, and blocks of the Set Transformer."""

# pyright: reportMissingImports=false

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch_geometric.nn import GATConv, GATv2Conv
from torch_geometric.nn.aggr import utils as sets

import jattn
from experiments.differences.agreement.entry import Entry, normal
from experiments.differences.agreement.torch_entries import FEATURES as WIDTH
from experiments.differences.agreement.torch_entries import HEADS as SET_HEADS
from experiments.differences.agreement.torch_entries import attention_parts, draws, heads_of
from experiments.differences.agreement.torch_run import by_torch, load

NODES, FEATURES, HEADS, UNITS = 6, 5, 2, 3
# Row t holds the nodes that node t attends to, itself among them.
NEIGHBOURS = np.random.default_rng(7).random((NODES, NODES)) < 0.4
np.fill_diagonal(NEIGHBOURS, True)
MASK = jnp.asarray(NEIGHBOURS)
EDGES = torch.tensor(np.stack(np.nonzero(NEIGHBOURS)[::-1]))  # From a key to its query.
SIZES = {"bias": False, "add_self_loops": False}
NOTE = "each head by itself; the values are the mapped keys; edges lead from keys to queries"


def static(weight, of_query, of_key, x):
    def head(weight, of_query, of_key):
        params = jattn.GraphParams(weight, jnp.stack([of_query, of_key]))
        return jattn.graph_attention(params, x, x, x @ weight.T, mask=MASK).context

    return joined(jax.vmap(head)(weight, of_query, of_key))


def static_of_theirs(weight, of_query, of_key, x):
    weights = {"lin.weight": weight.flatten(0, 1)}
    weights |= {"att_src": of_key[None], "att_dst": of_query[None]}
    return load(GATConv(FEATURES, UNITS, HEADS, **SIZES), weights, x, EDGES)


def dynamic(query_weight, key_weight, score_weight, x):
    def head(*params):
        params = jattn.DynamicGraphParams(*params)
        value = x @ params.key_weight.T
        return jattn.dynamic_graph_attention(params, x, x, value, mask=MASK).context

    return joined(jax.vmap(head)(query_weight, key_weight, score_weight))


def dynamic_of_theirs(query_weight, key_weight, score_weight, x):
    weights = {"lin_l.weight": key_weight.flatten(0, 1), "lin_r.weight": query_weight.flatten(0, 1)}
    weights["att"] = score_weight[None]
    return load(GATv2Conv(FEATURES, UNITS, HEADS, **SIZES), weights, x, EDGES)


def joined(heads):
    return jnp.swapaxes(heads, 0, 1).reshape(NODES, HEADS * UNITS)


# Sets. The network of a block is one layer with a rectifier.

MEMBERS, POINTS = 5, 3
LAYER = {"lin.weight": (WIDTH, WIDTH), "lin.bias": (WIDTH,)}
BLOCK = attention_parts("attn") | LAYER
BLOCK |= {f"layer_norm{i}.{part}": (WIDTH,) for i in (1, 2) for part in ("weight", "bias")}


def layer_of(parts):
    """Returns a network whose second map is the identity."""
    return jattn.FeedForwardParams(
        parts["lin.weight"], jnp.eye(WIDTH), parts["lin.bias"], jnp.zeros(WIDTH)
    )


def block_of(arrays):
    parts = dict(zip(BLOCK, arrays, strict=True))
    norms = [
        jattn.LayerNormParams(parts[f"layer_norm{i}.weight"], parts[f"layer_norm{i}.bias"])
        for i in (1, 2)
    ]
    return jattn.EncoderBlockParams(heads_of(parts, "attn"), norms[0], layer_of(parts), norms[1])


def names_of(arrays, prefix):
    return {f"{prefix}.{name}": array for name, array in zip(BLOCK, arrays, strict=True)}


def itself(*arrays):
    *weights, x = arrays
    return jattn.set_attention_block(block_of(weights), x, x).outputs


def itself_of_theirs(*arrays):
    *weights, x = arrays
    return load(sets.SetAttentionBlock(WIDTH, SET_HEADS), names_of(weights, "mab"), x[None])[0]


def induced(points, *arrays):
    *weights, x = arrays
    blocks = block_of(weights[: len(BLOCK)]), block_of(weights[len(BLOCK) :])
    return jattn.induced_set_attention(jattn.InducedParams(points, *blocks), x)


def induced_of_theirs(points, *arrays):
    *arrays, x = arrays
    weights = {"ind": points[None]}
    weights |= names_of(arrays[: len(BLOCK)], "mab1") | names_of(arrays[len(BLOCK) :], "mab2")
    module = sets.InducedSetAttentionBlock(WIDTH, POINTS, SET_HEADS)
    return load(module, weights, x[None])[0]


def pooling(seeds, weight, bias, *arrays):
    *weights, x = arrays
    members = layer_of({"lin.weight": weight, "lin.bias": bias})
    params = jattn.SetPoolingParams(seeds, members, block_of(weights))
    return jattn.pooling_by_attention(params, x)


def pooling_of_theirs(seeds, weight, bias, *arrays):
    *arrays, x = arrays
    weights = {"seed": seeds[None], "lin.weight": weight, "lin.bias": bias}
    weights |= names_of(arrays, "mab")
    module = sets.PoolingByMultiheadAttention(WIDTH, POINTS, SET_HEADS)
    return load(module, weights, x[None])[0]


def entry(mechanism, function, inputs, ours, theirs, note):
    return Entry(mechanism, "torch-geometric", function, inputs, ours, by_torch(theirs), note)


MAP, VECTOR, X = normal(HEADS, UNITS, FEATURES), normal(HEADS, UNITS), normal(NODES, FEATURES)
SET, SOME = normal(MEMBERS, WIDTH), normal(POINTS, WIDTH)
ONE_LAYER = "the second map of the network is the identity"
ENTRIES = [
    entry("graph_attention", "GATConv", (MAP, VECTOR, VECTOR, X), static, static_of_theirs, NOTE),
    entry("dynamic_graph_attention", "GATv2Conv", (MAP, MAP, VECTOR, X), dynamic,
          dynamic_of_theirs, NOTE),
    entry("set_attention_block", "SetAttentionBlock", (*draws(BLOCK), SET), itself,
          itself_of_theirs, ONE_LAYER),
    entry("induced_set_attention", "InducedSetAttentionBlock",
          (SOME, *draws(BLOCK), *draws(BLOCK), SET), induced, induced_of_theirs, ONE_LAYER),
    entry("pooling_by_attention", "PoolingByMultiheadAttention",
          (SOME, *draws(LAYER), *draws(BLOCK), SET), pooling, pooling_of_theirs, ONE_LAYER),
]  # fmt: skip
