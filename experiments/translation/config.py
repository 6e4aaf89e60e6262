"""The configuration of a run."""

import dataclasses

from experiments.attends import CHOICES, HELP
from experiments.attentions import RENAMED
from experiments.command import option
from experiments.new_testament import BOOKS

TRANSFORMER = "transformer"
ATTENTIONS = (
    "none", "additive", "dot", "general", "concat", "local-monotonic", "local-predictive",
    TRANSFORMER,
)  # fmt: skip
CORPORA = ("bible", "help-de")


@dataclasses.dataclass(frozen=True)
class Config:
    """Model, data and optimisation; every field is an option of the command."""

    attention: str = option(
        "additive",
        "mechanism of the decoder: additive before its step, as Bahdanau et al. do, others after"
        " it, as Luong et al. do; or none; or transformer, which is another model",
        choices=ATTENTIONS,
        renamed=RENAMED,
    )
    input_feeding: int = option(
        0,
        "1: a decoder after Luong et al. reads what its last step attended to",
        least=0,
        most=1,
    )
    corpus: str = option(
        "bible",
        "bible: Greek to English, with links that people drew; help-de: LibreOffice's help,"
        " English to German, without links",
        choices=CORPORA,
    )
    books: str = option(
        "all",
        "books of the Bible to train on, without John and Hebrews; whole: with them, as programs"
        " that only align words are trained",
        choices=tuple(BOOKS),
    )
    guided: float = option(
        0.0, "weight of the cross entropy between human links and attention", least=0
    )
    aligned: str = option(
        "predicts",
        "attention of a piece: of the step that predicts it, or of the next one, which reads it",
        choices=("predicts", "reads"),
    )
    source_pieces: int = option(4000, "subwords of the source language")
    target_pieces: int = option(1500, "subwords of the target language")
    longest: int = option(70, "pieces of the longest sentence that is trained on")
    embedding_size: int = option(128, "features of a piece")
    units: int = option(64, "units of the encoder in each direction")
    decoder_units: int = option(128, "units of the decoder; width of the transformer")
    score_units: int = option(64, "units of the layer that scores, for some mechanisms")
    half_width: int = option(10, "pieces that local attention sees on either side")
    layers: int = option(2, "layers of each stack of the transformer")
    heads: int = option(4, "heads of the transformer")
    attend: str = option("dense", f"attention of the transformer; {HELP}", choices=CHOICES)
    batch_size: int = option(16, "sentences in a training step")
    steps: int = option(4200, "training steps", least=0)
    learning_rate: float = option(5e-3, "peak of Adam's rate, which falls by a cosine", above=0)
    warmup: float = option(0.1, "share of the steps in which the rate rises", least=0, most=1)
    dropout: float = option(
        0.2, "share of embeddings, encoder outputs and decoder states dropped", least=0, below=1
    )
    label_smoothing: float = option(
        0.1, "share of a label's probability given to all pieces", least=0, below=1
    )
    beam_size: int = option(1, "hypotheses that the search keeps")
    buckets: int = option(3, "lengths that batches are padded to, each compiled once")
    seed: int = option(0, "seed of everything that is drawn", least=0)
