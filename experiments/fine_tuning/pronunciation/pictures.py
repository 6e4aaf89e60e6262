"""Pictures of the added attention."""

from pathlib import Path

import jax

from experiments.both_themes import finish
from experiments.fine_tuning.pronunciation import train, words
from experiments.fine_tuning.pronunciation.config import Config
from experiments.fine_tuning.pronunciation.pretrained import phones_of
from experiments.weights import load_config
from jattn import plots, training

DRAWN = ("jattn", "hieroglyph", "knockoff", "champagne", "psychologist", "axiomatic")
END = "·"  # Of the letters and of the phones.


def draw(run: Path, picture: Path) -> str:
    """Draws the attention of a few words with the weights of a run; returns a line about it."""
    path = run / "weights.safetensors"
    config, _ = load_config(path, Config)
    like = jax.eval_shape(lambda: train.start(config))
    params = training.load_checkpoint(path, like=like).tree
    maps = [
        (said.weights, [*phones_of(said.tokens), END][: len(said.weights)], [*word, END], word)
        for word, said in zip(DRAWN, words.pronounce(params, DRAWN), strict=True)
    ]
    try:
        figure = plots.attention_grid(maps)
        finish(figure)
        plots.save(figure, picture)
    except ImportError as error:
        return f"no {picture.name}: {error}"
    return f"wrote {picture}"
