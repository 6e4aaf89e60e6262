"""The deletion test: how accurate a model is when patches are replaced by the background.

Samek et al. (2017), Evaluating the Visualization of What a Deep Neural Network Has Learned,
arXiv:1509.06321, remove regions in the order of a map and compare with random orders. Here the
maps are a model's own weights.
"""

from typing import Any

import numpy as np

from experiments.handwritten_digits import Images
from experiments.vision.predictions import Predictor

SHARES = (0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875)  # Of the patches, for the curve.
QUARTER = 0.25
DRAWS = 4  # Random orders.
ORDERS = ("most", "least", "random", "ink")


def measure(predictor: Predictor, params: Any, images: Images, seed: int) -> dict[str, Any] | None:
    """Returns accuracies without some patches; None for a model without weights of patches.

    `whole` is the accuracy with all patches. For each order of removal, `area` has the accuracies
    when a share of all patches is removed, for each of SHARES, and `inked` the accuracies when a
    share of the patches with ink is removed. The orders are the most attended first, the least
    attended first, random, and the most ink first.
    """
    logits, weights = predictor(params, images.pixels)
    if weights is None:
        return None
    rng = np.random.default_rng(seed)
    ink = ink_of(images.pixels, predictor.form.grid)
    attended = weights.mean(1)
    shape = (DRAWS, *attended.shape)
    marks = {"most": [attended], "least": [-attended], "random": rng.random(shape), "ink": [ink]}
    right = lambda pixels: float((predictor(params, pixels)[0].argmax(1) == images.digits).mean())

    def curve(candidates: np.ndarray) -> dict[str, list[float]]:
        left = lambda mark, share: right(remove(images.pixels, mark, candidates, share))
        mean = lambda order, share: float(np.mean([left(mark, share) for mark in marks[order]]))
        return {order: [mean(order, share) for share in SHARES] for order in ORDERS}

    return {
        "images": len(images.digits),
        "whole": float((logits.argmax(1) == images.digits).mean()),
        "shares": SHARES,
        "area": curve(np.ones_like(ink, bool)),
        "inked": curve(ink > 0),
        "weight_on_ink": _share_of_weight(attended, ink > 0),
        "inked_patches": float((ink > 0).mean()),
    }


def remove(
    pixels: np.ndarray, marks: np.ndarray, candidates: np.ndarray, share: float
) -> np.ndarray:
    """Returns images [n side side] without a share of their candidate patches [n p].

    Those with the highest marks [n p] become background. The number is rounded, half up.
    """
    marks = np.where(candidates, marks, -np.inf)
    ranks = (-marks).argsort(axis=1, kind="stable").argsort(axis=1)
    counts = np.floor(share * candidates.sum(1, keepdims=True) + 0.5)
    grid = round(marks.shape[1] ** 0.5)
    kept = (ranks >= counts).reshape(-1, grid, grid)
    side = pixels.shape[-1] // grid
    return pixels * kept.repeat(side, 1).repeat(side, 2).astype(pixels.dtype)


def ink_of(pixels: np.ndarray, grid: int) -> np.ndarray:
    """Returns the mean of the pixels of each patch, [n p]."""
    side = pixels.shape[-1] // grid
    return pixels.reshape(-1, grid, side, grid, side).mean((2, 4)).reshape(len(pixels), -1)


def costs(removal: dict[str, Any], kind: str, share: float = QUARTER) -> dict[str, float]:
    """Returns the accuracy that each order of removal costs at a share.

    Args:
        kind: `area`, of all patches, or `inked`, of those with ink.
    """
    at = list(removal["shares"]).index(share)
    return {order: removal["whole"] - removal[kind][order][at] for order in removal[kind]}


def _share_of_weight(weights: np.ndarray, chosen: np.ndarray) -> float:
    return float(((weights * chosen).sum(1) / weights.sum(1)).mean())
