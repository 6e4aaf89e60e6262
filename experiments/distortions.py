"""Random changes of training images: shifts, turns, sizes, elastic bends, and removed patches."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

# Deviations at strength 1, of sides of the image except for the angle, in radians.
SHIFT, ANGLE, SCALE, SHEAR, BEND = 0.05, 0.12, 0.08, 0.08, 0.03
KNOTS = 4  # In each direction, between which the bends are interpolated.


def distort(
    rng: Key[Array, ""], images: Float[Array, "b h w"], strength: float
) -> Float[Array, "b h w"]:
    """Returns each image seen through a random affine map and a smooth random displacement.

    Bends are elastic deformations (Simard, Steinkraus & Platt 2003, Best Practices for
    Convolutional Neural Networks Applied to Visual Document Analysis, section 2). Pixels from
    outside of an image are 0.
    """
    count, height, width = images.shape
    map_rng, shift_rng, bend_rng = jax.random.split(rng, 3)
    # One draw for all images: the fast generator draws for each key of a batch in turn.
    normal = lambda key, *shape: strength * jax.random.normal(key, (count, *shape), images.dtype)
    bends = BEND * normal(bend_rng, 2, KNOTS, KNOTS)
    bends = jax.image.resize(bends, (count, 2, height, width), "bilinear")
    moves = bends + SHIFT * normal(shift_rng, 2, 1, 1)
    return jax.vmap(_warped)(images, normal(map_rng, 4), moves)


def erase(
    rng: Key[Array, ""], images: Float[Array, "b h w"], grid: int, share: float
) -> Float[Array, "b h w"]:
    """Makes each of the patches of an image background with the probability `share`."""
    kept = jax.random.bernoulli(rng, 1.0 - share, (len(images), grid, grid))
    side = images.shape[-1] // grid
    return images * kept.repeat(side, 1).repeat(side, 2).astype(images.dtype)


def _warped(
    image: Float[Array, "h w"], affine: Float[Array, " 4"], moves: Float[Array, "2 h w"]
) -> Float[Array, "h w"]:
    """Returns the image with each pixel read from elsewhere."""
    height, width = image.shape
    angle, grow, squeeze, lean = affine
    cosine, sine = jnp.cos(ANGLE * angle), jnp.sin(ANGLE * angle)
    turn = jnp.stack([cosine, -sine, sine, cosine]).reshape(2, 2)
    zero = jnp.zeros_like(lean)
    stretch = jnp.stack([1.0 + SCALE * grow, SHEAR * lean, zero, 1.0 + SCALE * squeeze])
    rows, columns = (jnp.linspace(-0.5, 0.5, side, dtype=image.dtype) for side in image.shape)
    places = jnp.stack(jnp.meshgrid(rows, columns, indexing="ij"))
    seen = jnp.einsum("ij,jhw->ihw", turn @ stretch.reshape(2, 2), places) + moves
    last = jnp.array([height - 1, width - 1], image.dtype)[:, None, None]
    coordinates = (seen + 0.5) * last
    return jax.scipy.ndimage.map_coordinates(image, list(coordinates), order=1, cval=0.0)
