"""The schedule that every experiment's rate follows."""

import optax


def warmup_cosine(peak: float, warmup: float, steps: int) -> optax.Schedule:
    """Rises to `peak` in the share `warmup` of the steps, then falls by a cosine to a hundredth."""
    rising = max(1, int(warmup * steps))
    return optax.warmup_cosine_decay_schedule(0.0, peak, rising, max(2, steps), peak / 100)
