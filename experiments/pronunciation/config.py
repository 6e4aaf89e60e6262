"""What a run is made of, and the two presets."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Config:
    """Model, data and optimisation; every field is an option of the command.

    attention: the mechanism with which the decoder reads the encoder's states, or "none".
    split: "stem" keeps words of one stem on one side, "word" is the literature's random split.
    embedding_size, units, decoder_units, score_units: sizes; `units` in each direction.
    layers: of the encoder.
    batch_size, steps, learning_rate, warmup: of Adam with a cosine schedule; `warmup` is the part
        of the steps in which the rate rises.
    dropout: share of the encoder's outputs and of the decoder's states that is dropped.
    label_smoothing: share of a target's probability given to all other phones.
    beam_size: beginnings kept when the test words are pronounced.
    buckets: shapes that batches are padded to, each compiled once.
    seed: of everything that is drawn.
    """

    attention: str = "additive"
    split: str = "stem"
    embedding_size: int = 64
    units: int = 128
    layers: int = 1
    decoder_units: int = 128
    score_units: int = 64
    batch_size: int = 256
    steps: int = 1200
    learning_rate: float = 5e-3
    warmup: float = 0.1
    dropout: float = 0.0
    label_smoothing: float = 0.02
    beam_size: int = 1
    buckets: int = 4
    seed: int = 0


PRESETS = {
    "default": Config(),
    "full": Config(
        split="word",
        embedding_size=128,
        units=256,
        decoder_units=256,
        score_units=128,
        steps=6000,
        learning_rate=3e-3,
        dropout=0.2,
        label_smoothing=0.05,
        beam_size=4,
    ),
}
