"""Monotonic infinite lookback in NumPy: chunks that begin at the first key."""

from jattn.oracle.alignment.mocha import in_windows


def infinite_lookback(params, query, key, value, *, mask=None, bias=None, initial=None):
    """Returns ((context, weights), pullback), as `jax.vjp` does: `in_windows` of all keys."""
    return in_windows(params, query, key, value, len(key), mask, bias, initial)
