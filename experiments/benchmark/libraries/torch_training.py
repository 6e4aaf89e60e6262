"""The main job's model in PyTorch: the same layers, the same loss, the same optimiser."""

# pyright: reportMissingImports=false

import jax
import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from experiments.benchmark.inputs import PHONES, WORDS, Arrays
from experiments.benchmark.prepared import Prepared, gradients
from experiments.benchmark.rows import Row
from experiments.benchmark.training_step import CLIPPED_AT, DECAY, RATE, SMOOTHING


class Model(nn.Module):
    """Modules in the order of the leaves of jattn's params, so that weights go over one by one."""

    def __init__(self, row: Row):
        super().__init__()
        _, _, _, embedded, units, score_units = row.shape
        self.input_feeding, self.units = row.input_feeding, units
        self.letters = nn.Embedding(WORDS, embedded)
        self.encoder = nn.GRU(embedded, units, batch_first=True, bidirectional=True)
        self.phones = nn.Embedding(PHONES, embedded)
        self.start = nn.Linear(2 * units, units)
        fed = embedded + (units if row.input_feeding else 0)
        self.decoder = (nn.GRUCell if row.input_feeding else nn.GRU)(fed, units)
        self.combine = nn.Linear(3 * units, units)
        self.readout = nn.Linear(units, PHONES)
        self.query = nn.Linear(units, score_units, bias=False)
        self.key = nn.Linear(2 * units, score_units, bias=False)
        self.score_weight = nn.Parameter(torch.empty(score_units))
        self.score_bias = nn.Parameter(torch.empty(score_units))

    def attend(self, hidden, values, keys, mask):
        """Returns the context of `b t n` states and the attentional vectors."""
        layer = torch.tanh(self.query(hidden)[:, :, None] + keys[:, None] + self.score_bias)
        scores = (layer @ self.score_weight).masked_fill(~mask[:, None], -torch.inf)
        context = torch.softmax(scores, dim=-1) @ values
        return torch.tanh(self.combine(torch.cat([context, hidden], dim=-1)))

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
        if self.input_feeding:
            attentional = torch.zeros_like(hidden)
            found = []
            for step in embedded.unbind(1):
                hidden = self.decoder(torch.cat([step, attentional], dim=-1), hidden)
                attentional = self.attend(hidden[:, None], values, keys, mask)[:, 0]
                found.append(attentional)
            states = torch.stack(found, dim=1)
        else:
            outputs, _ = self.decoder(embedded.transpose(0, 1), hidden[None])
            states = self.attend(outputs.transpose(0, 1), values, keys, mask)
        kept = torch.arange(states.shape[1]) < batch["labels_length"][:, None]
        # Padding has no part in the loss: its labels are those that the function leaves out.
        labels = batch["labels"].masked_fill(~kept, -100)
        return nn.functional.cross_entropy(
            self.readout(states).flatten(0, 1), labels.flatten(), label_smoothing=SMOOTHING
        )


def training(row: Row, inputs: Arrays, _direction: str) -> Prepared:
    leaves = jax.tree.leaves(inputs["params"])
    batch = {name: torch.tensor(inputs[name]).long() for name in inputs if name != "params"}
    model, moved = Model(row), Model(row)
    order = [name for name, _ in model.named_parameters() if not name.startswith("score")]
    order += ["score_weight", "score_bias"]
    for one in (model, moved):
        named = dict(one.named_parameters())
        with torch.no_grad():
            for name, leaf in zip(order, leaves, strict=True):
                named[name].copy_(torch.tensor(leaf.reshape(named[name].shape)))
    optimizer = torch.optim.Adam(moved.parameters(), RATE, betas=(0.9, DECAY), fused=True)

    def call():
        optimizer.zero_grad()
        loss = moved(batch)
        loss.backward()
        nn.utils.clip_grad_norm_(moved.parameters(), CLIPPED_AT)
        optimizer.step()
        return loss.item()

    def result(_loss):
        loss, named = model(batch), dict(model.named_parameters())
        slopes = torch.autograd.grad(loss, [named[name] for name in order])
        slopes = [
            slope.numpy().reshape(leaf.shape) for slope, leaf in zip(slopes, leaves, strict=True)
        ]
        numbered = {str(index): slope for index, slope in enumerate(slopes)}
        return {"output": np.asarray(loss.item()), **gradients(numbered)}

    return Prepared(call, result)
