"""Rotary positions: Su et al. (2021), arXiv:2104.09864, section 3.2.2."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.dtypes import canonicalize_dtype
from jaxtyping import Array, Float, Int

from jattn._axes import named_axes
from jattn._options import Positive, check_known
from jattn._precision import inner_dtype
from jattn.positions.angles import cosines_and_sines, frequencies_of

Positions = Int[Array, " t"] | Float[Array, " t"] | Int[Array, "t f"] | Float[Array, "t f"]


@named_axes
def rotary(
    inputs: Float[Array, "t f+f"],
    positions: Positions,
    *,
    base: Positive = 10000.0,
    frequencies: Float[Array, " f"] | None = None,
) -> Float[Array, "t f+f"]:
    """Rotates each pair of neighbouring features by an angle that grows with the position.

        angle[t, i] = positions[t] base ** (-2 i / k)
        outputs[t, 2 i]     = cos(angle) inputs[t, 2 i] - sin(angle) inputs[t, 2 i + 1]
        outputs[t, 2 i + 1] = sin(angle) inputs[t, 2 i] + cos(angle) inputs[t, 2 i + 1]

    The product of a rotated query and a rotated key depends on the distance of their positions
    alone. The paper names inputs, positions and base ** (-2 i / k) x_m, m and θ_i; k is the number
    of features, 2 f. To rotate some of the features only, pass those, or frequencies of zero.

    Args:
        positions: whole or fractional, absolute in the sequence, so a decoder's step passes its
            own and not zero. With an axis of pairs, [t f], each pair has positions of its own, as
            for images. They promote nothing: the result has the dtype of `inputs`.
        base: sets the frequencies, in radians for each position.
        frequencies: frequencies to use instead of those of `base`, as for longer contexts. Known
            ones give exact angles at any position, traced ones those of a product in float32.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, the number of features is
            odd, or base or frequencies are not finite.
    """
    cosines, sines, inner = _rotation("rotary", inputs, positions, base, frequencies)
    first, second = inner[:, 0::2], inner[:, 1::2]
    pairs = [cosines * first - sines * second, sines * first + cosines * second]
    return jnp.stack(pairs, axis=-1).reshape(inner.shape).astype(canonicalize_dtype(inputs.dtype))


@named_axes
def half_split_rotary(
    inputs: Float[Array, "t f+f"],
    positions: Positions,
    *,
    base: Positive = 10000.0,
    frequencies: Float[Array, " f"] | None = None,
) -> Float[Array, "t f+f"]:
    """Computes `rotary` with feature i paired with feature i + k / 2 instead of its neighbour.

    It is `rotary` of reordered features, and so the same model. Trained weights belong to one of
    the two orders. GPT-NeoX and Hugging Face's Llama have this one; the paper, GPT-J and Meta's
    Llama have neighbours.

    Args:
        positions: as for `rotary`.
        base: as for `rotary`.
        frequencies: as for `rotary`, one for each pair.

    Raises:
        ValueError: as `rotary` does.
    """
    cosines, sines, inner = _rotation("half_split_rotary", inputs, positions, base, frequencies)
    first, second = jnp.split(inner, 2, axis=-1)
    halves = [cosines * first - sines * second, sines * first + cosines * second]
    return jnp.concatenate(halves, axis=-1).astype(canonicalize_dtype(inputs.dtype))


def _rotation(
    function: str, inputs: Array, positions: Array, base: float, frequencies: Any
) -> tuple[Array, Array, Array]:
    """Returns the cosines and sines of the angles, and the inputs in their dtype."""
    check_known(f"{function}: base", base)
    features = inputs.shape[-1]
    if features % 2:
        raise ValueError(f"{function}: inputs has {features} features (k), expected an even number")
    if frequencies is None:
        frequencies = frequencies_of(features, base)
    elif not isinstance(frequencies, Tracer):
        frequencies = np.asarray(frequencies, np.float64)
        if not np.isfinite(frequencies).all():
            raise ValueError(f"{function}: frequencies are {frequencies}, expected finite numbers")
    dtype = inner_dtype(canonicalize_dtype(inputs.dtype))
    cosines, sines = cosines_and_sines(positions, frequencies, dtype)
    return cosines, sines, jnp.asarray(inputs).astype(dtype)
