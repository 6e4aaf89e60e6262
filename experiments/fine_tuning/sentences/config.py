"""What a run is made of."""

import dataclasses

# What each method trains, and the peak of its learning rate: usual ones, none was searched for.
METHODS = {
    "frozen": ("the head alone, on embeddings that are computed once", 0.0),
    "last": ("head and last layers", 5e-4),
    "lora": ("head and LoRA on attention", 3e-3),
    "lora-words": ("head and LoRA on attention and on the words embedded", 3e-3),
    "lora-linear": ("head and LoRA on every linear map of a layer", 3e-3),
    "full": ("every weight", 2e-4),
    "scratch": ("every weight, from a random start", 5e-4),
}
HEAD_RATE = 1e-2


@dataclasses.dataclass(frozen=True)
class Config:
    """Method, data and optimisation; every field is an option of the command.

    method: what is trained, one of `METHODS`.
    corpus: "bible", verses and their groups of books; or "help", paragraphs of LibreOffice's help
        and their applications.
    layers: of the encoder, counted from the last, that `last` trains.
    rank, alpha: of LoRA; its products are scaled by alpha / rank.
    verses, tuned, tested: texts of each part, drawn once; 0 takes all.
    length: texts are cut to this many word pieces.
    buckets: shapes that batches are padded to, each compiled once.
    batch_size, steps, warmup: of Adam with a cosine schedule; `warmup` is the part of the steps in
        which the rate rises. `frozen` takes ten times the steps, which cost next to nothing.
    rate: of everything but the head, 0 takes the method's own.
    seed: of everything that is drawn.
    """

    method: str = "lora-words"
    corpus: str = "bible"
    layers: int = 2
    rank: int = 8
    alpha: float = 16.0
    verses: int = 6000
    tuned: int = 600
    tested: int = 0
    length: int = 32
    buckets: int = 2
    batch_size: int = 32
    steps: int = 200
    warmup: float = 0.1
    rate: float = 0.0
    seed: int = 0


MAY_BE_ZERO = ("verses", "tuned", "tested", "seed", "steps")
