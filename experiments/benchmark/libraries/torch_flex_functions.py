"""PyTorch's FlexAttention, compiled. On the processor it has no backward pass."""

# pyright: reportMissingImports=false

import torch
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

from experiments.benchmark.inputs import Arrays
from experiments.benchmark.libraries import torch_calls
from experiments.benchmark.prepared import Prepared
from experiments.benchmark.rows import Row


def attention(row: Row, inputs: Arrays, direction: str) -> Prepared:
    arrays = torch_calls.heads_first(inputs)
    compiled = torch.compile(flex_attention)
    blocks = block_mask(row, inputs)

    def scored(score, batch, head, query, key):
        if row.soft_cap is not None:
            return row.soft_cap * torch.tanh(score / row.soft_cap)
        return score + arrays["bias"][0, head, query, key]

    changed = scored if row.biased or row.soft_cap is not None else None

    def called(arrays):
        return compiled(
            arrays["query"],
            arrays["key"],
            arrays["value"],
            score_mod=changed,
            block_mask=blocks,
            enable_gqa=bool(row.key_value_heads),
        )

    made = torch_calls.prepared(
        called, arrays, inputs["cotangent"].swapaxes(1, 2), direction,
        finished=torch_calls.heads_second,
    )  # fmt: skip
    return made._replace(compile=made.call)


def block_mask(row: Row, inputs: Arrays):
    """Returns the mask of the row and the blocks that it skips, computed before timing."""
    named = {name: inputs[name] for name in ("lengths", "documents") if name in inputs}
    fixed = torch_calls.tensors(named)
    if not row.causal and not fixed:
        return None

    def rule(batch, head, query, key):
        allowed = query >= key if row.causal else query >= 0
        if row.window is not None:
            allowed = allowed & (query - key <= row.window)
        if row.padded:
            allowed = allowed & (key < fixed["lengths"][batch])
        if row.documents:
            allowed = allowed & (fixed["documents"][query] == fixed["documents"][key])
        return allowed

    steps = row.shape[1]
    return create_block_mask(
        rule, row.shape[0] if row.padded else None, None, steps, row.keys or steps, device="cpu"
    )
