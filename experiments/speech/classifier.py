"""A classifier of series: a GRU over the frames, a pooling of its states, and a readout."""

import errno
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Key

import jattn
from experiments import optimizer
from jattn import masks, training

# How states become one vector. "local" attends within a window around each frame before it pools.
POOLINGS = ("additive", "local", "mean", "last")


class Form(NamedTuple):
    """Sizes and kinds of the parts; without units there is no GRU, and the frames are pooled."""

    features: int
    classes: int
    pooling: str
    units: int
    score_units: int
    half_width: int = 0


class Params(NamedTuple):
    """Parameters of the encoder, of the pooling and of the readout."""

    encoder: jattn.BidirectionalGRUParams | None
    query: Float[Array, "1 q"] | None
    pooling: jattn.AdditiveParams | None
    readout: jattn.AffineParams


def init(rng: Key[Array, ""], form: Form) -> Params:
    """Draws the parameters; the query of the pooling starts at zero and is learned."""
    rngs = jax.random.split(rng, 3)
    encoder, size = None, form.features
    if form.units:
        encoder = jattn.init_bidirectional_gru(
            rngs[0], input_size=size, units=form.units, dtype=jnp.float32
        )
        size = 2 * form.units
    query = pooling = None
    if form.pooling in ("additive", "local"):
        query = jnp.zeros((1, form.score_units), jnp.float32)
        pooling = jattn.init_additive(
            rngs[1],
            query_size=form.score_units,
            key_size=size,
            units=form.score_units,
            bias=True,
            dtype=jnp.float32,
        )
    readout = jattn.init_affine(
        rngs[2], input_size=size, output_size=form.classes, dtype=jnp.float32
    )
    return Params(encoder, query, pooling, readout)


def classify(
    params: Params,
    rows: Float[Array, "s c"],
    length: Int[Array, ""],
    form: Form,
    *,
    dropout: float = 0.0,
    rng: Key[Array, ""] | None = None,
) -> tuple[Float[Array, " k"], Float[Array, " s"]]:
    """Returns the logits of the classes, and the weight of each frame. Padding has no influence."""
    rngs = [None] * 2 if rng is None else jax.random.split(rng)
    is_frame = jnp.arange(len(rows)) < length
    states, last = rows, rows[length - 1]
    if params.encoder is not None:
        found = jattn.bidirectional_gru(params.encoder, rows, length=length)
        states, last = found.outputs, found.final.reshape(-1)
    states = jattn.dropout(rngs[0], states, dropout)
    if form.pooling == "local":
        near = jattn.local_monotonic_attention(
            states,
            states,
            states,
            half_width=form.half_width,
            attention=jattn.scaled_dot_product_attention,
            mask=masks.lengths(length, length),
        )
        states = states + near.context
    if params.pooling is not None and params.query is not None:
        found = jattn.additive_attention(
            params.pooling, params.query, states, states, mask=masks.lengths(length)
        )
        pooled, weights = found.context[0], found.weights[0]
    else:
        weights = is_frame.astype(states.dtype) / length.astype(states.dtype)
        pooled = weights @ jnp.where(is_frame[:, None], states, 0.0)
        if form.pooling == "last":
            pooled = last
            weights = (jnp.arange(len(rows)) == length - 1).astype(states.dtype)
    pooled = jattn.dropout(rngs[1], pooled[None], dropout)[0]
    return jattn.affine(params.readout, pooled), weights


def loss(
    params: Params,
    batch: Mapping[str, Any],
    rng: Key[Array, ""],
    *,
    form: Form,
    dropout: float,
    noise: float = 0.0,
) -> tuple[Float[Array, ""], dict[str, Array]]:
    """Returns the cross entropy of a batch; noise is added to the frames."""
    noise_rng, rng = jax.random.split(rng)
    rows = batch["rows"]
    if noise:
        rows = rows + noise * jax.random.normal(noise_rng, rows.shape, rows.dtype)
    one = partial(classify, params, form=form, dropout=dropout)
    logits, _ = jax.vmap(lambda rows, length, rng: one(rows, length, rng=rng))(
        rows, batch["rows_length"], jax.random.split(rng, len(rows))
    )
    counted = np.ones(len(rows), bool)
    error = training.token_cross_entropy(logits, batch["labels"], counted, label_smoothing=0.05)
    return error, {"accuracy": training.token_accuracy(logits, batch["labels"], counted)}


@partial(jax.jit, static_argnames="form")
def predict(
    params: Params, rows: Float[Array, "b s c"], lengths: Int[Array, " b"], *, form: Form
) -> tuple[Int[Array, "n b"], Float[Array, "n b s"]]:
    """Returns the likeliest class of each series by each of n models, and the frames' weights."""
    one = lambda params, rows, length: classify(params, rows, length, form)
    of_all = jax.vmap(jax.vmap(one, (None, 0, 0)), (0, None, None))
    logits, weights = of_all(params, rows, lengths)
    return logits.argmax(-1), weights


def train(
    form: Form,
    columns: Mapping[str, np.ndarray],
    config: Any,
    checkpoint: Path,
    *,
    noise: float = 0.0,
    resume: bool = False,
) -> Params:
    """Trains a model for each seed, all at once; returns their parameters along a first axis.

    Each has its own start, batches, dropout and gradient norm, as if it were alone.

    Args:
        columns: rows, rows_length and labels of all examples.
        config: the seeds, rate, warm-up, steps, batch size and dropout, by the names of options.
        resume: continue from the checkpoint where there is one.
    """
    seeds = range(config.seed, config.seed + config.seeds)
    batch_size = min(config.batch_size, len(columns["labels"]))
    of_seeds = [training.shuffled_batches(columns, batch_size, seed=seed) for seed in seeds]
    # "rbg" draws much faster than the default on a CPU.
    keys = [jax.random.split(jax.random.key(seed, impl="rbg")) for seed in seeds]
    adam = optimizer.adam(config.learning_rate, config.warmup, config.steps)
    update = optimizer.clipped(adam)
    one = partial(loss, form=form, dropout=config.dropout, noise=noise)

    def of_all(params: Params, batch: Any, rng: Key[Array, ""]) -> Any:
        losses, metrics = jax.vmap(one)(params, batch, jax.random.split(rng, len(seeds)))
        # The sum has each model's own gradient.
        return losses.sum(), jax.tree.map(jnp.mean, metrics)

    fitted = training.fit(
        of_all,
        optax.GradientTransformation(jax.vmap(update.init), jax.vmap(update.update)),
        jax.tree.map(lambda *leaves: jnp.stack(leaves), *[init(key[0], form) for key in keys]),
        lambda step: jax.tree.map(lambda *rows: np.stack(rows), *[of(step) for of in of_seeds]),
        steps=config.steps,
        rng=keys[0][1],
        checkpoint=checkpoint,
        resume=resume and checkpoint.exists(),
        log=checkpoint.with_suffix(".jsonl"),
        config=config,
    )
    if fitted.reason == "interrupted":
        raise KeyboardInterrupt
    return fitted.state.params


def check_resume(resume: bool, out: Path) -> None:
    """Refuses to resume where nothing has been trained.

    Raises:
        FileNotFoundError: there is no checkpoint in the folder.
    """
    if resume and not any(out.rglob("*.safetensors")):
        raise FileNotFoundError(errno.ENOENT, "has no checkpoint to resume from", str(out))
