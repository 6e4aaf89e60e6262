"""Pictures of a finished run: what it attended to beside the human links, and how it learned."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from experiments.new_testament import Verse
from experiments.translation import data, evaluation
from experiments.translation.train import Trained
from jattn import plots

# Of John: short, and about nothing but who went where.
SAMPLES = ("43001035", "43002012", "43018018", "43021008")


def draw(trained: Trained, out: Path) -> Iterator[str]:
    """Draws the samples' attention with the human links, and the learning curve."""
    params, learned, config, parts, _ = trained
    verses = [v for v in parts.test if v.name in SAMPLES] or parts.test[: len(SAMPLES)]
    found = evaluation.forced(params, data.encode(verses, learned), config).weights
    maps = [(w, v.english, v.greek, reference(v)) for w, v in zip(found, verses, strict=True)]
    links = [sorted((english, greek) for greek, english in verse.links) for verse in verses]
    pictures: dict[str, Callable[[], Any]] = {}
    if (out / "log.jsonl").stat().st_size:  # A run of no steps has no curve.
        pictures["learning_curve.png"] = lambda: plots.learning_curve(out / "log.jsonl")
    if config.attention != "none":
        pictures["attention.png"] = lambda: plots.attention_grid(maps, links=links, columns=2)
    for name, picture in pictures.items():
        try:
            plots.save(picture(), out / name, dots_per_inch=80)
            yield f"wrote {out / name}"
        except ImportError as error:
            yield f"no {name}: {error}"


def reference(verse: Verse) -> str:
    """Chapter and verse."""
    return f"{int(verse.name[2:5])}:{int(verse.name[5:])}"
