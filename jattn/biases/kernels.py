"""KERPLE, biases that are kernels: Chi et al. (2022), arXiv:2205.09921, section 4."""

import jax
import jax.numpy as jnp
from jax.dtypes import canonicalize_dtype
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from jattn._axes import named_axes
from jattn._options import Count
from jattn.biases.algebra import Bias, column, sizes_of

LEAST = 0.01  # To which the authors' code clips its parameters before every use.


@named_axes
def kerple_log(amplitude: Float[Array, " h"], rate: Float[Array, " h"]) -> Bias:
    """Returns the logarithmic bias.

        bias[h] = -amplitude[h] log(1 + rate[h] |distance|)

    The paper names amplitude and rate r₁ and r₂. Both have to be positive, which the authors' code
    ensures by clipping them to at least 0.01 before every use; here they are used as they are. At
    small rates it is `alibi` with the slopes `amplitude rate`.

    Raises:
        ValueError: if the two disagree about the number of heads.
    """
    return Bias(logarithmic_rule, (amplitude, rate))


def logarithmic_rule(distances, amplitude, rate):
    return -column(amplitude) * jnp.log1p(column(rate) * sizes_of(distances, rate.dtype))


@named_axes
def kerple_power(amplitude: Float[Array, " h"], exponent: Float[Array, " h"]) -> Bias:
    """Returns the power bias, of which `alibi` is the case with exponent 1.

        bias[h] = -amplitude[h] |distance| ** exponent[h]

    The paper names amplitude and exponent r₁ and r₂. It has 0 < r₁ and 0 < r₂ ≤ 2, where this is a
    kernel; the authors' code clips them to 0.01 ≤ r₁ and 0.01 ≤ r₂ ≤ 2 before every use. Here they
    are used as they are. At distance 0 the bias is zero.

    Raises:
        ValueError: if the two disagree about the number of heads.
    """
    return Bias(power_rule, (amplitude, exponent))


def power_rule(distances, amplitude, exponent):
    sizes = sizes_of(distances, exponent.dtype)
    own = sizes == 0.0  # Both `where`s are needed: a power of zero has a logarithm in its gradient.
    powers = jnp.where(own, 1.0, sizes) ** column(exponent)
    return -column(amplitude) * jnp.where(own, 0.0, powers)


@named_axes
def init_kerple_log(rng: Key[Array, ""], *, heads: Count, dtype: DTypeLike = float) -> Bias:
    """Returns `kerple_log` with an amplitude uniform up to 2 and a rate uniform up to 1.

    Both are at least 0.01, as in the authors' code.
    """
    amplitude, rate = _drawn(rng, heads, dtype, (2.0, 1.0))
    return kerple_log(amplitude, rate)


@named_axes
def init_kerple_power(rng: Key[Array, ""], *, heads: Count, dtype: DTypeLike = float) -> Bias:
    """Returns `kerple_power` with an amplitude uniform up to 1 and an exponent uniform up to 2.

    Both are at least 0.01, as in the authors' code.
    """
    amplitude, exponent = _drawn(rng, heads, dtype, (1.0, 2.0))
    return kerple_power(amplitude, exponent)


def _drawn(
    rng: Key[Array, ""], heads: int, dtype: DTypeLike, most: tuple[float, float]
) -> list[Float[Array, " h"]]:
    dtype = canonicalize_dtype(dtype)
    draw = lambda rng, most: jax.random.uniform(rng, (heads,), dtype, LEAST, most)
    return [draw(key, bound) for key, bound in zip(jax.random.split(rng), most, strict=True)]
