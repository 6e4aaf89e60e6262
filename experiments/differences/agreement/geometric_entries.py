"""PyTorch Geometric: attention to the neighbours in a graph."""

# pyright: reportMissingImports=false

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch_geometric.nn import GATConv, GATv2Conv

import jattn
from experiments.differences.agreement.entry import Entry, normal
from experiments.differences.agreement.torch_run import by_torch, load

NODES, FEATURES, HEADS, UNITS = 6, 5, 2, 3
# Row t holds the nodes that node t attends to, itself among them.
NEIGHBOURS = np.random.default_rng(7).random((NODES, NODES)) < 0.4
np.fill_diagonal(NEIGHBOURS, True)
EDGES = torch.tensor(np.stack(np.nonzero(NEIGHBOURS)[::-1]))  # From a key to its query.
SIZES = {"bias": False, "add_self_loops": False}
NOTE = "each head by itself; the values are the mapped keys; edges lead from keys to queries"


def static(weight, of_query, of_key, x):
    def head(weight, of_query, of_key):
        params = jattn.GraphParams(weight, jnp.stack([of_query, of_key]))
        return jattn.graph_attention(params, x, x, x @ weight.T, mask=NEIGHBOURS).context

    return joined(jax.vmap(head)(weight, of_query, of_key))


def static_of_theirs(weight, of_query, of_key, x):
    weights = {"lin.weight": weight.flatten(0, 1)}
    weights |= {"att_src": of_key[None], "att_dst": of_query[None]}
    return load(GATConv(FEATURES, UNITS, HEADS, **SIZES), weights, x, EDGES)


def dynamic(query_weight, key_weight, score_weight, x):
    def head(*params):
        params = jattn.DynamicGraphParams(*params)
        value = x @ params.key_weight.T
        return jattn.dynamic_graph_attention(params, x, x, value, mask=NEIGHBOURS).context

    return joined(jax.vmap(head)(query_weight, key_weight, score_weight))


def dynamic_of_theirs(query_weight, key_weight, score_weight, x):
    weights = {"lin_l.weight": key_weight.flatten(0, 1), "lin_r.weight": query_weight.flatten(0, 1)}
    weights["att"] = score_weight[None]
    return load(GATv2Conv(FEATURES, UNITS, HEADS, **SIZES), weights, x, EDGES)


def joined(heads):
    return jnp.swapaxes(heads, 0, 1).reshape(NODES, HEADS * UNITS)


def entry(mechanism, function, inputs, ours, theirs):
    return Entry(mechanism, "torch-geometric", function, inputs, ours, by_torch(theirs), NOTE)


MAP, VECTOR, X = normal(HEADS, UNITS, FEATURES), normal(HEADS, UNITS), normal(NODES, FEATURES)
ENTRIES = [
    entry("graph_attention", "GATConv", (MAP, VECTOR, VECTOR, X), static, static_of_theirs),
    entry("dynamic_graph_attention", "GATv2Conv", (MAP, MAP, VECTOR, X), dynamic, dynamic_of_theirs),
]
