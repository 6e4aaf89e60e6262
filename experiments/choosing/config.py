"""What a run is made of."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Config:
    """Model, training and measuring; every field is an option of the command.

    embedding_size, units, score_units: sizes; encoder and decoder have the same units, as dot
        products of their states need.
    heads: of multi-head attention, each `units / heads` wide.
    half_width: keys that local attention sees on either side.
    batch_size, steps, learning_rate, warmup: of Adam with a cosine schedule; `warmup` is the part
        of the steps in which the rate rises.
    seeds: how many models of each kind are trained, each on examples of its own.
    seed: the first of these.
    evaluations: of validation examples, evenly through the steps, which are cut to a multiple.
    tested: examples of each length that a trained model is tested on.
    rounds: training steps of each mechanism that are timed, in turns.
    """

    embedding_size: int = 16
    units: int = 32
    score_units: int = 16
    heads: int = 4
    half_width: int = 2
    batch_size: int = 32
    steps: int = 1000
    learning_rate: float = 1e-2
    warmup: float = 0.1
    seeds: int = 3
    seed: int = 0
    evaluations: int = 4
    tested: int = 512
    rounds: int = 40
