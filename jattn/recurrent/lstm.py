"""LSTM with a forget gate: Hochreiter & Schmidhuber (1997), https://doi.org/10.1162/neco.1997.9.8.1735.

The forget gate is of Gers, Schmidhuber & Cummins (2000), https://doi.org/10.1162/089976600300015015.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int, Key

from jattn._axes import named_axes
from jattn._options import Count
from jattn._precision import at_least_float32
from jattn.recurrent.cells import Cell, input_part, recurrent_weights
from jattn.recurrent.padding import check_steps
from jattn.recurrent.unroll import Unrolled, directions


class LSTMState(NamedTuple):
    """The state of an LSTM: the output, which enters the products, and the memory cell."""

    hidden: Float[Array, " n"]
    cell: Float[Array, " n"]


class LSTMParams(NamedTuple):
    """Weights of an LSTM of `n` units, gates stacked in the order input, forget, candidate, output.

    Only the sum of the two biases matters.
    """

    input_weight: Float[Array, "4 n i"]
    hidden_weight: Float[Array, "4 n n"]
    input_bias: Float[Array, "4 n"]
    hidden_bias: Float[Array, "4 n"]

    def zero_state(self) -> LSTMState:
        """Returns the state before the first step."""
        return LSTMState(*(jnp.zeros_like(self.hidden_bias[0]) for _ in range(2)))


@named_axes
def init_lstm(
    rng: Key[Array, ""],
    *,
    input_size: Count,
    units: Count,
    forget_bias: float = 1.0,
    dtype: DTypeLike = float,
) -> LSTMParams:
    """Draws weights as `init_gru` does; biases are zero, except for the forget gate's.

    Args:
        forget_bias: the input bias of the forget gate. With 1, as in Jozefowicz et al. (2015), the
            memory cell keeps 73 percent of its content per step at first; with 0, half.

    Raises:
        ValueError: if a size is negative, `forget_bias` is not finite, or `dtype` is not a
            floating-point dtype.
    """
    weights = recurrent_weights(rng, 4, input_size, units, dtype)
    zeros = jnp.zeros((4, units), dtype)
    return LSTMParams(*weights, zeros.at[1].set(forget_bias), zeros)


@named_axes
@at_least_float32
def lstm_cell(params: LSTMParams, state: LSTMState, inputs: Float[Array, " i"]) -> LSTMState:
    """Computes one step of an LSTM.

        gates[g] = input_weight[g] inputs + input_bias[g] + hidden_weight[g] hidden + hidden_bias[g]
        input, forget, output = sigmoid(gates[0]), sigmoid(gates[1]), sigmoid(gates[3])
        candidate = tanh(gates[2])
        cell'     = forget ∘ cell + input ∘ candidate
        hidden'   = output ∘ tanh(cell')

    The paper of 1997 has no forget gate, and squashes to [-2, 2] where this has tanh. There are no
    peepholes.

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    recurrent = jnp.einsum("m,gnm->gn", state.hidden, params.hidden_weight) + params.hidden_bias
    gates = input_part(params, inputs) + recurrent
    write, forget, output = (jax.nn.sigmoid(gates[gate]) for gate in (0, 1, 3))
    cell = forget * state.cell + write * jnp.tanh(gates[2])
    return LSTMState(output * jnp.tanh(cell), cell)


@named_axes
@at_least_float32
def lstm(
    params: LSTMParams,
    inputs: Float[Array, "s i"],
    *,
    initial: LSTMState | None = None,
    length: int | Int[Array, ""] | None = None,
    valid: Bool[Array, " s"] | None = None,
    reverse: bool = False,
    cell: Cell = lstm_cell,
    hidden_scale: Float[Array, " n"] | None = None,
) -> Unrolled:
    """Runs an LSTM over a sequence, as `gru` runs a GRU; `outputs` are the hidden parts.

    Args:
        initial: the state before the first step, zero by default.
        length, valid, reverse, hidden_scale: as in `gru`.
        cell: `lstm_cell` or a function with its arguments.

    Raises:
        ValueError: as `gru` does.

    Examples:
        >>> params = init_lstm(jax.random.key(0), input_size=3, units=2)
        >>> outputs, final = lstm(params, jnp.ones((5, 3)), length=4)
        >>> outputs.shape, final.cell.shape
        ((5, 2), (2,))
    """
    check_steps("lstm", length, valid, "inputs", inputs)
    return directions(
        "lstm",
        cell,
        (params,),
        inputs,
        (initial,),
        (length, valid),
        (hidden_scale,),
        reverse=(reverse,),
        known=cell is lstm_cell,
    )[0]
