"""The minimal GRU, whose gate reads the input alone: Feng et al. (2024), arXiv:2410.01201."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int, Key

from jattn._axes import named_axes
from jattn._options import Count
from jattn._precision import at_least_float32
from jattn.recurrent.linear_steps import ScannedOutput, scanned


class MinGRUParams(NamedTuple):
    """Maps of inputs to `n` units, stacked in the order write, candidate."""

    input_weight: Float[Array, "2 n i"]
    bias: Float[Array, "2 n"]

    def zero_state(self) -> Float[Array, " n"]:
        """Returns the state before the first step."""
        return jnp.zeros_like(self.bias[0])


@named_axes
def init_min_gru(
    rng: Key[Array, ""], *, input_size: Count, units: Count, dtype: DTypeLike = float
) -> MinGRUParams:
    """Draws weights from a normal with variance 1 / input_size; biases start at zero.

    Raises:
        ValueError: if a size is negative or `dtype` is not a floating-point dtype.
    """
    weight = jax.random.normal(rng, (2, units, input_size), dtype) * max(input_size, 1) ** -0.5
    return MinGRUParams(weight, jnp.zeros((2, units), dtype))


@named_axes
@at_least_float32
def min_gru_cell(
    params: MinGRUParams,
    hidden: Float[Array, " n"],
    inputs: Float[Array, " i"],
    *,
    positive: bool = False,
) -> Float[Array, " n"]:
    """Mixes a candidate into the state, by as much as the input alone decides.

        write     = sigmoid(input_weight[0] inputs + bias[0])
        candidate = input_weight[1] inputs + bias[1]
        new       = (1 - write) ∘ hidden + write ∘ candidate

    The paper names the gate z_t, its update gate: it multiplies the candidate. The update gate of
    `gru_cell` multiplies the old state, and is 1 minus this one.

    Args:
        positive: passes the candidate through g(x) = x + 1/2 above 0 and sigmoid(x) below, as the
            paper's form for logarithms of states does. The initial state is used as it is.

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    kept, added = _kept_and_added(params, inputs[None], positive)
    return kept[0] * hidden + added[0]


@named_axes
@at_least_float32
def min_gru(
    params: MinGRUParams,
    inputs: Float[Array, "s i"],
    *,
    initial: Float[Array, " n"] | None = None,
    length: int | Int[Array, ""] | None = None,
    valid: Bool[Array, " s"] | None = None,
    positive: bool = False,
) -> ScannedOutput:
    """Runs `min_gru_cell` over a sequence, all steps at once by an associative scan.

    The scan has products and sums alone. It equals the steps to rounding, from any initial state,
    and with gates of exactly 0 or 1. Operations: s n (i + log s).

        >>> params = MinGRUParams(jnp.array([[[0.0]], [[1.0]]]), jnp.zeros((2, 1)))
        >>> print(min_gru(params, jnp.ones((3, 1))).outputs[:, 0])
        [0.5   0.75  0.875]

    Args:
        initial: the state before the first step, zero by default.
        length: number of valid steps, which come first; all steps by default, as in `gru`.
        valid: True for each valid step, as in `gru`. Excludes `length`.
        positive: as in `min_gru_cell`.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, length is negative or
            more than the number of inputs, or both length and valid are given.
    """
    start = params.zero_state() if initial is None else initial
    steps = lambda inputs: _kept_and_added(params, inputs, positive)
    return scanned("min_gru", steps, inputs, start, length, valid)


def at_least_zero(x: Float[Array, "s n"]) -> Float[Array, "s n"]:
    """Returns the paper's g(x), x + 1/2 above 0 and sigmoid(x) below, which is above 0."""
    return jnp.where(x > 0.0, x + 0.5, jax.nn.sigmoid(jnp.where(x > 0.0, 0.0, x)))


def _kept_and_added(params, inputs, positive):
    """Returns the share of the state that is kept, and the share of the candidate times it."""
    mapped = jnp.einsum("si,gni->gsn", inputs, params.input_weight) + params.bias[:, None]
    write, candidate = jax.nn.sigmoid(mapped[0]), mapped[1]
    return 1.0 - write, write * (at_least_zero(candidate) if positive else candidate)
