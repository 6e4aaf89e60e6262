"""The published weights of g2p-en as jattn's parameters, and their tokens."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np

import jattn
from experiments.archive import wheel
from experiments.fine_tuning.pronunciation.model import Params
from jattn import convert

# By Kyubyong Park and Jongseok Kim, Apache-2.0. Read as an archive: its import loads other data.
WHEEL = ("g2p-en", "2.1.0", "2a7aabf1fc7f270fcc3349881407988c9245173c2413debbe5432f4a4f31319f")
WEIGHTS = "g2p_en/checkpoint20.npz"
LETTERS = ("<pad>", "<unk>", "</s>", *"abcdefghijklmnopqrstuvwxyz")
END = 2  # Of a word: it is read like a letter.
PHONES = (
    "<pad>", "<unk>", "<s>", "</s>", "AA0", "AA1", "AA2", "AE0", "AE1", "AE2", "AH0", "AH1", "AH2",
    "AO0", "AO1", "AO2", "AW0", "AW1", "AW2", "AY0", "AY1", "AY2", "B", "CH", "D", "DH", "EH0",
    "EH1", "EH2", "ER0", "ER1", "ER2", "EY0", "EY1", "EY2", "F", "G", "HH", "IH0", "IH1", "IH2",
    "IY0", "IY1", "IY2", "JH", "K", "L", "M", "N", "NG", "OW0", "OW1", "OW2", "OY0", "OY1", "OY2",
    "P", "R", "S", "SH", "T", "TH", "UH0", "UH1", "UH2", "UW", "UW0", "UW1", "UW2", "V", "W", "Y",
    "Z", "ZH",
)  # fmt: skip
PHONE_TOKENS = {phone: token for token, phone in enumerate(PHONES)}

Weights = Mapping[str, Any]  # Arrays of NumPy.


def read_weights() -> Weights:
    with wheel(*WHEEL) as archive, np.load(io.BytesIO(archive.read(WEIGHTS))) as stored:
        return dict(stored)


def pretrained(weights: Weights) -> Params:
    """Converts the weights; the gates of the GRUs are stacked as in PyTorch."""
    return Params(
        jattn.EncoderParams(jattn.EmbeddingParams(weights["enc_emb"]), (_gru(weights, "enc"),)),
        jattn.EmbeddingParams(weights["dec_emb"]),
        _gru(weights, "dec"),
        jattn.AffineParams(weights["fc_w"], weights["fc_b"]),
    )


def _gru(weights: Weights, part: str) -> jattn.GRUParams:
    named = {"w_ih": "weight_ih", "w_hh": "weight_hh", "b_ih": "bias_ih", "b_hh": "bias_hh"}
    return convert.gru_from_torch(
        {f"{theirs}_l0": weights[f"{part}_{stored}"] for stored, theirs in named.items()}
    )


def spell(word: str) -> np.ndarray:
    """Returns the tokens of a word's letters and of its end."""
    return np.array([*(LETTERS.index(letter) for letter in word), END], np.int32)


def phones_of(tokens: np.ndarray) -> tuple[str, ...]:
    return tuple(PHONES[token] for token in tokens)
