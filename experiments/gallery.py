"""The gallery: the weights of each mechanism on the same three sentences and one image.

`python -m experiments.gallery` draws the pictures and writes docs/gallery.md, which shows them.
"""

import argparse
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

import jattn
from experiments import both_themes, command
from jattn.atomic import write_atomically
from jattn.catalog import MECHANISMS, CaseCall, Mechanism, case
from jattn.plots import save

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SENTENCES = (
    "the cat that saw the dog saw the cat",
    "Ἐν ἀρχῇ ἦν ὁ λόγος καὶ ὁ λόγος ἦν πρὸς τὸν θεόν",
    "row row row your boat gently down the stream",
)
IMAGE = np.array(
    [
        [mark == "#" for mark in line]
        for line in """\
........
.######.
......#.
.....#..
....#...
...#....
...#....
........""".splitlines()
    ],
    float,
)
PLACE = (3, 5)  # The query in the image, on the stroke.
FEATURES = 16
STRONGER = 4.0  # Than the parameters that tests draw: their weights are nearly even.
BLUE, RED = (0.12, 0.47, 0.85), (0.85, 0.25, 0.2)
# Their values have the width of the model, or several rows a step: the identity cannot be one.
OTHER_VALUES = {
    *("set_attention_block", "induced_set_attention", "pooling_by_attention"),
    "delta_product",
}
HEADINGS = {
    "normalizer": "Normalizers: the same scores, made weights",
    "score": "Scores",
    "local": "Windows that move",
    "alignment": "Memory between queries",
    "multi-head": "Heads, the mean of all",
    "set": "Sets",
    "two-sequence": "Two sequences, here the sentence with itself",
    "bias": "Biases by distance, of the first head, as weights of equal scores",
    "position": "Biases by content, as weights of equal scores",
    "linear": "Recurrences, as weights of the words before",
    "image": "Maps of an image",
}
PAGE = """\
# Gallery

The weights of each mechanism on the same three sentences and one image.
`python -m experiments.gallery` draws the pictures and writes this page.

- A word is a vector of {features} random numbers, the same wherever the word stands. Two places are
  alike only where they have the same word.
- Nothing is trained. Parameters are drawn at random. So a picture shows which words a mechanism
  *can* read: one or many, near or far, only earlier ones or all. It does not show which words a
  trained model reads.
- Rows are queries, the first word at the top. Columns are keys, the first word at the left. Queries
  and keys are the words of the same sentence.
- The fourth panel is the image: the weights of one query, the place in the grey square, over all
  places. The vector of a place holds the 3 x 3 pixels around it.
- Each panel has its own scale, from zero (no colour) to its largest weight (full colour). Weights
  below zero are red.
- Where a mechanism returns no weights, they are measured: the values are the identity matrix, so
  the output of a query is the weight of each word.

The sentences:

{sentences}

![The vectors of the words, compared, and the image](pictures/gallery-words.png)

{sections}"""


class Maps(NamedTuple):
    """The weights of a mechanism in each sentence, and at the places of the image."""

    name: str
    panels: tuple[np.ndarray, ...]


def vectors(names: Sequence[str]) -> np.ndarray:
    """Returns a vector for each name, drawn from a normal by the name alone."""
    draw = lambda name: np.random.default_rng(zlib.crc32(name.encode())).standard_normal(FEATURES)
    return np.stack([draw(name) for name in names])


def patches() -> np.ndarray:
    """Returns a vector for each place of the image: its 3 x 3 pixels, in random directions."""
    padded = np.pad(IMAGE, 1)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3)).reshape(-1, 9)
    return windows @ np.random.default_rng(0).standard_normal((9, FEATURES)) / 1.5


def called(row: Mechanism, given: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> Any:
    """Calls a row with `given`, and with what the tests draw for the other arguments."""
    options = {name: option for name, option in row.cases[0].options.items() if name != "mask"}
    call = CaseCall(row, case(sizes, **options))
    inputs = list(call.inputs())
    for index, name in enumerate(call.input_names):
        if name == "params":
            inputs[index] = jax.tree.map(lambda array: STRONGER * array, inputs[index])
        elif name in given and np.shape(inputs[index]) == given[name].shape:
            inputs[index] = given[name]
    return jax.device_get(call.function(*inputs))


def weights_of(row: Mechanism, words: np.ndarray) -> np.ndarray | None:
    """Returns the weights [t s] of the row, None where it has none for pairs of words."""
    count = len(words)
    scores = words @ words.T / np.sqrt(FEATURES)
    if row.family == "linear":  # Its users normalize keys.
        words = words / np.linalg.norm(words, axis=-1, keepdims=True).clip(1e-6)
    given = {"query": words, "key": words, "value": np.eye(count)}
    given |= {"scores": scores, "log_likelihoods": scores}
    sizes = dict.fromkeys("kqd", FEATURES) | dict.fromkeys("tsv", count)
    result = called(row, given, sizes)
    if row.family in ("bias", "position"):
        if np.shape(result)[-2:] != (count, count):
            return None
        result = np.asarray(jattn.softmax(result.reshape(-1, count, count)[0]))
    for name in ("weights", "context", "outputs"):
        array = result if isinstance(result, np.ndarray) else getattr(result, name, None)
        if array is not None and array.shape[-2:] == (count, count):
            return array.reshape(-1, count, count).mean(0)
    return None


def map_of(row: Mechanism) -> np.ndarray | None:
    """Returns the map [y x] of a mechanism of images, None where it has none."""
    height, width = IMAGE.shape
    features = patches().reshape(height, width, FEATURES)
    query = np.array([[(PLACE[0] + 0.5) / height, (PLACE[1] + 0.5) / width]])
    given = {"features": features, "signal": features, "query": features[PLACE][None]}
    sizes = {"y": height, "x": width, "c": FEATURES, "d": FEATURES, "q": FEATURES, "t": 1}
    result = called(row, given | {"points": query}, sizes)
    if row.name == "deformable_attention":
        found = np.zeros((height + 2, width + 2))  # With a border for what lies outside.
        y, x = np.round(result.places).reshape(-1, 2).clip(-1, (height, width)).astype(int).T + 1
        np.add.at(found, (y, x), result.weights.reshape(-1))
        return found[1:-1, 1:-1]
    if hasattr(result, "weights"):
        return result.weights[PLACE[0] * width + PLACE[1]].reshape(height, width)
    return getattr(result, "places", None)


def maps_of(row: Mechanism) -> Maps | None:
    """Returns the maps of a row, None where it has none."""
    if row.family == "image":
        over_image = map_of(row)
        return None if over_image is None else Maps(row.name, (over_image,))
    panels = [weights_of(row, vectors(text.split())) for text in SENTENCES]
    if any(panel is None for panel in panels):
        return None
    over_image = weights_of(row, patches())
    assert over_image is not None
    query = PLACE[0] * IMAGE.shape[1] + PLACE[1]
    panels.append(over_image[query].reshape(IMAGE.shape))
    return Maps(row.name, tuple(panel for panel in panels if panel is not None))


def drawn_families() -> Iterator[tuple[str, list[Maps]]]:
    """Yields each family with the maps of its mechanisms."""
    for family in HEADINGS:
        rows = [row for row in MECHANISMS if row.family == family and row.name not in OTHER_VALUES]
        yield family, [maps for maps in map(maps_of, rows) if maps is not None]


def draw_panel(ax: Any, weights: np.ndarray, marked: tuple[int, int] | None = None) -> None:
    """Draws weights from no colour at zero to blue; red where they are negative."""
    shades = np.where((weights < 0)[..., None], RED, BLUE)
    opacity = np.abs(weights) / max(np.abs(weights).max(), 1e-9)
    ax.imshow(np.concatenate([shades, opacity[..., None]], -1), interpolation="nearest")
    ax.set_xticks([])
    ax.set_yticks([])
    if marked is not None:
        ax.plot(marked[1], marked[0], "s", ms=7, mec=both_themes.GREY, mfc="none", mew=1.5)


def picture(mechanisms: Sequence[Maps]) -> "Figure":
    """Draws the mechanisms of a family, three in a row, each with its panels side by side."""
    from matplotlib.figure import Figure

    panels = len(mechanisms[0].panels)
    across = min(2 if panels > 1 else 4, len(mechanisms))
    down = -(-len(mechanisms) // across)
    figure = Figure(figsize=(across * (1.05 * panels + 0.35), 1.45 * down))
    parts = np.ravel(figure.subfigures(down, across, squeeze=False))
    for part, maps in zip(parts, mechanisms, strict=False):
        part.suptitle(maps.name, fontsize=9, y=0.99, color=both_themes.GREY)
        axes = np.ravel(part.subplots(1, panels, squeeze=False))
        part.subplots_adjust(left=0.02, right=0.98, bottom=0.02, top=0.82, wspace=0.06)
        for ax, weights in zip(axes, maps.panels, strict=True):
            draw_panel(ax, weights, PLACE if ax is axes[-1] else None)
    for part in parts[len(mechanisms) :]:
        part.set_visible(False)
    both_themes.finish(figure)
    return figure


def words_picture() -> "Figure":
    """Draws the scaled products of the vectors of words, and the image."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.3), layout="constrained")
    axes = figure.subplots(1, len(SENTENCES) + 1)
    for ax, sentence in zip(axes, SENTENCES, strict=False):
        words = sentence.split()
        draw_panel(ax, vectors(words) @ vectors(words).T)
        ax.set_xticks(range(len(words)), words, rotation=90, fontsize=8)
        ax.set_yticks(range(len(words)), words, fontsize=8)
    draw_panel(axes[-1], IMAGE, PLACE)
    both_themes.finish(figure)
    return figure


def section(family: str, mechanisms: Sequence[Maps]) -> str:
    """Returns the part of the page about a family."""
    names = ", ".join(f"`{maps.name}`" for maps in mechanisms)
    file = f"pictures/gallery-{family}.png"
    return f"## {HEADINGS[family]}\n\n{names}\n\n![Weights of each]({file})\n"


def main(typed: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = command.Parser(prog="python -m experiments.gallery", description=__doc__)
    parser.set_defaults(work=write)
    parser.add_out(Path("docs"))
    return command.run(parser, typed)


def write(options: argparse.Namespace) -> None:
    command.make_folder(options.out / "pictures")
    save(words_picture(), options.out / "pictures/gallery-words.png")
    sections = []
    for family, mechanisms in drawn_families():
        save(picture(mechanisms), options.out / f"pictures/gallery-{family}.png")
        sections.append(section(family, mechanisms))
        print(f"{family}: {len(mechanisms)} mechanisms", flush=True)
    sentences = "\n".join(f"- {sentence}" for sentence in SENTENCES)
    page = PAGE.format(features=FEATURES, sentences=sentences, sections="\n".join(sections))
    write_atomically(options.out / "gallery.md", page.encode())
    print(f"wrote {options.out / 'gallery.md'}")


if __name__ == "__main__":
    sys.exit(main())
