"""What a run is made of."""

import dataclasses

METHODS = {
    "control": "trained on as it is, without attention",
    "attention": "trained on with attention added",
}


@dataclasses.dataclass(frozen=True)
class Config:
    """Method and optimisation; every field is an option of the command.

    method: one of `METHODS`.
    score_units: of the attention that is added.
    batch_size, steps, rate, warmup: of Adam with a cosine schedule; `warmup` is the part of the
        steps in which the rate rises. `rate` is that of the published weights.
    added_rate: of what is added to them.
    buckets: shapes that batches are padded to, each compiled once.
    tuned, tested: words to look at during training and after it; 0 takes all.
    drawn: words on which the weights are checked before anything is trained.
    seed: of everything that is drawn.
    """

    method: str = "attention"
    score_units: int = 128
    batch_size: int = 128
    steps: int = 1000
    rate: float = 1e-4
    added_rate: float = 1e-3
    warmup: float = 0.1
    buckets: int = 3
    tuned: int = 500
    tested: int = 0
    drawn: int = 8000
    seed: int = 0


MAY_BE_ZERO = ("tuned", "tested", "seed", "steps")
