"""The configurations of the parts, and their presets."""

import dataclasses

from experiments.command import option
from experiments.speech.classifier import POOLINGS
from experiments.speech.series import DATA
from experiments.speech.voices import VOICES


@dataclasses.dataclass(frozen=True)
class Vowels:
    """Data, models and optimisation; every field is an option of the command."""

    data: tuple[str, ...] = option(
        ("JapaneseVowels", "BasicMotions", "ItalyPowerDemand"), "sets of series", choices=(*DATA,)
    )
    poolings: tuple[str, ...] = option(
        POOLINGS, "how states become one vector, one model of each", choices=POOLINGS
    )
    seeds: int = option(3, "runs of each, with seeds from --seed on")
    units: int = option(64, "units of the GRU in each direction")
    score_units: int = option(32, "units of the layer that scores")
    half_width: int = option(3, "frames seen on either side by local attention", least=0)
    batch_size: int = option(32, "series in a training step")
    steps: int = option(250, "training steps of each run", least=0)
    learning_rate: float = option(5e-3, "peak of Adam's rate, which falls by a cosine", above=0)
    warmup: float = option(0.1, "share of the steps in which the rate rises", least=0, most=1)
    dropout: float = option(0.3, "share of states and of pooled features dropped", least=0, below=1)
    noise: float = option(0.3, "deviation of the noise added to standardized features", least=0)
    seed: int = option(0, "seed of everything that is drawn", least=0)


@dataclasses.dataclass(frozen=True)
class Languages:
    """Data, models and optimisation; every field is an option of the command."""

    languages: tuple[str, ...] = option(tuple(VOICES), "voices to tell apart", choices=(*VOICES,))
    prompts: int = option(120, "prompts of each voice, half of them to test on", least=4)
    seconds: float = option(6.0, "of each recording that Whisper's encoder reads", least=1, most=30)
    seeds: int = option(3, "runs of each model, with seeds from --seed on")
    score_units: int = option(64, "units of the layer that scores")
    batch_size: int = option(32, "recordings in a training step")
    steps: int = option(300, "training steps of each run", least=0)
    learning_rate: float = option(3e-3, "peak of Adam's rate, which falls by a cosine", above=0)
    warmup: float = option(0.1, "share of the steps in which the rate rises", least=0, most=1)
    dropout: float = option(0.2, "share of states and of pooled features dropped", least=0, below=1)
    seed: int = option(0, "seed of everything that is drawn", least=0)


@dataclasses.dataclass(frozen=True)
class Prompts:
    """Recordings and search; every field is an option of the command."""

    prompts: int = option(200, "prompts to transcribe", least=1)
    beam_size: int = option(1, "hypotheses that the search keeps")
    plain: int = option(1, "prompts whose logits are compared with plain NumPy", least=0)


VOWELS = {
    "default": Vowels(),
    "full": Vowels(data=tuple(DATA), seeds=5, steps=600),
}
LANGUAGES = {"default": Languages(), "full": Languages(prompts=400, seeds=5, steps=600)}
PROMPTS = {"default": Prompts(), "full": Prompts(prompts=269, beam_size=5, plain=3)}
