"""ONNX Runtime: the operators of the standard, forward alone."""

# pyright: reportMissingImports=false

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

import jattn
from experiments.benchmark.inputs import Arrays, causal_or_dense
from experiments.benchmark.prepared import Prepared, Unsupported
from experiments.benchmark.rows import FORWARD, Row
from jattn import convert


def prepared(
    operator: str, feeds: Arrays, inputs: list[str], asked: str, finished: Callable, **options: Any
) -> Prepared:
    """Prepares one operator; names of `inputs` that are not in `feeds` are left out."""
    if asked != FORWARD:
        raise Unsupported("has no gradients")
    feeds = {name: np.ascontiguousarray(array) for name, array in feeds.items()}
    given = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
        )
        for name, array in feeds.items()
    ]
    made = helper.make_tensor_value_info("Y", TensorProto.FLOAT, None)
    names = [name if name in feeds else "" for name in inputs]
    node = helper.make_node(operator, names, ["Y"], **options)
    graph = helper.make_graph([node], operator, given, [made])
    # The version of the operators, and of the file, that the oldest runtime asked for can read.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=11)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads, settings.inter_op_num_threads = 2, 1
    settings.enable_cpu_mem_arena = False  # So that memory is that of the call.
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), settings, providers=["CPUExecutionProvider"]
    )
    return Prepared(
        lambda: session.run(None, feeds)[0],
        lambda output: {"output": finished(output)},
        held=feeds["mask"].nbytes if "mask" in feeds else 0,
    )


def attention(row: Row, inputs: Arrays, direction: str) -> Prepared:
    feeds = {name: inputs[name].swapaxes(1, 2) for name in ("query", "key", "value")}
    is_causal, mask = causal_or_dense(row, inputs)
    if row.biased:
        feeds["mask"] = inputs["bias"]
    elif mask is not None:
        feeds["mask"] = mask
    options: Arrays = {"is_causal": int(is_causal), "softcap": row.soft_cap or 0.0}
    names = ["query", "key", "value", "mask"]
    return prepared(
        "Attention", feeds, names, direction, lambda output: output.swapaxes(1, 2), **options
    )


def gru(row: Row, inputs: Arrays, direction: str) -> Prepared:
    """Prepares a GRU; time is the first axis, and outputs have an axis for the directions."""
    both = len(inputs["params"]) == 2
    one, two = convert.gru_to_onnx, convert.bidirectional_gru_to_onnx
    params = inputs["params"]
    weights = two(jattn.BidirectionalGRUParams(*params)) if both else one(*params)
    feeds = {"X": inputs["inputs"].swapaxes(0, 1), **weights}
    if "initial" in inputs:
        feeds["initial_h"] = inputs["initial"][None]
    if "lengths" in inputs:
        feeds["sequence_lens"] = inputs["lengths"]
    options: Arrays = {"hidden_size": row.shape[3], "linear_before_reset": 1}
    if both:
        options["direction"] = "bidirectional"
    finished = lambda output: np.concatenate(list(output.transpose(1, 2, 0, 3)), axis=-1)
    names = ["X", "W", "R", "B", "sequence_lens", "initial_h"]
    return prepared("GRU", feeds, names, direction, finished, **options)


bidirectional = gru
