"""The configuration of a run."""

import dataclasses

from experiments.command import option

METHODS = {
    "control": "trained on as it is, without attention",
    "attention": "trained on with attention added",
}
ALL = "all"


@dataclasses.dataclass(frozen=True)
class Config:
    """Method and optimisation; every field is an option of the command."""

    method: str = option(
        "attention",
        "control: train on without attention; attention: with it; all: both",
        choices=(*METHODS, ALL),
    )
    score_units: int = option(128, "units of the added attention's hidden layer")
    batch_size: int = option(128, "words in a training step")
    steps: int = option(1000, "training steps", least=0)
    rate: float = option(1e-4, "peak of Adam's rate for the published weights", above=0)
    added_rate: float = option(1e-3, "peak of Adam's rate for the added weights", above=0)
    warmup: float = option(0.1, "share of the steps in which the rate rises", least=0, most=1)
    buckets: int = option(3, "lengths that batches are padded to, each compiled once")
    tuned: int = option(500, "words that are pronounced during training, 0 for all", least=0)
    tested: int = option(0, "words that are pronounced after training, 0 for all", least=0)
    drawn: int = option(8000, "words on which the published weights are checked first")
    seed: int = option(0, "seed of everything that is drawn", least=0)
