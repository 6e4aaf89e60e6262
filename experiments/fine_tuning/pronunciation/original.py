"""The equations of the published model in NumPy, for comparison with jattn."""

from collections.abc import Sequence

import numpy as np

from experiments.fine_tuning.pronunciation.model import LONGEST, START, STOP
from experiments.fine_tuning.pronunciation.pretrained import Weights, spell


def pronounce(weights: Weights, words: Sequence[str]) -> list[np.ndarray]:
    """Returns the tokens of each word's phones: greedily, and at most `LONGEST`."""
    spelled = [spell(word) for word in words]
    hidden = np.zeros((len(words), weights["enc_w_hh"].shape[1]), np.float32)
    for position in range(max(map(len, spelled))):
        rows = [row for row, letters in enumerate(spelled) if position < len(letters)]
        tokens = [spelled[row][position] for row in rows]
        hidden[rows] = step(weights, "enc", weights["enc_emb"][tokens], hidden[rows])
    last, steps = np.full(len(words), START), []
    for _ in range(LONGEST):
        hidden = step(weights, "dec", weights["dec_emb"][last], hidden)
        last = (hidden @ weights["fc_w"].T + weights["fc_b"]).argmax(1)
        steps.append(last)
    spoken = np.stack(steps, axis=1)
    ends = [int(np.argmax(tokens == STOP)) if STOP in tokens else LONGEST for tokens in spoken]
    return [tokens[:end] for tokens, end in zip(spoken, ends, strict=True)]


def step(weights: Weights, part: str, inputs: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """Computes one step of a GRU whose gates are stacked: reset, update, candidate."""
    from_inputs = inputs @ weights[f"{part}_w_ih"].T + weights[f"{part}_b_ih"]
    from_hidden = hidden @ weights[f"{part}_w_hh"].T + weights[f"{part}_b_hh"]
    r_inputs, z_inputs, n_inputs = np.split(from_inputs, 3, axis=1)
    r_hidden, z_hidden, n_hidden = np.split(from_hidden, 3, axis=1)
    reset = 1 / (1 + np.exp(-(r_inputs + r_hidden)))
    update = 1 / (1 + np.exp(-(z_inputs + z_hidden)))
    candidate = np.tanh(n_inputs + reset * n_hidden)
    return (1 - update) * candidate + update * hidden
