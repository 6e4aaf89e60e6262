"""PyTorch with its default dispatch, on the processor and not compiled."""

# pyright: reportMissingImports=false

import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from experiments.benchmark.inputs import Arrays, causal_or_dense
from experiments.benchmark.libraries import jax_calls, torch_calls
from experiments.benchmark.libraries.torch_models import training as training
from experiments.benchmark.libraries.torch_models import transformer as transformer
from experiments.benchmark.prepared import Prepared, Unsupported
from experiments.benchmark.rows import Row
from jattn import BidirectionalGRUParams, convert


def attention(row: Row, inputs: Arrays, direction: str) -> Prepared:
    """Prepares a row; windows, lengths and documents are a Boolean mask, made before timing."""
    if row.soft_cap is not None:
        raise Unsupported("has no soft cap")
    is_causal, mask = causal_or_dense(row, inputs)
    held = 0 if mask is None else mask.nbytes
    mask = None if mask is None else torch.tensor(mask)

    def called(arrays):
        return torch.nn.functional.scaled_dot_product_attention(
            arrays["query"],
            arrays["key"],
            arrays["value"],
            attn_mask=arrays.get("bias", mask),
            is_causal=is_causal,
            enable_gqa=bool(row.key_value_heads),
        )

    return torch_calls.prepared(
        called, torch_calls.heads_first(inputs), inputs["cotangent"].swapaxes(1, 2), direction,
        finished=torch_calls.heads_second, held=held,
    )  # fmt: skip


def additive(row: Row, inputs: Arrays, direction: str) -> Prepared:
    """Prepares the plain formula, since PyTorch has no function for it."""

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
    """Prepares the module; sequences with lengths are packed."""
    _, steps, size, units = row.shape
    both = len(inputs["params"]) == 2
    module = torch.nn.GRU(size, units, batch_first=True, bidirectional=both)
    one, two = convert.gru_to_torch, convert.bidirectional_gru_to_torch
    params = inputs["params"]
    weights = two(BidirectionalGRUParams(*params)) if both else one(*params)
    module.load_state_dict(torch_calls.tensors(weights))
    arrays = torch_calls.tensors(
        {name: inputs[name] for name in ("inputs", "initial") if name in inputs}
    )
    # The module's own; autograd then gives their gradients too.
    arrays |= dict(module.named_parameters())
    lengths = torch.tensor(inputs["lengths"], dtype=torch.int64) if "lengths" in inputs else None

    def called(arrays):
        if lengths is None:
            return module(arrays["inputs"], arrays["initial"][None])[0]
        packed = pack_padded_sequence(
            arrays["inputs"], lengths, batch_first=True, enforce_sorted=False
        )
        return pad_packed_sequence(module(packed)[0], batch_first=True, total_length=steps)[0]

    made = torch_calls.prepared(called, arrays, inputs["cotangent"], direction)

    def result(returned):
        """Returns gradients under common names."""
        named = made.result(returned)
        slopes = {name: named.pop(f"d_{name}") for name in weights if f"d_{name}" in named}
        if slopes:
            one, two = convert.gru_from_torch, convert.bidirectional_gru_from_torch
            params = two(slopes) if both else (one(slopes),)
            named |= jax_calls.gru_gradients({"params": params})
        return named

    return made._replace(result=result)


bidirectional = gru
