"""Zoneout: Krueger et al. (2017), arXiv:1606.01305."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from jattn._axes import named_axes
from jattn.recurrent.cells import Cell
from jattn.recurrent.outputs import output_of


class ZoneoutState(NamedTuple):
    """A cell's state, and the key of the draws of the steps that follow."""

    state: Any
    rng: Key[Array, ""]

    @property
    def hidden(self) -> Float[Array, " n"]:
        """The output of the cell's state."""
        return output_of(self.state)


@named_axes
def zoneout(cell: Cell, rate: Any) -> Cell:
    """Returns a cell whose units keep their previous values with probability `rate`.

        state' = kept ∘ state + (1 - kept) ∘ cell(params, state, inputs),   kept ~ Bernoulli(rate)

    The state decides what is computed. A ZoneoutState draws `kept` anew at each step, for each unit
    and each part of the state, as in training. Any other state takes the mean, kept = rate, as in
    testing. Nothing is divided by 1 - rate, unlike in dropout.

    Args:
        rate: a number, or a state of numbers, such as `LSTMState(hidden=0.05, cell=0.5)`.

    Raises:
        ValueError: if a rate is not from 0 to 1.

    Examples:
        >>> import jattn
        >>> params = jattn.init_lstm(jax.random.key(0), input_size=3, units=2)
        >>> cell = zoneout(jattn.lstm_cell, jattn.LSTMState(hidden=0.05, cell=0.5))
        >>> start = ZoneoutState(params.zero_state(), jax.random.key(1))
        >>> jattn.unroll(cell, params, jnp.ones((5, 3)), initial=start).outputs.shape
        (5, 2)
    """
    for part in jax.tree.leaves(rate):
        if not isinstance(part, int | float) or not 0.0 <= part <= 1.0:
            raise ValueError(f"zoneout: rate is {part}, expected numbers from 0 to 1")

    def zoned(params: Any, state: Any, inputs: Any) -> Any:
        draws = isinstance(state, ZoneoutState)
        old = state.state if draws else state
        new = cell(params, old, inputs)
        rates = _rates(rate, old)
        if not draws:
            mean = lambda rate, old, new: rate * old + (1.0 - rate) * new
            return jax.tree.map(mean, rates, old, new)
        later, rng = jax.random.split(state.rng)
        form = jax.tree.structure(old)
        keys = jax.tree.unflatten(form, [*jax.random.split(rng, form.num_leaves)])

        def drawn(rate, key, old, new):
            return jnp.where(jax.random.bernoulli(key, rate, old.shape), old, new)

        return ZoneoutState(jax.tree.map(drawn, rates, keys, old, new), later)

    return zoned


def _rates(rate: Any, state: Any) -> Any:
    """Returns a rate for each part of the state."""
    if isinstance(rate, int | float):
        return jax.tree.map(lambda _: rate, state)
    if jax.tree.structure(rate) != jax.tree.structure(state):
        kinds = type(rate).__name__, type(state).__name__
        raise ValueError(f"zoneout: rate is a {kinds[0]}, expected a number or a {kinds[1]}")
    return rate
