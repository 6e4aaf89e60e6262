"""A GRU over a sequence in NumPy."""

from jattn.oracle.recurrent.cells import gru_cell
from jattn.oracle.recurrent.unroll import unroll


def gru(
    params,
    inputs,
    *,
    initial=None,
    length=None,
    valid=None,
    reverse=False,
    cell=gru_cell,
    hidden_scale=None,
):
    """Returns ((outputs, final), pullback), as `jax.vjp` does."""
    options = {"initial": initial, "length": length, "valid": valid, "reverse": reverse}
    return unroll(cell, params, inputs, hidden_scale=hidden_scale, **options)
