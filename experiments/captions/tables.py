"""The tables of a run."""

from collections.abc import Iterator, Mapping
from typing import Any

from experiments.captions.encoder import GRID
from experiments.contrastive import FOUND
from experiments.results import Table


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def pointing_table(figures: Mapping[str, Any]) -> Iterator[Table]:
    """Yields the table of captions and of attention, if there are models that caption."""
    rows = []
    for name, model in figures["models"].items():
        if name == "retrieval":
            continue
        for test, languages in model["tests"].items():
            for language, found in languages.items():
                error = f"± {100 * found['standard_error']:.1f}"
                by_count = " / ".join(f"{100 * x:.0f}" for x in found["exact_by_count"].values())
                rows.append((
                    f"{name}, {language}, {test}",
                    f"{percent(found['exact'])} {error}",
                    by_count,
                    percent(found["pointed"]),
                    percent(found["mass"]),
                ))  # fmt: skip
    if rows:
        chance = percent(4 / GRID**2)
        yield Table(
            "Captions right word for word, and the attention behind words that name a digit",
            ("", "exact", "by digits", "largest weight on it", "mass on it"),
            rows,
            (
                "By digits: captions of 1 to 5 digits, or of 2 to 5 in the held-out test, in %.",
                f"A digit's box is {chance} of the places: the chance of pointing at it.",
            ),
        )


def retrieval_table(figures: Mapping[str, Any]) -> Iterator[Table]:
    """Yields the table of canvases found by captions, if that was trained."""
    rows = []
    for test, languages in figures["models"].get("retrieval", {"tests": {}})["tests"].items():
        for language, found in languages.items():
            recalls = [percent(share) for share in found["recall"].values()]
            rows.append((f"{language}, {test}", str(found["canvases"]), *recalls))
    if rows:
        least = min(int(row[1]) for row in rows)
        chances = [percent(most / least) for most in FOUND]
        yield Table(
            "Captions whose canvas is among the first found, by co-attention",
            ("", "canvases", *(f"at {most}" for most in FOUND)),
            [*rows, (f"chance among {least}", str(least), *chances)],
        )
