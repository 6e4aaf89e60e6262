"""What the added attention looks at."""

from pathlib import Path

import jax

from experiments.fine_tuning.pronunciation import train, words
from experiments.fine_tuning.pronunciation.config import Config
from experiments.fine_tuning.pronunciation.pretrained import phones_of
from jattn import plots, training

DRAWN = ("jattn", "hieroglyph", "knockoff", "champagne", "psychologist", "axiomatic")
END = "·"  # Of the letters and of the phones.


def draw(run: Path, picture: Path) -> str:
    """Draws a few words' attention with the weights that a run left; says what it wrote."""
    path = run / "weights.safetensors"
    config = Config(**training.load_checkpoint(path).metadata)
    like = jax.eval_shape(lambda: train.start(config))
    params = training.load_checkpoint(path, like=like).tree
    maps = [
        (one.weights, [*phones_of(one.tokens), END][: len(one.weights)], [*word, END], word)
        for word, one in zip(DRAWN, words.pronounce(params, DRAWN), strict=True)
    ]
    try:
        plots.save(plots.attention_grid(maps), picture)
    except ImportError as error:
        return f"no {picture.name}: {error}"
    return f"wrote {picture}"
