"""Pictures of a finished run: attention, with any human links, and the learning curve."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from experiments.both_themes import finish
from experiments.sentence_pairs import Pair
from experiments.translation import data, evaluation
from experiments.translation.config import Config
from experiments.translation.corpora import CORPORA
from experiments.translation.train import Trained
from jattn import plots

SAMPLES = 4  # Drawn where the corpus names none.


def draw(trained: Trained, out: Path) -> Iterator[str]:
    """Draws the samples' attention with human links, and the learning curve; yields what it did."""
    params, learned, config, parts, _ = trained
    pairs = shown(parts.test, config)
    weights = evaluation.forced(params, data.encode(pairs, learned), config).weights
    reference = CORPORA[config.corpus].reference
    maps = [
        (rows, pair.target.words, pair.source.words, reference(pair))
        for rows, pair in zip(weights, pairs, strict=True)
    ]
    links = [sorted((target, source) for source, target in pair.links) for pair in pairs]
    pictures: dict[str, Callable[[], Any]] = {}
    if (out / "log.jsonl").stat().st_size:  # A run of no steps has no curve.
        pictures["learning_curve.png"] = lambda: plots.learning_curve(out / "log.jsonl")
    if config.attention != "none":
        pictures["attention.png"] = lambda: plots.attention_grid(maps, links=links, columns=2)
    for name, picture in pictures.items():
        try:
            figure = picture()
            finish(figure)
            plots.save(figure, out / name, dots_per_inch=80)
            yield f"wrote {out / name}"
        except ImportError as error:
            yield f"no {name}: {error}"


def shown(pairs: Sequence[Pair], config: Config) -> list[Pair]:
    """Returns the samples that the corpus names, or short ones."""
    samples = CORPORA[config.corpus].samples
    named = [pair for pair in pairs if pair.name in samples]
    short = [pair for pair in pairs if 8 <= len(pair.target.words) <= 12]
    return named or [*short, *pairs][:SAMPLES]
