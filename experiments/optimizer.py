"""Adam with a warm-up and a cosine, and clipped gradients."""

import optax


def warmup_cosine(peak: float, warmup: float, steps: int) -> optax.Schedule:
    """Returns a rate that rises to `peak` in the share `warmup` of the steps, then falls."""
    rising = max(1, int(warmup * steps))
    return optax.warmup_cosine_decay_schedule(0.0, peak, rising, max(2, steps), peak / 100)


def adam(
    peak: float, warmup: float, steps: int, *, decay: float = 0.98
) -> optax.GradientTransformation:
    """Returns Adam on that schedule; `decay` is that of the squared gradients."""
    return optax.adam(warmup_cosine(peak, warmup, steps), b2=decay)


def clipped(update: optax.GradientTransformation) -> optax.GradientTransformation:
    """Returns the update, with gradients clipped to a global norm of 1."""
    return optax.chain(optax.clip_by_global_norm(1.0), update)
