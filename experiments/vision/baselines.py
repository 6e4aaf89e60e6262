"""Classifiers without learned features, on the same images.

`python -m experiments.vision.baselines` measures those of scikit-learn, which it needs.
"""

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from typing import Any

from experiments import command
from experiments.handwritten_digits import Halves, read_digits, read_mnist

PACKAGE = "scikit-learn==1.9.0"
# Shares of right answers that this command printed.
SCIKIT_LEARN = {
    "logistic regression": {"digits": 0.9344, "mnist": 0.8956},
    "support vectors, radial": {"digits": 0.9611, "mnist": 0.9468},
    "support vectors, radial, C = 10": {"digits": 0.9677, "mnist": 0.9522},
}


def nearest_neighbour(images: Halves) -> float:
    """Returns the share of test images whose nearest training image has the same digit."""
    known, asked = (part.pixels.reshape(len(part.pixels), -1) for part in images)
    distances = (known**2).sum(1)[None] - 2 * asked @ known.T
    return float((images.train.digits[distances.argmin(1)] == images.test.digits).mean())


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = command.Parser(prog="python -m experiments.vision.baselines", description=__doc__)
    parser.set_defaults(work=measure)
    return command.run(parser, arguments)


def measure(_options: argparse.Namespace) -> None:
    """Prints the share of right answers of each of `SCIKIT_LEARN` on both sets of images.

    Options are scikit-learn's defaults, except for C and for enough iterations to converge.

    Raises:
        ValueError: scikit-learn is not installed.
    """
    if importlib.util.find_spec("sklearn") is None:
        raise ValueError(f"this command needs scikit-learn: pip install {PACKAGE}")
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-not-found]
    from sklearn.svm import SVC  # type: ignore[import-not-found]

    classifiers: list[Any] = [LogisticRegression(max_iter=10_000), SVC(), SVC(C=10)]
    for data, halves in {"digits": read_digits(), "mnist": read_mnist()}.items():
        train, test = (part.pixels.reshape(len(part.pixels), -1) for part in halves)
        for name, classifier in zip(SCIKIT_LEARN, classifiers, strict=True):
            classifier.fit(train, halves.train.digits)
            print(f"{data}, {name}: {classifier.score(test, halves.test.digits):.4f}")


if __name__ == "__main__":
    sys.exit(main())
