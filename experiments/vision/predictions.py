"""Predictions of a model, in batches of one shape, so that each program is compiled once."""

from typing import Any

import jax
import numpy as np

from experiments.handwritten_digits import Images
from experiments.vision.config import Config
from experiments.vision.model import FORMS, MODELS, Form

AT_ONCE = 250  # Images.


class Predictor:
    """The program that predicts digits with a model."""

    def __init__(self, data: str, model: str, config: Config):
        self.form: Form = FORMS[data]
        apply = MODELS[model].apply
        one = lambda params, image: apply(params, image, self.form, config)
        self._program = jax.jit(jax.vmap(one, (None, 0)))

    def __call__(self, params: Any, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Returns the scores of digits [n c], and the weights of patches [n g p] or None."""
        at_once = min(AT_ONCE, len(pixels))
        logits, weights = [], []
        for start in range(0, len(pixels), at_once):
            batch = pixels[start : start + at_once]
            filler = np.zeros_like(pixels[: at_once - len(batch)])
            part = jax.device_get(self._program(params, np.concatenate([batch, filler])))
            logits.append(part.logits[: len(batch)])
            if part.weights is not None:
                weights.append(part.weights[: len(batch)])
        return np.concatenate(logits), np.concatenate(weights) if weights else None

    def accuracy(self, params: Any, images: Images) -> float:
        """Returns the share of images whose digit has the highest score."""
        return float((self(params, images.pixels)[0].argmax(1) == images.digits).mean())
