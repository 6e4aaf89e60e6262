"""The configuration of a run, and the two presets."""

import dataclasses

from experiments.command import option

POOLING = {
    "mean": "the mean of all places and of all characters",
    "attention": "a learned query attends to places, another to characters",
    "co-attention": "places and characters are attended to with the help of the other side",
}


@dataclasses.dataclass(frozen=True)
class Config:
    """Models, training and measuring; every field is an option of the command."""

    models: tuple[str, ...] = option(
        tuple(POOLING),
        "ways to pool places and characters, a model for each",
        choices=list(POOLING),
    )
    channels: tuple[int, ...] = option((32, 32, 64, 64), "features after each of four convolutions")
    embedding: int = option(96, "features of a character")
    score_units: int = option(16, "units of the layer that scores places and characters")
    features: int = option(96, "features of a name and of a picture")
    dropout: float = option(
        0.1, "share of features of places and characters dropped", least=0, below=1
    )
    distortion: float = option(
        0.4, "strength of random shifts, turns and bends of training pictures", least=0
    )
    names: int = option(4, "names of each picture in a step, in languages that are drawn", most=14)
    batch_size: int = option(32, "pictures in a training step", least=2)
    steps: int = option(500, "training steps of each model", least=0)
    learning_rate: float = option(6e-3, "peak of Adam's rate, which falls by a cosine", above=0)
    warmup: float = option(0.05, "share of the steps in which the rate rises", least=0, most=1)
    seeds: int = option(1, "splits, with a model of each kind on each")
    seed: int = option(0, "the first of these seeds", least=0)


PRESETS = {"default": Config(), "full": Config(seeds=3)}
