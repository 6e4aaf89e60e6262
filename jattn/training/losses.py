"""Losses and accuracies over padded sequences, as thin masks over optax."""

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike


def token_cross_entropy(
    logits: ArrayLike, labels: ArrayLike, mask: ArrayLike, *, label_smoothing: float = 0.0
) -> jax.Array:
    """Mean cross entropy in nats over the tokens that `mask` keeps; 0 if it keeps none.

    logits `[... w]`, labels and mask `[...]`. What is masked influences nothing, NaN included.
    Half precision is computed in float32, and the result stays float32.

    Raises:
        ValueError: the shapes disagree, or the mask is not boolean.
    """
    logits, labels, mask = _checked("token_cross_entropy", logits, labels, mask)
    if jnp.finfo(logits.dtype).bits < 32:
        logits = logits.astype(jnp.float32)
    logits = jnp.where(jnp.expand_dims(mask, -1), logits, jnp.zeros_like(logits))
    labels = jnp.where(mask, labels, jnp.zeros_like(labels))
    if label_smoothing:
        targets = jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
        targets = optax.losses.smooth_labels(targets, label_smoothing)
        losses = optax.losses.softmax_cross_entropy(logits, targets)
    else:
        losses = optax.losses.softmax_cross_entropy_with_integer_labels(logits, labels)
    return _mean_of_kept(losses, mask)


def token_accuracy(logits: ArrayLike, labels: ArrayLike, mask: ArrayLike) -> jax.Array:
    """The share of the tokens that `mask` keeps whose largest logit is the label's; 0 of none.

    Raises:
        ValueError: the shapes disagree, or the mask is not boolean.
    """
    logits, labels, mask = _checked("token_accuracy", logits, labels, mask)
    hits = jnp.argmax(logits, axis=-1).astype(labels.dtype) == labels
    return _mean_of_kept(hits.astype(jnp.float32), mask)


def _mean_of_kept(values, mask):
    total = jnp.sum(jnp.where(mask, values, jnp.zeros_like(values)))
    return total / jnp.maximum(jnp.sum(mask, dtype=jnp.int32), 1).astype(values.dtype)


def _checked(function, logits, labels, mask):
    logits, labels, mask = map(jnp.asarray, (logits, labels, mask))
    for name, array, shape in (("labels", labels, logits.shape[:-1]), ("mask", mask, labels.shape)):
        if array.shape != shape:
            raise ValueError(f"{function}: {name} has shape {array.shape}, expected {shape}")
    if mask.dtype != jnp.bool_:
        raise ValueError(f"{function}: mask has dtype {mask.dtype}, expected bool")
    return logits, labels, mask
