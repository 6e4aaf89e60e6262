"""The configuration of a run, and the two presets."""

import dataclasses

from experiments.command import option

MODELS = {
    "transformer": "transformer",
    "window": "transformer, window",
    "gru": "GRU",
    "gru-attention": "GRU with attention",
    "retention": "retention, not rotated",
    "gated-linear": "gated linear attention",
    "gated-delta": "gated DeltaNet",
}
COMPARED = ("transformer", "window", "gru", "gru-attention")


@dataclasses.dataclass(frozen=True)
class Config:
    """Models, data and optimisation; every field is an option of the command."""

    models: tuple[str, ...] = option(COMPARED, "models to train", choices=tuple(MODELS))
    context: int = option(256, "characters that are read at once, in training and in scoring")
    window: int = option(32, "characters that a position of the window's model attends to")
    layers: int = option(4, "blocks of the transformers")
    size: int = option(128, "features of the transformers, and of a character in the GRUs")
    heads: int = option(4, "heads of attention")
    hidden_size: int = option(344, "hidden units of the transformers' networks")
    batch_size: int = option(8, "sequences in a training step")
    steps: int = option(300, "training steps", least=0)
    learning_rate: float = option(3e-3, "peak of Adam's rate", above=0)
    warmup: float = option(0.1, "share of the steps in which the rate rises", least=0, most=1)
    schedule: str = option(
        "constant",
        "the rate after its rise: constant, so that curves compare at every step, or cosine",
        choices=("constant", "cosine"),
    )
    seeds: int = option(1, "runs of each model, each with weights and batches of its own")
    seed: int = option(0, "the first of these seeds", least=0)


PRESETS = {
    "default": Config(),
    "full": Config(models=("transformer",), steps=6000, warmup=0.05, schedule="cosine"),
}
