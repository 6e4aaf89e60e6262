"""What a run is made of, and its presets."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Config:
    """Model, data and optimisation; every field is an option of the command.

    attention: what the decoder reads the encoder's states with: "additive" before its step, as
        Bahdanau et al. do, the others after it, as Luong et al. do; or "none"; or "transformer",
        which is another model.
    input_feeding: 1 tells a decoder after Luong et al. what its last step attended to.
    corpus: "bible", Greek to English with links that people drew; or "help-de", LibreOffice's help,
        English to German without links.
    books: of the Bible to train on, "gospels", "epistles" or "all", in each case without John and
        Hebrews; or "whole", with them, as programs that only align words are trained. It cannot be
        guided.
    guided: weight of the cross entropy between human links and attention; 0 leaves it alone.
    aligned: whose attention is a piece's own: that of the step that "predicts" it and does not know
        it yet, or that of the step that "reads" it, the next one.
    source_pieces, target_pieces: subwords of each language.
    longest: sentences with more pieces than this on either side are not trained on.
    embedding_size, units, decoder_units, score_units: sizes; `units` in each direction.
    half_width: pieces that local attention sees on either side of its centre.
    layers, heads: of the transformer alone, whose width is decoder_units.
    batch_size, steps, learning_rate, warmup: of Adam with a cosine schedule; `warmup` is the part
        of the steps in which the rate rises.
    dropout: share of embeddings, encoder outputs and decoder states that is dropped.
    label_smoothing: share of a target's probability given to all other pieces.
    beam_size: beginnings kept when tested sentences are translated.
    buckets: shapes that batches are padded to, each compiled once.
    seed: of everything that is drawn.
    """

    attention: str = "additive"
    input_feeding: int = 0
    corpus: str = "bible"
    books: str = "all"
    guided: float = 0.0
    aligned: str = "predicts"
    source_pieces: int = 4000
    target_pieces: int = 1500
    longest: int = 70
    embedding_size: int = 128
    units: int = 64
    decoder_units: int = 128
    score_units: int = 64
    half_width: int = 10
    layers: int = 2
    heads: int = 4
    batch_size: int = 16
    steps: int = 4200
    learning_rate: float = 5e-3
    warmup: float = 0.1
    dropout: float = 0.2
    label_smoothing: float = 0.1
    beam_size: int = 1
    buckets: int = 3
    seed: int = 0
