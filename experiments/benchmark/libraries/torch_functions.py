"""PyTorch with its default dispatch, on the processor and not compiled."""

# pyright: reportMissingImports=false

import numpy as np
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from experiments.benchmark.inputs import Arrays
from experiments.benchmark.libraries import torch_calls
from experiments.benchmark.libraries.torch_training import training as training
from experiments.benchmark.masks import dense_unless_causal, only_causal
from experiments.benchmark.prepared import Prepared, Unsupported
from experiments.benchmark.rows import Row


def attention(row: Row, inputs: Arrays, direction: str) -> Prepared:
    """Windows, lengths and documents are a Boolean mask, made before any clock starts."""
    if row.soft_cap is not None:
        raise Unsupported("has no soft cap")
    mask = dense_unless_causal(row, inputs)
    held = 0 if mask is None else mask.nbytes
    mask = None if mask is None else torch.tensor(mask)[:, None]

    def called(arrays):
        return torch.nn.functional.scaled_dot_product_attention(
            arrays["query"],
            arrays["key"],
            arrays["value"],
            attn_mask=arrays.get("bias", mask),
            is_causal=only_causal(row),
            enable_gqa=bool(row.key_value_heads),
        )

    return torch_calls.prepared(
        called, torch_calls.heads_first(inputs), inputs["cotangent"].swapaxes(1, 2), direction,
        finished=torch_calls.heads_second, held=held,
    )  # fmt: skip


def additive(row: Row, inputs: Arrays, direction: str) -> Prepared:
    """The formula as one writes it down; PyTorch has no function of it."""

    def called(arrays):
        query_part = arrays["query"] @ arrays["query_weight"].T
        key_part = arrays["key"] @ arrays["key_weight"].T
        hidden = torch.tanh(query_part[:, :, None] + key_part[:, None])
        return torch.softmax(hidden @ arrays["score_weight"], dim=-1) @ arrays["value"]

    arrays = {name: inputs[name] for name in ("query", "key", "value")}
    arrays |= {name: part for name, part in inputs["params"]._asdict().items() if part is not None}
    arrays = torch_calls.tensors(arrays)
    return torch_calls.prepared(called, arrays, inputs["cotangent"], direction)


def gru(row: Row, inputs: Arrays, direction: str) -> Prepared:
    """The module, its sequences packed where they have lengths."""
    _, steps, size, units = row.shape
    both = len(inputs["params"]) == 2
    module = torch.nn.GRU(size, units, batch_first=True, bidirectional=both)
    flat = [np.concatenate(array) for params in inputs["params"] for array in params]
    with torch.no_grad():
        for own, array in zip(module.parameters(), flat, strict=True):
            own.copy_(torch.tensor(array))
    names = [
        f"{name}_{index}"
        for index, params in enumerate(inputs["params"])
        for name in params._fields
    ]
    arrays = torch_calls.tensors(
        {name: inputs[name] for name in ("inputs", "initial") if name in inputs}
    )
    # In the order of the module's own; autograd then gives their gradients too.
    arrays |= dict(zip(names, module.parameters(), strict=True))
    lengths = torch.tensor(inputs["lengths"], dtype=torch.int64) if "lengths" in inputs else None

    def called(arrays):
        if lengths is None:
            return module(arrays["inputs"], arrays["initial"][None])[0]
        packed = pack_padded_sequence(
            arrays["inputs"], lengths, batch_first=True, enforce_sorted=False
        )
        return pad_packed_sequence(module(packed)[0], batch_first=True, total_length=steps)[0]

    made = torch_calls.prepared(
        called, arrays, inputs["cotangent"], direction,
        finished=lambda name, array: array.reshape(3, units, -1) if "_weight_" in name else array,
    )  # fmt: skip

    def result(returned):  # Without those of the biases, as for the others.
        return {
            name: array for name, array in made.result(returned).items() if "_bias_" not in name
        }

    return made._replace(result=result)


bidirectional = gru


def product(row: Row, inputs: Arrays, direction: str) -> Prepared:
    arrays = torch_calls.tensors(inputs)
    return torch_calls.prepared(
        lambda arrays: arrays["left"] @ arrays["right"], arrays, None, direction
    )
