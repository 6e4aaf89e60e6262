"""Canvases of one to five real digits at drawn places, and which of them are held out."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from experiments.captions.grammar import Rows, layouts
from experiments.distortions import distort
from experiments.handwritten_digits import Halves, Images, read_digits

SIDE, DIGIT = 32, 8  # Pixels.
APART_DOWN, APART_ACROSS, UNEVEN = 10, 9, 1  # Of rows, of digits in a row; and off its row.
LEFT_OUT = 70  # At the inner end of each half: more rows than a half may have of one writer.
HELD_OUT_LAYOUTS = ((3, 2), (2, 1, 2))
# No canvas to train on holds two digits with this difference. Other pairs tell their order: 2 is
# less than 3, which is less than 7. Of a pair of neighbours nothing else would tell it.
HELD_OUT_DIFFERENCE = 5
COUNTS = (1, 2, 3, 4, 5)
SHARES = np.array([1, 3, 2, 2, 3]) / 11  # Of canvases to train on, by the number of digits.
VARIANTS, STRENGTH = 96, 1.5  # Distorted copies of a digit to train on.


class Canvases(NamedTuple):
    """Images [n y x] of bytes, the scene of each, and the corner of each digit [n d 2] as (y, x).

    Corners are in reading order, and -1 where there is no digit.
    """

    images: np.ndarray
    scenes: list[Rows]
    corners: np.ndarray


def read_writers() -> Halves:
    """Reads the two halves of scikit-learn's digits, without the writer in the middle.

    Raises:
        DataError: the digits cannot be had.
    """
    train, test = read_digits()
    kept = len(train.digits) - LEFT_OUT
    return Halves(
        Images(*(array[:kept] for array in train)), Images(*(array[LEFT_OUT:] for array in test))
    )


def has_held_out_pair(digits: Sequence[int]) -> bool:
    """Returns whether two of the digits have the difference that is held out."""
    return any(digit + HELD_OUT_DIFFERENCE in digits for digit in digits)


def draw_scene(rng: np.random.Generator, count: int, kind: str) -> Rows:
    """Draws a scene of `count` digits.

    Args:
        kind: seen, of a layout and of digits as in training; pairs, with a held-out pair in a
            layout of training; layouts, of a held-out layout without a held-out pair.
    """
    options = [each for each in layouts(count) if (each in HELD_OUT_LAYOUTS) == (kind == "layouts")]
    layout = options[rng.integers(len(options))]
    digits = [int(digit) for digit in rng.integers(0, 10, count)]
    while has_held_out_pair(digits) != (kind == "pairs"):
        digits = [int(digit) for digit in rng.integers(0, 10, count)]
    ends = np.cumsum(layout)
    return tuple(tuple(digits[end - size : end]) for end, size in zip(ends, layout, strict=True))


def draw_corners(rng: np.random.Generator, rows: Rows) -> np.ndarray:
    """Draws the corners of the digits of a scene, as (y, x) in reading order, without overlap."""
    tops = UNEVEN + spread(rng, len(rows), APART_DOWN, SIDE - DIGIT - 2 * UNEVEN)
    corners = [
        (top + rng.integers(-UNEVEN, UNEVEN + 1), left)
        for top, row in zip(tops, rows, strict=True)
        for left in spread(rng, len(row), APART_ACROSS, SIDE - DIGIT)
    ]
    return np.array(corners)


def spread(rng: np.random.Generator, count: int, apart: int, most: int) -> np.ndarray:
    """Draws increasing whole numbers from 0 to `most` that are at least `apart` from each other."""
    slack = most - apart * (count - 1)
    return np.sort(rng.integers(0, slack + 1, count)) + apart * np.arange(count)


def draw(rng: np.random.Generator, digits: Images, scenes: list[Rows]) -> Canvases:
    """Draws a canvas of each scene, each digit as one of `digits` that shows it."""
    of_digit = [np.flatnonzero(digits.digits == digit) for digit in range(10)]
    pixels = np.round(255 * digits.pixels).astype(np.uint8)
    images = np.zeros((len(scenes), SIDE, SIDE), np.uint8)
    most = max(max(COUNTS), *(sum(map(len, rows)) for rows in scenes))
    corners = np.full((len(scenes), most, 2), -1, np.int32)
    for image, places, rows in zip(images, corners, scenes, strict=True):
        drawn = draw_corners(rng, rows)
        places[: len(drawn)] = drawn
        for (y, x), digit in zip(drawn, (d for row in rows for d in row), strict=True):
            image[y : y + DIGIT, x : x + DIGIT] = pixels[
                of_digit[digit][rng.integers(len(of_digit[digit]))]
            ]
    return Canvases(images, scenes, corners)


def distorted(seed: int, digits: Images, variants: int) -> Images:
    """Returns each digit itself and `variants` copies that are moved, turned and bent."""
    images = np.repeat(digits.pixels, variants, axis=0)
    moved = jax.jit(distort)(jax.random.key(seed, impl="rbg"), images, STRENGTH)
    return Images(
        np.concatenate([digits.pixels, np.clip(moved, 0, 1)]),
        np.concatenate([digits.digits, np.repeat(digits.digits, variants)]),
    )


def to_train_on(seed: int, count: int, digits: Images) -> Canvases:
    """Draws canvases of `digits` to train on, of one to five."""
    rng = np.random.default_rng([seed, 0])
    drawn = rng.choice(COUNTS, count, p=SHARES)
    scenes = [draw_scene(rng, number, "seen") for number in drawn]
    return draw(rng, digits, scenes)


def to_test_on(seed: int, count: int, kind: str, digits: Images) -> Canvases:
    """Draws `count` canvases to test on, of equally many of each number of digits.

    Args:
        kind: seen, pairs or layouts as in `draw_scene`; or held-out: with a held-out pair, half of
            those of five in a held-out layout instead.
    """
    rng = np.random.default_rng([seed, 1])
    counts = {"seen": COUNTS, "layouts": (5,)}.get(kind, (2, 3, 4, 5))
    scenes = []
    for index in range(count):
        number, turn = counts[index % len(counts)], index // len(counts)
        of_layout = kind == "held-out" and number == 5 and turn % 2
        drawn = "layouts" if of_layout else "pairs" if kind == "held-out" else kind
        scenes.append(draw_scene(rng, number, drawn))
    return draw(rng, digits, scenes)
