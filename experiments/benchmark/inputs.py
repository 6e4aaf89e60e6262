"""The inputs of a row, the same for every library, and the part of a result that is checked."""

from typing import Any

import numpy as np

import jattn
from experiments.benchmark.rows import Row

WORDS, PHONES = 27, 71  # Letters, and phones with stop and start, of the main job.
Arrays = dict[str, Any]


def draw(row: Row) -> Arrays:
    """Draws arrays by name, float32 if they are differentiated."""
    rng = np.random.default_rng(sum(row.shape))
    return DRAWN[row.kind](row, rng, lambda *shape: rng.standard_normal(shape, np.float32))


def attention(row: Row, rng, normal) -> Arrays:
    batch, queries, heads, size = row.shape
    keys, key_heads = row.keys or queries, row.key_value_heads or heads
    made: Arrays = {
        "query": normal(batch, queries, heads, size),
        "key": normal(batch, keys, key_heads, size),
        "value": normal(batch, keys, key_heads, size),
        "cotangent": normal(batch, queries, heads, size),
    }
    if row.biased:
        made["bias"] = normal(1, heads, queries, keys)
    if row.padded:
        made["lengths"] = rng.integers(queries // 4, queries, batch, endpoint=True, dtype=np.int32)
        made["cotangent"] *= valid(made["lengths"], queries)[..., None, None]
    if row.documents:
        starts = rng.choice(np.arange(1, queries), row.documents - 1, replace=False)
        made["documents"] = np.searchsorted(np.sort(starts), np.arange(queries), "right")
        made["documents"] = made["documents"].astype(np.int32)
    return made


def additive(row: Row, rng, normal) -> Arrays:
    batch, queries, keys, size, units = row.shape
    return {
        "params": jattn.AdditiveParams(
            normal(units, size) * size**-0.5,
            normal(units, size) * size**-0.5,
            normal(units) * units**-0.5,
        ),
        "query": normal(batch, queries, size),
        "key": normal(batch, keys, size),
        "value": normal(batch, keys, size),
        "cotangent": normal(batch, queries, size),
    }


def gru_params(normal, inputs: int, units: int) -> jattn.GRUParams:
    """Draws weights; the hidden bias is zero, since not every library has one."""
    shapes = ((3, units, inputs), inputs), ((3, units, units), units), ((3, units), 1)
    drawn = [normal(*shape) * fan_in**-0.5 for shape, fan_in in shapes]
    return jattn.GRUParams._make([*drawn, np.zeros((3, units), np.float32)])


def gru(row: Row, rng, normal) -> Arrays:
    batch, steps, inputs, units = row.shape
    return {
        "params": (gru_params(normal, inputs, units),),
        "inputs": normal(batch, steps, inputs),
        "initial": normal(batch, units),
        "cotangent": normal(batch, steps, units),
    }


def bidirectional(row: Row, rng, normal) -> Arrays:
    batch, steps, inputs, units = row.shape
    lengths = rng.integers(steps // 4, steps, batch, endpoint=True, dtype=np.int32)
    return {
        "params": (gru_params(normal, inputs, units), gru_params(normal, inputs, units)),
        "inputs": normal(batch, steps, inputs),
        "lengths": lengths,
        "cotangent": normal(batch, steps, 2 * units) * valid(lengths, steps)[..., None],
    }


def training(row: Row, rng, normal) -> Arrays:
    """Draws params in the form of `jattn.EncoderParams` and `jattn.LuongDecoderParams`."""
    batch, letters, phones, embedded, units, score_units = row.shape
    linear = lambda outputs, inputs: jattn.LinearParams(
        normal(outputs, inputs) * inputs**-0.5, normal(outputs)
    )
    encoder = jattn.EncoderParams(
        jattn.EmbeddingParams(normal(WORDS, embedded)),
        (
            jattn.BidirectionalGRUParams(
                gru_params(normal, embedded, units), gru_params(normal, embedded, units)
            ),
        ),
    )
    fed = embedded + (units if row.input_feeding else 0)
    decoder = jattn.LuongDecoderParams(
        jattn.EmbeddingParams(normal(PHONES, embedded)),
        linear(units, 2 * units),
        gru_params(normal, fed, units),
        linear(units, 3 * units),
        linear(PHONES, units),
        jattn.AdditiveParams(
            normal(score_units, units) * units**-0.5,
            normal(score_units, 2 * units) * (2 * units) ** -0.5,
            normal(score_units) * score_units**-0.5,
            normal(score_units),
        ),
    )
    integers = lambda low, high, shape: rng.integers(low, high, shape, dtype=np.int32)
    return {
        "params": (encoder, decoder),
        "letters": integers(0, WORDS, (batch, letters)),
        "letters_length": integers(letters // 3, letters + 1, batch),
        "before": integers(1, PHONES, (batch, phones)),
        "labels": integers(0, PHONES, (batch, phones)),
        "labels_length": integers(phones // 3, phones + 1, batch),
    }


def product(row: Row, rng, normal) -> Arrays:
    rows, inner, columns = row.shape
    return {"left": normal(rows, inner), "right": normal(inner, columns)}


DRAWN = {
    "attention": attention,
    "additive": additive,
    "gru": gru,
    "bidirectional": bidirectional,
    "training": training,
    "product": product,
}


def valid(lengths: np.ndarray, steps: int) -> np.ndarray:
    return np.arange(steps) < lengths[:, None]
