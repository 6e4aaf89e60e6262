"""Models in PyTorch: the main job's, with the same layers and loss, and a stack of blocks."""

# pyright: reportMissingImports=false

from typing import Any

import jax
import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from experiments.benchmark.inputs import PHONES, WORDS, Arrays
from experiments.benchmark.libraries import torch_calls
from experiments.benchmark.libraries.jattn_functions import SMOOTHING
from experiments.benchmark.prepared import Prepared
from experiments.benchmark.rows import Row
from jattn import convert


class Model(nn.Module):
    """The main job's model; modules are in the order of the leaves of jattn's parameters."""

    def __init__(self, row: Row):
        super().__init__()
        _, _, _, embedded, units, score_units = row.shape
        self.letters = nn.Embedding(WORDS, embedded)
        self.encoder = nn.GRU(embedded, units, batch_first=True, bidirectional=True)
        self.phones = nn.Embedding(PHONES, embedded)
        self.start = nn.Linear(2 * units, units)
        self.decoder = nn.GRU(embedded, units, batch_first=True)
        self.combine = nn.Linear(3 * units, units)
        self.readout = nn.Linear(units, PHONES)
        self.query = nn.Linear(units, score_units, bias=False)
        self.key = nn.Linear(2 * units, score_units, bias=False)
        self.score_weight = nn.Parameter(torch.empty(score_units))
        self.score_bias = nn.Parameter(torch.empty(score_units))

    def forward(self, batch):
        letters, lengths = batch["letters"], batch["letters_length"]
        packed = pack_padded_sequence(
            self.letters(letters), lengths, batch_first=True, enforce_sorted=False
        )
        values, final = self.encoder(packed)
        values, _ = pad_packed_sequence(values, batch_first=True, total_length=letters.shape[1])
        hidden = torch.tanh(self.start(torch.cat(list(final), dim=-1)))
        mask = torch.arange(letters.shape[1]) < lengths[:, None]
        keys, embedded = self.key(values), self.phones(batch["before"])
        outputs, _ = self.decoder(embedded, hidden[None])
        layer = torch.tanh(self.query(outputs)[:, :, None] + keys[:, None] + self.score_bias)
        scores = (layer @ self.score_weight).masked_fill(~mask[:, None], -torch.inf)
        context = torch.softmax(scores, dim=-1) @ values
        states = torch.tanh(self.combine(torch.cat([context, outputs], dim=-1)))
        kept = torch.arange(states.shape[1]) < batch["labels_length"][:, None]
        labels = batch["labels"].masked_fill(~kept, -100)  # The function ignores this label.
        return nn.functional.cross_entropy(
            self.readout(states).flatten(0, 1), labels.flatten(), label_smoothing=SMOOTHING
        )


def training(row: Row, inputs: Arrays, direction: str) -> Prepared:
    leaves, model = jax.tree.leaves(inputs["params"]), Model(row)
    batch = {name: torch.tensor(inputs[name]).long() for name in inputs if name != "params"}
    parameters = dict(model.named_parameters())
    last = ("score_weight", "score_bias")
    order = [*(name for name in parameters if name not in last), *last]
    for name, leaf in zip(order, leaves, strict=True):
        parameters[name].data = torch.tensor(leaf.reshape(parameters[name].shape))
    shapes = {name: leaf.shape for name, leaf in zip(order, leaves, strict=True)}
    made = torch_calls.prepared(
        lambda _parameters: model(batch), parameters, np.ones((), np.float32), direction
    )

    def result(returned):
        """Returns gradients in the form and with the numbers of the leaves."""
        named = made.result(returned)
        slopes = {
            f"d_{index}": named[f"d_{name}"].reshape(shape)
            for index, (name, shape) in enumerate(shapes.items())
        }
        return {"output": named["output"], **slopes}

    return made._replace(result=result)


def encoder_to_torch(params: Any) -> torch_calls.Tensors:
    """Returns the state dict of `torch.nn.TransformerEncoder`, from jattn's parameters."""
    state = {}
    for index, block in enumerate(params.blocks):
        at = f"layers.{index}."
        heads = convert.multi_head_to_torch(block.attention)
        state |= {f"{at}self_attn.{name}": array for name, array in heads.items()}
        for number, norm in ((1, block.attention_norm), (2, block.feed_forward_norm)):
            state |= {f"{at}norm{number}.weight": norm.scale, f"{at}norm{number}.bias": norm.bias}
        network = block.feed_forward
        state |= {
            f"{at}linear1.weight": network.hidden_weight,
            f"{at}linear1.bias": network.hidden_bias,
            f"{at}linear2.weight": network.output_weight,
            f"{at}linear2.bias": network.output_bias,
        }
    return torch_calls.tensors(
        state | {"norm.weight": params.norm.scale, "norm.bias": params.norm.bias}
    )


def transformer(row: Row, inputs: Arrays, direction: str) -> Prepared:
    _, steps, layers, heads, head_size = row.shape
    size = heads * head_size
    layer = nn.TransformerEncoderLayer(
        size, heads, 4 * size, 0.0, "gelu", batch_first=True, norm_first=True
    )
    model = nn.TransformerEncoder(layer, layers, nn.LayerNorm(size), enable_nested_tensor=False)
    model.load_state_dict(encoder_to_torch(inputs["params"]))
    mask = nn.Transformer.generate_square_subsequent_mask(steps) if row.causal else None
    arrays = torch_calls.tensors({"inputs": inputs["inputs"]}) | dict(model.named_parameters())
    made = torch_calls.prepared(
        lambda arrays: model(arrays["inputs"], mask, is_causal=row.causal),
        arrays, inputs["cotangent"], direction,
    )  # fmt: skip

    def result(returned):
        named = made.result(returned)
        hidden = named["d_layers.0.linear1.weight"]
        return {name: named[name] for name in ("output", "d_inputs")} | {"d_hidden_weight": hidden}

    return made._replace(result=result)
