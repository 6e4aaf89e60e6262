"""The configuration of a run."""

import dataclasses

from experiments.attends import CHOICES, HELP
from experiments.command import option

# The weights that each method trains, and the peak of its learning rate: usual ones, not tuned.
METHODS = {
    "frozen": ("the head alone, on embeddings that are computed once", 0.0),
    "last": ("head and last layers", 5e-4),
    "lora": ("head and LoRA on attention", 3e-3),
    "lora-words": ("head and LoRA on attention and on the words embedded", 3e-3),
    "lora-linear": ("head and LoRA on every linear map of a layer", 3e-3),
    "full": ("every weight", 2e-4),
    "scratch": ("every weight, from a random start", 5e-4),
}
ALL = "all"
HEAD_RATE = 1e-2


@dataclasses.dataclass(frozen=True)
class Config:
    """Method, data and optimisation; every field is an option of the command."""

    method: str = option(
        "lora-words", "weights that are trained, one method or more", choices=(*METHODS, ALL)
    )
    corpus: str = option(
        "bible",
        "bible: verses and their groups of books; help: paragraphs of LibreOffice's help and their"
        " applications",
        choices=("bible", "help"),
    )
    layers: int = option(2, "layers of the encoder that `last` trains, counted from the last")
    rank: int = option(8, "rank of LoRA")
    alpha: float = option(16.0, "scale of LoRA, whose products are scaled by alpha / rank", above=0)
    verses: int = option(6000, "texts to train on, 0 for all", least=0)
    tuned: int = option(600, "texts to validate on, 0 for all", least=0)
    tested: int = option(0, "texts to test on, 0 for all", least=0)
    length: int = option(32, "word pieces that texts are cut to", least=3, most=512)
    buckets: int = option(2, "lengths that batches are padded to, each compiled once")
    batch_size: int = option(32, "texts in a training step")
    steps: int = option(200, "training steps; `frozen` takes ten times as many", least=0)
    warmup: float = option(0.1, "share of the steps in which the rate rises", least=0, most=1)
    rate: float = option(
        0.0, "peak of Adam's rate for all except the head, 0 for the method's own", least=0
    )
    attend: str = option("dense", f"attention of the encoder; {HELP}", choices=CHOICES)
    seed: int = option(0, "seed of everything that is drawn", least=0)
