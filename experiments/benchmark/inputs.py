"""The inputs of a row, the same for every library, and its mask as a Boolean array."""

from typing import Any

import jax
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


def params_of(normal, init, **sizes) -> Any:
    """Draws parameters in the form of those of `init`, by NumPy."""
    form = jax.eval_shape(lambda: init(jax.random.key(0), **sizes, dtype=np.float32))
    return jax.tree.map(lambda leaf: normal(*leaf.shape) * leaf.shape[-1] ** -0.5, form)


def additive(row: Row, rng, normal) -> Arrays:
    batch, queries, keys, size, units = row.shape
    sizes = {"query_size": size, "key_size": size, "units": units}
    return {
        "params": params_of(normal, jattn.init_additive, **sizes),
        "query": normal(batch, queries, size),
        "key": normal(batch, keys, size),
        "value": normal(batch, keys, size),
        "cotangent": normal(batch, queries, size),
    }


def gru_params(normal, inputs: int, units: int) -> jattn.GRUParams:
    """Draws weights; the hidden bias is zero, since not every library has one."""
    params = params_of(normal, jattn.init_gru, input_size=inputs, units=units)
    return params._replace(hidden_bias=np.zeros((3, units), np.float32))


def gru(row: Row, rng, normal) -> Arrays:
    """Draws a GRU with an initial state, or two of them and lengths."""
    batch, steps, inputs, units = row.shape
    made: Arrays = {"inputs": normal(batch, steps, inputs)}
    if not row.padded:
        made |= {"params": (gru_params(normal, inputs, units),), "initial": normal(batch, units)}
        return made | {"cotangent": normal(batch, steps, units)}
    made["params"] = (gru_params(normal, inputs, units), gru_params(normal, inputs, units))
    made["lengths"] = rng.integers(steps // 4, steps, batch, endpoint=True, dtype=np.int32)
    used = valid(made["lengths"], steps)[..., None]
    return made | {"cotangent": normal(batch, steps, 2 * units) * used}


def training(row: Row, rng, normal) -> Arrays:
    """Draws the parameters of the main job's model, and words as numbers."""
    batch, letters, phones, embedded, units, score_units = row.shape
    both = {"embedding_size": embedded, "units": units}

    def decoder(key, **options):
        sizes = {"query_size": units, "key_size": 2 * units, "units": score_units}
        read = jattn.init_additive(key, **sizes, bias=True, **options)
        return jattn.init_luong_decoder(
            key, words=PHONES, value_size=2 * units, summary_size=2 * units, attention=read,
            **both, **options,
        )  # fmt: skip

    encoder = params_of(normal, jattn.init_encoder, words=WORDS, bidirectional=True, **both)
    integers = lambda low, high, shape: rng.integers(low, high, shape, dtype=np.int32)
    return {
        "params": (encoder, params_of(normal, decoder)),
        "letters": integers(0, WORDS, (batch, letters)),
        "letters_length": integers(letters // 3, letters + 1, batch),
        "before": integers(1, PHONES, (batch, phones)),
        "labels": integers(0, PHONES, (batch, phones)),
        "labels_length": integers(phones // 3, phones + 1, batch),
    }


def transformer(row: Row, rng, normal) -> Arrays:
    """Draws the parameters of a stack of blocks, whose networks are four times as wide as it."""
    batch, steps, layers, heads, head_size = row.shape
    size = heads * head_size
    params = jattn.init_transformer_encoder(
        jax.random.key(0), layers=layers, size=size, heads=heads, hidden_size=4 * size,
        dtype=np.float32,
    )  # fmt: skip
    return {
        "params": jax.tree.map(np.asarray, params),
        "inputs": normal(batch, steps, size),
        "cotangent": normal(batch, steps, size),
    }


DRAWN = {
    "attention": attention,
    "additive": additive,
    "gru": gru,
    "bidirectional": gru,
    "training": training,
    "transformer": transformer,
}


def valid(lengths: np.ndarray, steps: int) -> np.ndarray:
    return np.arange(steps) < lengths[:, None]


def dense(row: Row, inputs: Arrays) -> np.ndarray | None:
    """Returns Bool `[1 or b, t, s]`, True where a query may attend to a key, or None for all."""
    queries, keys = row.shape[1], row.keys or row.shape[1]
    allowed = None
    if row.causal:
        allowed = np.tri(queries, keys, dtype=bool)[None]
    if row.window is not None:
        allowed = allowed & ~np.tri(queries, keys, -row.window - 1, dtype=bool)
    if row.padded:
        allowed = allowed & valid(inputs["lengths"], keys)[:, None]
    if row.documents:
        allowed = (inputs["documents"][:, None] == inputs["documents"])[None]
    return allowed


def operations(row: Row, inputs: Arrays) -> float:
    """Returns the multiplications and additions of a row's matrix products, forward.

    A gradient takes twice as many again: a product has one for each of its factors.
    """
    batch, steps, *sizes = row.shape
    if row.kind in ("gru", "bidirectional"):
        features, units = sizes
        return 6.0 * batch * steps * units * (features + units) * len(inputs["params"])
    if row.kind not in ("attention", "transformer"):
        return 0.0
    *layers, heads, size = sizes
    mask = dense(row, inputs)
    pairs = steps * (row.keys or steps) if mask is None else int(mask.sum()) / len(mask)
    weights = 12 * (heads * size) ** 2 * steps if layers else 0  # Of a block of a transformer.
    return 2.0 * batch * (*layers, 1)[0] * (2 * pairs * heads * size + weights)


def causal_or_dense(row: Row, inputs: Arrays) -> tuple[bool, np.ndarray | None]:
    """Returns whether an option for causal masks is enough, and `[1 or b, 1, t, s]` otherwise."""
    if row.causal and row.window is None and not row.padded:
        return True, None
    mask = dense(row, inputs)
    return False, None if mask is None else mask[:, None]
