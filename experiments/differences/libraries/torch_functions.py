"""PyTorch, on the processor and not compiled."""

# pyright: reportMissingImports=false

import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from experiments.differences.conversion import Converted
from experiments.differences.measures import Runner, converted, identity
from jattn import convert


def by_torch(attention) -> Runner:
    def run(query, key, value, mask, *, cotangent):
        arrays = [torch.tensor(array, requires_grad=True) for array in (query, key, value)]
        output = attention(*(array[None] for array in arrays), torch.tensor(mask))[0]
        gradients = torch.autograd.grad(output, arrays, torch.tensor(cotangent))
        return output.detach().numpy(), [gradient.numpy() for gradient in gradients]

    return Runner(run)


def load(module, weights):
    """Puts weights into the module; a name that is missing or unknown raises."""
    module.load_state_dict({name: torch.tensor(array) for name, array in weights.items()})
    return module


def module_attention(query, key, value, mask):
    """The module as it is called by default, which is with its weights."""
    size = query.shape[-1]
    module = torch.nn.MultiheadAttention(size, 1, bias=False, batch_first=True, dtype=query.dtype)
    load(module, convert.multi_head_to_torch(identity(size, query.numpy(force=True).dtype)))
    return module(query, key, value, attn_mask=~mask)[0]


def gru(weights, inputs, initial, length, *, cotangent):
    module = torch.nn.GRU(inputs.shape[1], initial.size, batch_first=True, dtype=torch.float64)
    load(module, weights)
    inputs, initial = (torch.tensor(array, requires_grad=True) for array in (inputs, initial))
    packed = pack_padded_sequence(inputs[None], [length], batch_first=True)
    packed_outputs, final = module(packed, initial[None, None])
    outputs, _ = pad_packed_sequence(packed_outputs, batch_first=True, total_length=len(inputs))
    *d_weights, d_inputs, d_initial = torch.autograd.grad(
        (outputs[0], final[0, 0]),
        [*module.parameters(), inputs, initial],
        tuple(map(torch.tensor, cotangent)),
    )
    named = dict(zip(module.state_dict(), (d.numpy() for d in d_weights), strict=True))
    output = outputs[0].detach().numpy(), final[0, 0].detach().numpy()
    return output, (named, d_inputs.numpy(), d_initial.numpy())


def unrolled(weights, inputs, **options):
    units = weights["weight_hh_l0"].shape[1]
    module = torch.nn.GRU(inputs.shape[1], units, dtype=torch.float64, **options)
    return load(module, weights)(torch.tensor(inputs))[0].detach().numpy()


def heads(weights, *inputs):
    query, key, value = map(torch.tensor, inputs)
    sizes = {"kdim": key.shape[1], "vdim": value.shape[1]}
    module = torch.nn.MultiheadAttention(query.shape[1], 2, dtype=torch.float64, **sizes)
    return load(module, weights)(query, key, value)[0].detach().numpy()


ATTENTION = {
    "torch scaled_dot_product_attention": by_torch(
        lambda query, key, value, mask: torch.nn.functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask
        )
    ),
    "torch.nn.MultiheadAttention": by_torch(module_attention),
}
NORMALIZERS = {
    "torch.softmax": lambda array, factor: torch.softmax(torch.tensor(array) * factor, -1).numpy()
}
GRU = {"torch.nn.GRU, packed": converted(gru, "torch")}
CONVERTED = {
    "torch.nn.GRU": Converted("gru", "torch", unrolled),
    "torch.nn.GRU(bidirectional=True)": Converted(
        "bidirectional_gru", "torch", lambda *arrays: unrolled(*arrays, bidirectional=True)
    ),
    "torch.nn.GRU(num_layers=2, bidirectional=True)": Converted(
        "stacked_gru", "torch", lambda *arrays: unrolled(*arrays, bidirectional=True, num_layers=2)
    ),
    "torch.nn.MultiheadAttention": Converted(
        "multi_head", "torch", heads, reading={"heads": 2}, sizes={"k": 6, "v": 6}
    ),
    "torch.nn.MultiheadAttention(kdim=, vdim=)": Converted(
        "multi_head", "torch", heads, reading={"heads": 2}, sizes={"v": 7}
    ),
}
