"""Rotary positions that decay: Sun et al. (2022), arXiv:2212.10554, known as xPos."""

import jax.numpy as jnp
import numpy as np
from jax.dtypes import canonicalize_dtype
from jaxtyping import Array, Float, Int

from jattn._axes import named_axes
from jattn._options import Positive, check_known
from jattn._precision import inner_dtype
from jattn.positions.rotation import rotary


@named_axes
def xpos(
    inputs: Float[Array, "t f+f"],
    positions: Int[Array, " t"] | Float[Array, " t"],
    *,
    inverse: bool = False,
    centre: float = 0.0,
    scale_base: Positive = 512.0,
    base: Positive = 10000.0,
) -> Float[Array, "t f+f"]:
    """Rotates each pair of features as `rotary` does, and shrinks it as the position grows.

        ratio[i]      = (2 i / k + 0.4) / 1.4
        outputs[t, i] = ratio[i] ** ((positions[t] - centre) / scale_base) rotated[t, i]

    Queries get it as it is and keys with `inverse`, so that their product has the ratio to the
    power of their distance. Fast pairs shrink the most. The paper names the ratio ζ. Numbers leave
    the range of their dtype at positions that are many `scale_base` from the centre. The authors'
    code takes half of the current length for the centre, so its cached keys do not fit later
    queries.

    Args:
        positions: absolute in the sequence, of queries and keys alike.
        inverse: divides by the power, as for keys.
        centre: the position whose power is 1; it has to be the same for queries and keys.
        scale_base: distance over which a pair shrinks by its ratio.
        base: as for `rotary`.

    Raises:
        ValueError: as `rotary` does, or if a number is out of its bounds.
    """
    check_known("xpos: base", base)
    given = canonicalize_dtype(inputs.dtype)
    dtype, size = inner_dtype(given), inputs.shape[-1]
    rotated = rotary(jnp.asarray(inputs).astype(dtype), positions, base=base)
    logarithms = np.log((np.arange(0, size, 2) / max(size, 1) + 0.4) / 1.4).repeat(2)
    power = (jnp.asarray(positions).astype(dtype) - centre) / scale_base
    power = -power if inverse else power
    scale = jnp.exp(power[:, None] * jnp.asarray(logarithms, dtype)[None])
    return (rotated * scale).astype(given)
