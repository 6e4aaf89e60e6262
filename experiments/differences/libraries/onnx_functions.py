"""The reference of the ONNX standard, which is in NumPy and has no gradients."""

# pyright: reportMissingImports=false

import numpy as np
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from experiments.differences.conversion import Converted
from experiments.differences.measures import Runner, converted
from jattn import reset_before_gru_cell

GRU_INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h")


def evaluate(
    operator: str,
    opset: int,
    feeds: dict,
    outputs: list[str],
    *,
    inputs: list[str] | None = None,
    **options,
) -> list:
    """Runs one operator on arrays. `inputs` names them in order, "" for one that is left out."""
    named = lambda name: helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None)
    node = helper.make_node(operator, inputs or list(feeds), outputs, **options)
    graph = helper.make_graph(
        [node], operator, [named(name) for name in feeds], [named(name) for name in outputs]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    return [np.asarray(array) for array in ReferenceEvaluator(model).run(None, feeds)]


def attention(query, key, value, mask, *, cotangent):
    feeds = {"Q": query, "K": key, "V": value, "attn_mask": mask}
    feeds = {name: array[None, None] for name, array in feeds.items()}
    return evaluate("Attention", 24, feeds, ["Y"])[0][0, 0], None


def unrolled(weights, inputs, **options):
    """Outputs with the directions side by side, and final states; time comes first."""
    feeds = {"X": inputs[:, None], **weights}
    feeds = {name: feeds[name] for name in GRU_INPUTS if name in feeds}
    options = {"hidden_size": weights["R"].shape[-1], **options}
    outputs, final = evaluate("GRU", 22, feeds, ["Y", "Y_h"], **options)
    return outputs[:, :, 0].reshape(len(inputs), -1), final[:, 0]


def gru(weights, inputs, initial, length, *, cotangent):
    state = {"sequence_lens": np.array([length], np.int32), "initial_h": initial[None, None]}
    outputs, final = unrolled({**weights, **state}, inputs, linear_before_reset=1)
    return (outputs, final[0]), None


def heads(weights, query, key, value):
    """Products, the operator, and a product."""
    project = lambda x, part: (x @ weights[f"{part}_weight"] + weights[f"{part}_bias"])[None]
    feeds = {"Q": project(query, "query"), "K": project(key, "key"), "V": project(value, "value")}
    (joined,) = evaluate("Attention", 24, feeds, ["Y"], q_num_heads=6, kv_num_heads=3)
    return project(joined[0], "output")[0]


ATTENTION = {"onnx reference, Attention": Runner(attention)}
GRU = {"onnx reference, GRU": converted(gru, "onnx")}
CONVERTED = {
    "onnx reference, GRU(linear_before_reset=1)": Converted(
        "gru", "onnx", lambda *arrays: unrolled(*arrays, linear_before_reset=1)[0]
    ),
    "onnx reference, GRU": Converted(
        "gru",
        "onnx",
        lambda *arrays: unrolled(*arrays)[0],
        options={"cell": reset_before_gru_cell},
    ),
    "onnx reference, GRU(direction=bidirectional)": Converted(
        "bidirectional_gru",
        "onnx",
        lambda *arrays: unrolled(*arrays, linear_before_reset=1, direction="bidirectional")[0],
    ),
    "onnx reference, Attention between products": Converted(
        "multi_head",
        "onnx",
        heads,
        reading={"heads": 6, "key_value_heads": 3},
        sizes={"h": 6, "g": 3, "u": 5, "v": 7, "d": 13},
    ),
}
