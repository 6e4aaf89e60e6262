"""Text and pictures of a run: the gain by attention, attention maps, the learning curve."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from experiments.both_themes import finish
from experiments.pronunciation import model
from experiments.pronunciation.config import Config
from experiments.pronunciation.evaluation import Pronounced, pronounce
from experiments.pronunciation.train import load_weights
from jattn import plots

# No stem of these is in the training words of the default split, and the first is in no dictionary.
DRAWN = (
    "jattn", "forethought", "hieroglyph", "knockoff", "phlegm", "champagne",
    "conquer", "psychologist", "stretcher", "wrestler", "axiomatic", "synchronicity",
)  # fmt: skip


def comparison(attentive: dict[str, Any], without: dict[str, Any]) -> str:
    """States how many more words are wrong without attention."""
    gap = without["test"]["words"] - attentive["test"]["words"]
    error = (attentive["standard_error"] ** 2 + without["standard_error"] ** 2) ** 0.5
    return (
        f"without attention {without['test']['words']:.2%} of words and "
        f"{without['test']['phones']:.2%} of phones are wrong: "
        f"{gap:.2%} more words, {gap / error:.1f} standard errors of the difference"
    )


def draw(out: Path) -> Iterator[str]:
    """Draws attention, of twelve words and of three, and the learning curve; yields a line each."""
    params, config, phones = load_weights(out)
    maps = [
        (word.weights, rows_of(word), list(word.word), word.word)
        for word in pronounce(params, DRAWN, phones, config)
    ]
    pictures: dict[str, Callable[[], Any]] = {
        "attention.png": lambda: plots.attention_grid(maps),
        "three_words.png": lambda: plots.attention_grid(maps[:3], columns=3),
    }
    if (out / "log.jsonl").stat().st_size:  # A run of no steps has no curve.
        pictures["learning_curve.png"] = lambda: plots.learning_curve(out / "log.jsonl")
    for name, picture in pictures.items():
        try:
            figure = picture()
            finish(figure)
            plots.save(figure, out / name)
            yield f"wrote {out / name}"
        except ImportError as error:
            yield f"no {name}: {error}"


def said(
    params: model.Params, config: Config, phones: Sequence[str], words: Sequence[str]
) -> Iterator[str]:
    """Yields the phones of each word, and the letters that each of them attended to, as text."""
    for word in pronounce(params, words, phones, config):
        yield f"{word.word}: {' '.join(word.phones)}"
        yield plots.attention_text(word.weights, rows_of(word), list(word.word))


def rows_of(word: Pronounced) -> list[str]:
    """Returns the names of the rows of attention: the phones, and the end if it was reached."""
    return [*word.phones, "·"][: len(word.weights)]
