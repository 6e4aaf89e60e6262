"""Rotary positions: Su et al. (2021), arXiv:2104.09864, section 3.2.2."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jattn._axes import named_axes
from jattn._precision import at_least_float32
from jattn.positions.angles import check_base, cosines_and_sines, frequencies


@named_axes
@at_least_float32
def rotary(
    inputs: Float[Array, "t k"], positions: Int[Array, " t"], *, base: float = 10000.0
) -> Float[Array, "t k"]:
    """Turns each pair of neighbouring features by an angle that grows with the position.

        angle[t, i] = positions[t] base ** (-2 i / k)
        outputs[t, 2 i]     = cos(angle) inputs[t, 2 i] - sin(angle) inputs[t, 2 i + 1]
        outputs[t, 2 i + 1] = sin(angle) inputs[t, 2 i] + cos(angle) inputs[t, 2 i + 1]

    The product of a query and a key that are turned so depends on how far apart they stand, not on
    where. The paper names inputs, positions and base ** (-2 i / k) x_m, m and θ_i. To turn some
    of the features only, pass those.

    Args:
        positions: of the whole sequence, so a decoder's step passes its own and not zero.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, or k is odd.
    """
    cosines, sines = _turns("rotary", inputs, positions, base)
    first, second = inputs[:, 0::2], inputs[:, 1::2]
    turned = [cosines * first - sines * second, sines * first + cosines * second]
    return jnp.stack(turned, axis=-1).reshape(inputs.shape)


@named_axes
@at_least_float32
def half_split_rotary(
    inputs: Float[Array, "t k"], positions: Int[Array, " t"], *, base: float = 10000.0
) -> Float[Array, "t k"]:
    """`rotary` with feature i paired with feature i + k / 2 in the place of its neighbour.

    It is `rotary` of reordered features, and so the same model; but weights belong to the order
    that they were trained with. GPT-NeoX and Hugging Face's Llama have this one; the paper, GPT-J
    and Meta's Llama have neighbours.

    Raises:
        ValueError: as `rotary` does.
    """
    cosines, sines = _turns("half_split_rotary", inputs, positions, base)
    first, second = jnp.split(inputs, 2, axis=-1)
    turned = [cosines * first - sines * second, sines * first + cosines * second]
    return jnp.concatenate(turned, axis=-1)


def _turns(function: str, inputs: Array, positions: Array, base: float) -> tuple[Array, Array]:
    check_base(function, base)
    features = inputs.shape[-1]
    if features % 2:
        raise ValueError(f"{function}: inputs has {features} features (k), expected an even number")
    return cosines_and_sines(positions, frequencies(features, base), inputs.dtype)
