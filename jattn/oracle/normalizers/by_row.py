"""Normalizers one row at a time: masked scores are left out, never set to -inf."""

import inspect
from typing import Any

import numpy as np


def by_row(row_map) -> Any:
    """Returns the normalizer that applies `row_map` to the kept scores of each row.

    `row_map(scores, **options)` returns (weights, pullback) of one row.
    """

    def normalizer(scores, mask=None, **options):
        weights = np.zeros_like(scores)
        rows = []
        for row in range(len(scores)):
            kept = np.flatnonzero(mask[row]) if mask is not None else np.arange(scores.shape[1])
            pullback_of_row = None
            if kept.size:
                weights[row, kept], pullback_of_row = row_map(scores[row, kept], **options)
            rows.append((kept, pullback_of_row))

        def pullback(d_weights):
            d_scores = np.zeros(scores.shape, np.result_type(scores, d_weights))
            for row, (kept, pullback_of_row) in enumerate(rows):
                if kept.size:
                    d_scores[row, kept] = pullback_of_row(d_weights[row, kept])
            return (d_scores,)

        return weights, pullback

    normalizer.__name__, normalizer.__doc__ = row_map.__name__, row_map.__doc__
    normalizer.row_map = row_map
    arguments = list(inspect.signature(normalizer).parameters.values())[:2]
    options = list(inspect.signature(row_map).parameters.values())[1:]
    normalizer.__signature__ = inspect.Signature([*arguments, *options])
    return normalizer
