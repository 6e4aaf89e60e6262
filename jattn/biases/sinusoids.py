"""Sandwich, products of sinusoids: Chi et al. (2023), arXiv:2212.10356, section 5, appendix E."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jattn._axes import named_axes
from jattn._options import Count, Positive
from jattn.biases.algebra import Bias, column
from jattn.positions.angles import cosines_and_sines, frequencies_of


@named_axes
def sandwich(
    compression: Float[Array, " h"], *, features: Count = 128, base: Positive = 10000.0
) -> Bias:
    """Returns the bias that is the product of two sinusoidal position vectors.

        bias[h] = Σ_i cos(distance base ** (-2 i / features)) / compression[h]

    The sum is over i from 0 to features / 2 - 1, as in the paper's code. NeMo's goes from 1 to
    features / 2 and takes `features / 2` off the sum, which softmax does not see. The paper names
    features d̄, and it is not the size of a head.

    Args:
        compression: `sandwich_compression(heads)`.
        features: of the position vectors, an even number.
        base: sets the frequencies, as in `sinusoidal_positions`.

    Raises:
        ValueError: if the number of features is odd.
    """
    if features % 2:
        raise ValueError(f"sandwich: features is {features}, expected an even number")
    return Bias(sinusoidal_rule, (compression, int(features), float(base)))


def sinusoidal_rule(distances, compression, features, base):
    cosines, _ = cosines_and_sines(distances, frequencies_of(features, base), compression.dtype)
    return cosines.sum(-1)[None, :] / column(compression)


@named_axes
def sandwich_compression(heads: Count) -> Float[Array, " h"]:
    """Returns the compression of each head: 8 (h + 1) / heads."""
    return jnp.asarray(8.0 * np.arange(1, heads + 1) / max(heads, 1))
