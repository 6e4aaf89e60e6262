"""The minimal LSTM, whose gates read the input alone: Feng et al. (2024), arXiv:2410.01201."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int, Key

from jattn._axes import named_axes
from jattn._options import Count
from jattn._precision import at_least_float32
from jattn.recurrent.linear_steps import ScannedOutput, scanned
from jattn.recurrent.min_gru import at_least_zero


class MinLSTMParams(NamedTuple):
    """Maps of inputs to `n` units, stacked in the order forget, input, candidate."""

    input_weight: Float[Array, "3 n i"]
    bias: Float[Array, "3 n"]

    def zero_state(self) -> Float[Array, " n"]:
        """Returns the state before the first step."""
        return jnp.zeros_like(self.bias[0])


@named_axes
def init_min_lstm(
    rng: Key[Array, ""], *, input_size: Count, units: Count, dtype: DTypeLike = float
) -> MinLSTMParams:
    """Draws weights from a normal with variance 1 / input_size; biases start at zero.

    Raises:
        ValueError: if a size is negative or `dtype` is not a floating-point dtype.
    """
    weight = jax.random.normal(rng, (3, units, input_size), dtype) * max(input_size, 1) ** -0.5
    return MinLSTMParams(weight, jnp.zeros((3, units), dtype))


@named_axes
@at_least_float32
def min_lstm_cell(
    params: MinLSTMParams,
    hidden: Float[Array, " n"],
    inputs: Float[Array, " i"],
    *,
    positive: bool = False,
) -> Float[Array, " n"]:
    """Mixes a candidate into the state, by the shares of two gates in their sum.

        forget    = sigmoid(input_weight[0] inputs + bias[0])
        input     = sigmoid(input_weight[1] inputs + bias[1])
        candidate = input_weight[2] inputs + bias[2]
        new       = (forget ∘ hidden + input ∘ candidate) / (forget + input)

    The paper names these f_t, i_t and, for the shares, f'_t and i'_t. The shares are computed as
    sigmoids of the difference of log forget and log input: there is no division, and gates that
    both underflow have shares too.

    Args:
        positive: passes the candidate through the paper's g, as in `min_gru_cell`.

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    kept, added = _kept_and_added(params, inputs[None], positive)
    return kept[0] * hidden + added[0]


@named_axes
@at_least_float32
def min_lstm(
    params: MinLSTMParams,
    inputs: Float[Array, "s i"],
    *,
    initial: Float[Array, " n"] | None = None,
    length: int | Int[Array, ""] | None = None,
    valid: Bool[Array, " s"] | None = None,
    positive: bool = False,
) -> ScannedOutput:
    """Runs `min_lstm_cell` over a sequence, all steps at once by an associative scan.

    The scan is that of `min_gru`. Operations: s n (i + log s).

        >>> params = MinLSTMParams(jnp.array([[[0.0]], [[0.0]], [[1.0]]]), jnp.zeros((3, 1)))
        >>> print(min_lstm(params, jnp.ones((3, 1))).outputs[:, 0])
        [0.5   0.75  0.875]

    Args:
        initial: the state before the first step, zero by default.
        length: number of valid steps, which come first; all steps by default, as in `gru`.
        valid: True for each valid step, as in `gru`. Excludes `length`.
        positive: as in `min_lstm_cell`.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, length is negative or
            more than the number of inputs, or both length and valid are given.
    """
    start = params.zero_state() if initial is None else initial
    steps = lambda inputs: _kept_and_added(params, inputs, positive)
    return scanned("min_lstm", steps, inputs, start, length, valid)


def _kept_and_added(params, inputs, positive):
    """Returns the share of the state that is kept, and the share of the candidate times it."""
    mapped = jnp.einsum("si,gni->gsn", inputs, params.input_weight) + params.bias[:, None]
    logs = jax.nn.log_sigmoid(mapped[:2])
    candidate = at_least_zero(mapped[2]) if positive else mapped[2]
    # Not 1 - kept: where kept rounds to 1, the other share still has its digits.
    return jax.nn.sigmoid(logs[0] - logs[1]), jax.nn.sigmoid(logs[1] - logs[0]) * candidate
