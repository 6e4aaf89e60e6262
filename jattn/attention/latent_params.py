"""Parameters of multi-head latent attention, and the function that draws them."""

from typing import NamedTuple

import jax
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from jattn._axes import named_axes
from jattn._options import Size


class LatentParams(NamedTuple):
    """Maps to latents, `c` features of a query and `r` of a key, and from them to `h` heads.

    A head has `e` features without a position and `o` that are rotated. All heads share the
    rotated features of a key.
    """

    query_down: Float[Array, "c q"]
    query_up: Float[Array, "h e c"]
    query_rotary: Float[Array, "h o c"]
    key_down: Float[Array, "r k"]
    key_up: Float[Array, "h e r"]
    key_rotary: Float[Array, "o k"]
    value_up: Float[Array, "h u r"]
    output_weight: Float[Array, "d h u"]


@named_axes
def init_latent(
    rng: Key[Array, ""],
    *,
    heads: Size,
    size: Size,
    head_size: Size,
    rotary_size: Size,
    query_latent_size: Size,
    key_latent_size: Size,
    dtype: DTypeLike = float,
) -> LatentParams:
    """Draws every weight from a normal with variance 1 / fan-in.

    Args:
        heads: number of heads h.
        size: number of features of queries, keys and outputs.
        head_size: number of features of a head without a position, and of its values.
        rotary_size: number of features of a head that are rotated; even, for `jattn.rotary`.
        query_latent_size: number of features of a query's latent.
        key_latent_size: number of features of a key's latent.
        dtype: of the parameters, floating-point.

    Raises:
        ValueError: if a size is below 1, or dtype is not a floating-point dtype.
    """
    c, r = query_latent_size, key_latent_size
    shapes = (
        *((c, size), (heads, head_size, c), (heads, rotary_size, c)),
        *((r, size), (heads, head_size, r), (rotary_size, size), (heads, head_size, r)),
        (size, heads, head_size),
    )
    fan_ins = (size, c, c, size, r, size, r, heads * head_size)
    parts = zip(jax.random.split(rng, len(shapes)), shapes, fan_ins, strict=True)
    return LatentParams(*(jax.random.normal(key, x, dtype) * n**-0.5 for key, x, n in parts))
