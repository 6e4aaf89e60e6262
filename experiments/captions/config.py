"""The configuration of a run, and the two presets."""

import dataclasses

from experiments.captions.grammar import LANGUAGES
from experiments.command import option

MODELS = ("soft", "hard", "transformer", "retrieval")


@dataclasses.dataclass(frozen=True)
class Config:
    """Models, data and optimisation; every field is an option of the command."""

    models: tuple[str, ...] = option(
        ("soft",), "models to train, one after the other", choices=MODELS
    )
    languages: tuple[str, ...] = option(
        ("english",), "languages that a model learns together", choices=tuple(LANGUAGES)
    )
    canvases: int = option(20_000, "canvases to train on")
    tested: int = option(1000, "canvases of each test", least=4)
    channels: tuple[int, ...] = option(
        (16, 32, 48, 64, 64), "features after each of five convolutions"
    )
    features: int = option(64, "features of a place of the grid and of a word", least=2)
    coverage: str = option(
        "yes", "whether scores of places depend on earlier weights", choices=("yes", "no")
    )
    units: int = option(96, "units of the GRU, and features of the transformer")
    score_units: int = option(32, "units of the layer that scores places")
    layers: int = option(2, "blocks of the transformer")
    heads: int = option(4, "heads of the transformer")
    dropout: float = option(0.1, "share of the grid's features that is dropped", least=0, below=1)
    summary_dropout: float = option(
        0.4, "share of the features of a canvas's summary that is dropped", least=0, below=1
    )
    doubly_stochastic: float = option(
        0.0, "weight of the penalty that asks each place to be attended to once", least=0
    )
    reward_weight: float = option(0.1, "weight of the reward of hard attention", least=0)
    entropy_weight: float = option(0.01, "weight of the entropy of hard attention", least=0)
    expected_share: float = option(
        0.5, "share of canvases whose hard attention is replaced by its mean", least=0, most=1
    )
    batch_size: int = option(128, "canvases in a training step of a model")
    encoder_steps: int = option(
        4000, "training steps of the encoder, on canvases whose places are labelled", least=0
    )
    encoder_rate: float = option(5e-3, "peak of the encoder's rate", above=0)
    label_smoothing: float = option(
        0.1, "share of a label's probability given to all classes", least=0, below=1
    )
    steps: int = option(1000, "training steps of each model after that", least=0)
    learning_rate: float = option(4e-3, "peak of Adam's rate, which falls by a cosine", above=0)
    transformer_rate: float = option(2e-3, "the same for the transformer", above=0)
    warmup: float = option(0.03, "share of the steps in which the rate rises", least=0, most=1)
    seed: int = option(0, "seed of everything that is drawn", least=0)


PRESETS = {
    "default": Config(),
    "full": Config(models=MODELS, languages=("english", "chinese"), encoder_steps=6000, steps=2000),
}
