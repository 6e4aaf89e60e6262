"""The configuration of a run."""

import dataclasses

from experiments.command import option


@dataclasses.dataclass(frozen=True)
class Config:
    """Model, training and measuring; every field is an option of the command."""

    embedding_size: int = option(16, "features of a token")
    units: int = option(32, "units of the encoder and of the decoder, whose states are compared")
    score_units: int = option(16, "units of the layer that scores, for some mechanisms")
    heads: int = option(4, "heads of multi-head attention, each units / heads wide")
    half_width: int = option(2, "keys that local attention sees on either side")
    batch_size: int = option(32, "examples in a training step")
    steps: int = option(1000, "training steps, cut to a multiple of the evaluations")
    learning_rate: float = option(1e-2, "peak of Adam's rate, which falls by a cosine", above=0)
    warmup: float = option(0.1, "share of the steps in which the rate rises", least=0, most=1)
    seeds: int = option(3, "models of each kind, each trained on examples of its own")
    seed: int = option(0, "the first of these seeds", least=0)
    evaluations: int = option(4, "evaluations on validation examples, evenly through the steps")
    tested: int = option(512, "examples of each length that a trained model is tested on")
    rounds: int = option(40, "training steps of each mechanism that are timed, in turns")
