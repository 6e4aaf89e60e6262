"""The reference of the ONNX standard, which is in NumPy and has no gradients."""

# pyright: reportMissingImports=false

import numpy as np
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from experiments.differences.measures import Runner
from experiments.gru_weights import update_first


def evaluate(operator: str, opset: int, feeds: dict, outputs: list[str], **options) -> list:
    """Runs one operator on arrays."""
    named = lambda name: helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None)
    node = helper.make_node(operator, list(feeds), outputs, **options)
    graph = helper.make_graph(
        [node], operator, [named(name) for name in feeds], [named(name) for name in outputs]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    return [np.asarray(array) for array in ReferenceEvaluator(model).run(None, feeds)]


def attention(query, key, value, mask, *, cotangent):
    feeds = {"Q": query, "K": key, "V": value, "attn_mask": mask}
    feeds = {name: array[None, None] for name, array in feeds.items()}
    return evaluate("Attention", 24, feeds, ["Y"])[0][0, 0], None


def gru(params, inputs, initial, length, *, cotangent):
    params = update_first(params)
    feeds = {
        "X": inputs[:, None],
        "W": np.concatenate(params.input_weight)[None],
        "R": np.concatenate(params.hidden_weight)[None],
        "B": np.concatenate([*params.input_bias, *params.hidden_bias])[None],
        "sequence_lens": np.array([length], np.int32),
        "initial_h": initial[None, None],
    }
    options = {"hidden_size": initial.size, "linear_before_reset": 1}
    outputs, final = evaluate("GRU", 22, feeds, ["Y", "Y_h"], **options)
    return (outputs[:, 0, 0], final[0, 0]), None


ATTENTION = {"onnx reference, Attention": Runner(attention)}
GRU = {"onnx reference, GRU": Runner(gru)}
