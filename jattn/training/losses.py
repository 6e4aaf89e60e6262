"""Losses and accuracies over padded sequences, as thin masks over optax."""

import numbers

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.core import Tracer
from jax.typing import ArrayLike, DTypeLike


def token_cross_entropy(
    logits: ArrayLike, labels: ArrayLike, mask: ArrayLike, *, label_smoothing: float = 0.0
) -> jax.Array:
    """Returns the mean cross entropy in nats over the tokens that `mask` keeps; 0 if it keeps none.

    Masked tokens influence nothing, even if their logits are NaN. Half precision is computed in
    float32, and the result stays float32. Under `jit` labels cannot be checked; a label that is no
    class makes the result NaN.

    Args:
        logits: `[... w]`, the scores of w classes.
        labels: `[...]`, integers, 0 to w - 1 where the mask is True.
        mask: `[...]`, True for the tokens that count.
        label_smoothing: share of the target spread evenly over all classes, 0 to 1.

    Raises:
        ValueError: if the shapes or dtypes do not fit, if a label is no class, or if
            `label_smoothing` is not in [0, 1].
    """
    logits, labels, mask = _checked("token_cross_entropy", logits, labels, mask)
    smoothing = label_smoothing
    is_number = isinstance(smoothing, numbers.Real) and not isinstance(smoothing, bool)
    if not is_number or not 0 <= smoothing <= 1:
        raise ValueError(
            f"token_cross_entropy: label_smoothing is {smoothing}, expected a number from 0 to 1"
        )
    if jnp.finfo(logits.dtype).bits < 32:
        logits = logits.astype(jnp.float32)
    is_class = _are_classes(labels, logits.shape[-1])
    logits = jnp.where(jnp.expand_dims(mask, -1), logits, jnp.zeros_like(logits))
    labels = jnp.where(mask & is_class, labels, jnp.zeros_like(labels))
    if smoothing:
        targets = jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
        targets = optax.losses.smooth_labels(targets, float(smoothing))
        losses = optax.losses.softmax_cross_entropy(logits, targets)
    else:
        losses = optax.losses.softmax_cross_entropy_with_integer_labels(logits, labels)
    losses = jnp.where(is_class, losses, losses.dtype.type(np.nan))
    total = jnp.sum(jnp.where(mask, losses, jnp.zeros_like(losses)))
    return total / _divisor(mask, total.dtype)


def token_accuracy(logits: ArrayLike, labels: ArrayLike, mask: ArrayLike) -> jax.Array:
    """Returns the share of the kept tokens whose largest logit is the label's, in float32.

    It is 0 if the mask keeps no token. Of equally large logits the first counts. Under `jit` labels
    cannot be checked; a label that is no class makes the result NaN.

    Args:
        logits: `[... w]`, the scores of w classes.
        labels: `[...]`, integers, 0 to w - 1 where the mask is True.
        mask: `[...]`, True for the tokens that count.

    Raises:
        ValueError: if the shapes or dtypes do not fit, or if a label is no class.
    """
    logits, labels, mask = _checked("token_accuracy", logits, labels, mask)
    is_class = _are_classes(labels, logits.shape[-1])
    hits = jnp.argmax(logits, axis=-1).astype(labels.dtype) == labels
    share = _count(hits & mask).astype(jnp.float32) / _divisor(mask, jnp.float32)
    return jnp.where(jnp.all(is_class | ~mask), share, np.float32(np.nan))


def _count(mask: jax.Array) -> jax.Array:
    """Returns the number of True entries: an integer, since floats stop counting at 2^24."""
    return jnp.sum(mask, dtype=jnp.int32)


def _divisor(mask: jax.Array, dtype: DTypeLike) -> jax.Array:
    """Returns the number of True entries, or 1, so that a mean of nothing is 0."""
    return jnp.maximum(_count(mask), 1).astype(dtype)


def _are_classes(labels: jax.Array, classes: int) -> jax.Array:
    return (labels >= 0) & (labels < classes)


def _checked(function, logits, labels, mask):
    """Returns the three as arrays; labels of few bits as int32, which holds every class."""
    if not np.prod(np.shape(logits)[-1:] or 0):
        raise ValueError(f"{function}: logits has shape {np.shape(logits)}, expected (..., w)")
    if not any(isinstance(array, Tracer) for array in (labels, mask)):
        _check_labels(function, np.shape(logits)[-1], np.asarray(labels), np.asarray(mask))
    logits, labels, mask = map(jnp.asarray, (logits, labels, mask))
    for name, array, shape in (("labels", labels, logits.shape[:-1]), ("mask", mask, labels.shape)):
        if array.shape != shape:
            raise ValueError(f"{function}: {name} has shape {array.shape}, expected {shape}")
    if mask.dtype != jnp.bool_:
        raise ValueError(f"{function}: mask has dtype {mask.dtype}, expected bool")
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise ValueError(f"{function}: labels has dtype {labels.dtype}, expected integers")
    if not jnp.issubdtype(logits.dtype, jnp.floating) or logits.dtype.itemsize < 2:
        raise ValueError(
            f"{function}: logits has dtype {logits.dtype}, expected a floating-point dtype"
        )
    return logits, labels.astype(jnp.int32) if labels.dtype.itemsize < 4 else labels, mask


def _check_labels(function: str, classes: int, labels: np.ndarray, mask: np.ndarray) -> None:
    """Raises ValueError for a label that is no class, before jax wraps 64-bit labels around."""
    if mask.dtype == np.bool_ and mask.shape == labels.shape and labels.dtype.kind in "iu":
        kept = labels[mask]
        wrong = kept[(kept < 0) | (kept >= classes)]
        if wrong.size:
            expected = f"expected 0 to {classes - 1} where mask is True"
            raise ValueError(f"{function}: labels holds {wrong[0]}, {expected}")
