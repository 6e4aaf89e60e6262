"""What a run is made of."""

import dataclasses

METHODS = {
    "frozen": "a linear layer on the encoder's embeddings, which stay as they are",
    "last": "the last layers of the encoder as well",
    "lora": "LoRA on the attention weights of every layer",
    "full": "every weight",
    "scratch": "every weight, from a random start",
}


@dataclasses.dataclass(frozen=True)
class Config:
    """Method, data and optimisation; every field is an option of the command.

    method: what is trained, one of `METHODS`.
    layers: of the encoder that `last` trains.
    rank, alpha: of LoRA; its products are scaled by alpha / rank.
    verses: training verses, drawn once; 0 takes all.
    tested: verses to test on, 0 takes all.
    length: verses are cut to this many word pieces.
    buckets: shapes that batches are padded to, each compiled once.
    batch_size, steps, warmup: of Adam with a cosine schedule; `warmup` is the part of the steps in
        which the rate rises.
    learning_rate: 0 takes the method's own, chosen on the verses to tune on.
    seed: of everything that is drawn.
    """

    method: str = "lora"
    layers: int = 2
    rank: int = 8
    alpha: float = 16.0
    verses: int = 6000
    tested: int = 0
    length: int = 48
    buckets: int = 3
    batch_size: int = 32
    steps: int = 300
    warmup: float = 0.1
    learning_rate: float = 0.0
    seed: int = 0


RATES = {"frozen": 1e-2, "last": 3e-4, "lora": 2e-3, "full": 1e-4, "scratch": 3e-4}
MAY_BE_ZERO = ("verses", "tested", "seed", "steps")
