"""A GRU with layer normalization: Ba, Kiros & Hinton (2016), arXiv:1607.06450, supplement."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from jattn._axes import named_axes
from jattn._options import Count, NotNegative
from jattn._precision import at_least_float32
from jattn.layers import LayerNormParams, layer_norm
from jattn.recurrent.cells import init_gru


class LayerNormGRUParams(NamedTuple):
    """Weights of a GRU of `n` units, and scales and shifts of its norms.

    Gates are stacked in the order reset, update, candidate, as in `GRUParams`.
    """

    input_weight: Float[Array, "3 n i"]
    hidden_weight: Float[Array, "3 n n"]
    input_scale: Float[Array, "3 n"]
    hidden_scale: Float[Array, "3 n"]
    input_shift: Float[Array, "3 n"]
    hidden_shift: Float[Array, "3 n"]

    def zero_state(self) -> Float[Array, " n"]:
        """Returns the state before the first step."""
        return jnp.zeros_like(self.hidden_shift[0])


@named_axes
def init_layer_norm_gru(
    rng: Key[Array, ""], *, input_size: Count, units: Count, dtype: DTypeLike = float
) -> LayerNormGRUParams:
    """Draws weights as `init_gru` does; scales start at one and shifts at zero.

    Raises:
        ValueError: if a size is negative or `dtype` is not a floating-point dtype.
    """
    drawn = init_gru(rng, input_size=input_size, units=units, dtype=dtype)
    ones, zeros = jnp.ones((3, units), dtype), jnp.zeros((3, units), dtype)
    return LayerNormGRUParams(drawn.input_weight, drawn.hidden_weight, ones, ones, zeros, zeros)


@named_axes
@at_least_float32
def layer_norm_gru_cell(
    params: LayerNormGRUParams,
    hidden: Float[Array, " n"],
    inputs: Float[Array, " i"],
    *,
    epsilon: NotNegative = 1e-5,
) -> Float[Array, " n"]:
    """Computes one step of a GRU that normalizes products with inputs and with the state apart.

        [reset; update] = sigmoid(norm(input_weight[:2] inputs) + norm(hidden_weight[:2] hidden))
        candidate       = tanh(norm(input_weight[2] inputs) + reset ∘ norm(hidden_weight[2] hidden))
        new             = (1 - update) ∘ candidate + update ∘ hidden

    A norm takes mean and variance over all entries of its product, over both gates at once, then
    multiplies by its scale and adds its shift. The authors' code has this form, with the update
    gate that keeps the old state. Other systems differ: Dreamer normalizes one product of inputs
    and state over the three gates, and Nematus and some PyTorch code have a norm for each gate.

        >>> params = init_layer_norm_gru(jax.random.key(0), input_size=1, units=1)
        >>> print(layer_norm_gru_cell(params, jnp.array([0.5]), jnp.ones(1)).shape)
        (1,)

    Args:
        epsilon: added to variances, 1e-5 in the authors' code.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, or epsilon is negative or
            not finite.
    """
    units = hidden.shape[0]

    def normalized(products, scale, shift):
        """Returns the normalized products of the gates, [2 n], and of the candidate, [n]."""
        gates = LayerNormParams(scale[:2].reshape(-1), shift[:2].reshape(-1))
        return (
            layer_norm(gates, products[:2].reshape(-1), epsilon=epsilon),
            layer_norm(LayerNormParams(scale[2], shift[2]), products[2], epsilon=epsilon),
        )

    of_inputs = jnp.einsum("i,gni->gn", inputs, params.input_weight)
    of_hidden = jnp.einsum("m,gnm->gn", hidden, params.hidden_weight)
    gates_in, candidate_in = normalized(of_inputs, params.input_scale, params.input_shift)
    gates_on, candidate_on = normalized(of_hidden, params.hidden_scale, params.hidden_shift)
    reset, update = jax.nn.sigmoid(gates_in + gates_on).reshape(2, units)
    candidate = jnp.tanh(candidate_in + reset * candidate_on)
    return (1.0 - update) * candidate + update * hidden
