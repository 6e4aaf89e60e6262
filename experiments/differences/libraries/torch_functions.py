"""PyTorch, on the processor and not compiled."""

# pyright: reportMissingImports=false

import numpy as np
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from experiments.differences.measures import Runner


def by_torch(attention) -> Runner:
    def run(query, key, value, mask, *, cotangent):
        arrays = [torch.tensor(array, requires_grad=True) for array in (query, key, value)]
        output = attention(*(array[None] for array in arrays), torch.tensor(mask))[0]
        gradients = torch.autograd.grad(output, arrays, torch.tensor(cotangent))
        return output.detach().numpy(), [gradient.numpy() for gradient in gradients]

    return Runner(run)


def module_attention(query, key, value, mask):
    """The module as it is called by default, which is with its weights."""
    size = query.shape[-1]
    module = torch.nn.MultiheadAttention(size, 1, bias=False, batch_first=True, dtype=query.dtype)
    with torch.no_grad():
        module.in_proj_weight.copy_(torch.eye(size).tile(3, 1))
        module.out_proj.weight.copy_(torch.eye(size))
    return module(query, key, value, attn_mask=~mask)[0]


def gru(params, inputs, initial, length, *, cotangent):
    module = torch.nn.GRU(inputs.shape[1], initial.size, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        for own, array in zip(module.parameters(), params, strict=True):
            own.copy_(torch.tensor(np.concatenate(array)))
    inputs, initial = (torch.tensor(array, requires_grad=True) for array in (inputs, initial))
    packed = pack_padded_sequence(inputs[None], [length], batch_first=True)
    packed_outputs, final = module(packed, initial[None, None])
    outputs, _ = pad_packed_sequence(packed_outputs, batch_first=True, total_length=len(inputs))
    *d_params, d_inputs, d_initial = torch.autograd.grad(
        (outputs[0], final[0, 0]),
        [*module.parameters(), inputs, initial],
        tuple(map(torch.tensor, cotangent)),
    )
    d_params = (d.reshape(like.shape).numpy() for d, like in zip(d_params, params, strict=True))
    output = outputs[0].detach().numpy(), final[0, 0].detach().numpy()
    return output, (type(params)(*d_params), d_inputs.numpy(), d_initial.numpy())


ATTENTION = {
    "torch scaled_dot_product_attention": by_torch(
        lambda query, key, value, mask: torch.nn.functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask
        )
    ),
    "torch.nn.MultiheadAttention": by_torch(module_attention),
}
GRU = {"torch.nn.GRU, packed": Runner(gru)}
