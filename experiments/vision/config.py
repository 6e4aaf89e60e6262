"""The configuration of a run, and the two presets."""

import dataclasses

from experiments import attends
from experiments.command import option


@dataclasses.dataclass(frozen=True)
class Config:
    """Models, training and measuring; every field is an option of the command."""

    size: int = option(
        48, "features of a patch, a multiple of 16; sets the sizes of all models", least=16
    )
    heads: int = option(4, "heads of self-attention")
    glimpses: int = option(4, "times that the recurrent model looks")
    batch_size: int = option(64, "images in a training step")
    steps: int = option(1500, "training steps of each model", least=0)
    learning_rate: float = option(5e-3, "peak of Adam's rate, which falls by a cosine", above=0)
    warmup: float = option(0.1, "share of the steps in which the rate rises", least=0, most=1)
    label_smoothing: float = option(
        0.1, "share of a label's probability given to all digits", least=0, below=1
    )
    distortion: float = option(
        0.5, "strength of random shifts, turns and bends of training images", least=0
    )
    erased: float = option(
        0.0, "share of the patches that is removed from training images", least=0, below=1
    )
    removal_images: int = option(1000, "test images from which patches are removed")
    attend: str = option("dense", attends.HELP, choices=attends.CHOICES)
    seeds: int = option(1, "models of each kind")
    seed: int = option(0, "the first of these seeds", least=0)


PRESETS = {"default": Config(), "full": Config(seeds=3)}
