"""The configuration of a run, and the two presets."""

import dataclasses

from experiments.attentions import RENAMED
from experiments.command import option

# Those that fit sources of any length and decoders of any size, in the order of `--help`.
ATTENTIONS = (
    "none", "dot", "scaled-dot-product", "general", "concat", "additive", "location-based",
    "local-monotonic", "local-predictive", "multi-head", "location-aware", "coverage", "monotonic",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Config:
    """Model, data and optimisation; every field is an option of the command."""

    attention: str = option(
        "additive", "mechanism that reads the encoder", choices=ATTENTIONS, renamed=RENAMED
    )
    split: str = option(
        "stem",
        "stem: words of one stem stay together; word: drawn at random, as in the literature",
        choices=("stem", "word"),
    )
    longest: int = option(34, "letters of the longest word in training")
    embedding_size: int = option(64, "features of a letter and of a phone")
    units: int = option(128, "units of the encoder in each direction")
    layers: int = option(1, "layers of the encoder")
    decoder_units: int = option(128, "units of the decoder")
    score_units: int = option(64, "units of the layer that scores, for some mechanisms")
    batch_size: int = option(256, "words in a training step")
    steps: int = option(1200, "training steps", least=0)
    learning_rate: float = option(5e-3, "peak of Adam's rate, which falls by a cosine", above=0)
    warmup: float = option(0.1, "share of the steps in which the rate rises", least=0, most=1)
    dropout: float = option(
        0.0, "share of encoder outputs and decoder states that is dropped", least=0, below=1
    )
    label_smoothing: float = option(
        0.02, "share of a label's probability given to all phones", least=0, below=1
    )
    beam_size: int = option(1, "hypotheses that the search keeps")
    buckets: int = option(4, "lengths that batches are padded to, each compiled once")
    seed: int = option(0, "seed of everything that is drawn", least=0)


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
