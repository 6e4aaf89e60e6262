"""A page for a browser with every head of every layer."""

import base64
import html
import importlib.resources
import json
import os
import re
from typing import Any

import numpy as np

from jattn.plots.labelled import Labels, Links, labelled, printable, weights_of

STEPS = 65535  # Weights are stored as whole steps from 0 to the largest weight, or to 1.


def explorer(
    weights: Any,
    queries: Labels = None,
    keys: Labels = None,
    *,
    title: str = "Attention",
    links: Links = None,
    path: str | os.PathLike | None = None,
) -> str:
    """Returns a page of HTML with all heads, shown cell by cell and token by token.

    The page needs no network and no other file. Its weights are rounded to steps of 1/65535, an
    error of less than 0.001 %, and take 2.7 bytes each: 0.8 MB for 6 layers of 12 heads of
    64 queries and 64 keys.

    Args:
        weights: [t s], [heads t s] or [layers heads t s], of t queries to s keys.
        queries: a label for each query, or a string, one letter a query; by default numbers.
        keys: the same for keys.
        title: title and heading of the page.
        links: pairs (query, key) that are outlined, such as an alignment made by hand.
        path: a file to write the page to as well, whole or not at all.

    Raises:
        ValueError: if weights has another shape, a weight is negative or not finite, the number of
            labels differs from that of queries or keys, or a link is outside.
        OSError: naming `path`; an existing file is left as it was.
    """
    weights = weights_of("explorer", weights)
    if weights.ndim not in (2, 3, 4) or weights.size == 0:
        expected = "(t, s), (heads, t, s) or (layers, heads, t, s), none of them 0"
        raise ValueError(f"explorer: weights has shape {weights.shape}, expected {expected}")
    weights = weights.reshape((1,) * (4 - weights.ndim) + weights.shape)
    _, queries, keys, pairs = labelled("explorer", weights[0, 0], queries, keys, links)
    largest = max(1.0, float(weights.max()))
    steps = np.rint(weights * (STEPS / largest)).astype("<u2")
    data = {
        "shape": weights.shape,
        "largest": largest,
        "queries": queries or [str(i) for i in range(weights.shape[2])],
        "keys": keys or [str(i) for i in range(weights.shape[3])],
        "links": pairs.tolist(),
        "weights": base64.b64encode(steps.tobytes()).decode(),
    }
    # A label may contain "</script>": without "<", nothing in the data can end its element.
    values = {
        "title": html.escape(printable(str(title), keep="\n\t")),
        "data": json.dumps(data).replace("<", "\\u003c"),
    }
    page = re.sub(r"\{\{(title|data)\}\}", lambda name: values[name[1]], _template())
    if path is not None:
        from jattn.atomic import write_atomically

        write_atomically(path, page.encode())
    return page


def _template() -> str:
    return importlib.resources.files("jattn.plots").joinpath("explorer.html").read_text("utf-8")
