"""What a run prints and draws: errors beside published ones, attention maps, the learning curve."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from experiments.pronunciation import model
from experiments.pronunciation.config import Config
from experiments.pronunciation.evaluation import pronounce
from experiments.pronunciation.train import load_weights
from jattn import plots

# No stem of these is in the training words of the default split, and the first is in no dictionary.
DRAWN = (
    "jattn", "forethought", "hieroglyph", "knockoff", "phlegm", "champagne",
    "conquer", "psychologist", "stretcher", "wrestler", "axiomatic", "synchronicity",
)  # fmt: skip


def comparison(attentive: dict[str, Any], without: dict[str, Any]) -> str:
    """How far the model with attention is below the same model without it."""
    gap = without["test"]["words"] - attentive["test"]["words"]
    error = (attentive["standard_error"] ** 2 + without["standard_error"] ** 2) ** 0.5
    return (
        f"without attention {without['test']['words']:.2%} of words and "
        f"{without['test']['phones']:.2%} of phones are wrong: "
        f"{gap:.2%} more words, {gap / error:.1f} standard errors of the difference"
    )


def draw(out: Path) -> Iterator[str]:
    """Draws a dozen words' attention and the learning curve; says what it wrote."""
    params, config, phones = load_weights(out)
    maps = [
        (one.weights, [*one.phones, "·"][: len(one.weights)], list(one.word), one.word)
        for one in pronounce(params, DRAWN, phones, config)
    ]
    drawn = {
        "attention.png": lambda: plots.attention_grid(maps),
        "learning_curve.png": lambda: plots.learning_curve(out / "log.jsonl"),
    }
    for name, picture in drawn.items():
        try:
            plots.save(picture(), out / name)
            yield f"wrote {out / name}"
        except ImportError as error:
            yield f"no {name}: {error}"


def said(
    params: model.Params, config: Config, phones: Sequence[str], words: Sequence[str]
) -> Iterator[str]:
    """Each word's phones, and the letters that each of them attended to, as text."""
    for one in pronounce(params, words, phones, config):
        yield f"{one.word}: {' '.join(one.phones)}"
        yield plots.attention_text(
            one.weights, [*one.phones, "·"][: len(one.weights)], list(one.word)
        )
