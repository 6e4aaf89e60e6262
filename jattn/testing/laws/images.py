"""Laws of attention and gates on images."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jattn
from jattn.testing.laws.law import RNG, K, law

IMAGE: Any = RNG.standard_normal((3, 5, K))


@law
def a_gate_of_channels_without_weights_halves_them():
    """squeeze_excitation: without weights every factor is one half."""
    params = jattn.images.ChannelGateParams(jnp.zeros((2, K)), jnp.zeros((K, 2)))
    yield jattn.images.squeeze_excitation(params, IMAGE).features, IMAGE / 2


@law
def factors_of_channels_do_not_depend_on_places():
    """squeeze_excitation: a constant image has the factors of its one pixel."""
    params = jattn.images.init_channel_gate(jax.random.key(0), channels=K, units=2)
    constant = jnp.broadcast_to(jnp.asarray(IMAGE[0, 0]), IMAGE.shape)
    hidden = np.maximum(params.reduce_weight @ IMAGE[0, 0], 0.0)
    factors = 1 / (1 + np.exp(-params.expand_weight @ hidden))
    yield jattn.images.squeeze_excitation(params, constant).factors, factors


@law
def gates_without_weights_quarter_an_image():
    """cbam: without weights both gates are one half."""
    params = jattn.images.init_cbam(jax.random.key(0), channels=K, units=2, size=3)
    params = jax.tree.map(jnp.zeros_like, params)
    yield jattn.images.cbam(params, IMAGE).features, IMAGE / 4


@law
def a_constant_image_has_one_mean_and_maximum():
    """cbam: in a constant image mean and maximum are the same, and the network counts twice."""
    params = jattn.images.init_cbam(jax.random.key(0), channels=K, units=2, size=3)
    constant = jnp.broadcast_to(jnp.asarray(IMAGE[0, 0]), IMAGE.shape)
    once = jattn.images.squeeze_excitation(params.channels, constant).factors
    odds = once / (1 - once)
    yield jattn.images.cbam(params, constant).factors, odds**2 / (1 + odds**2)


@law
def a_gate_without_weights_is_its_bias():
    """attention_gate: without weights every place has the sigmoid of the score's bias."""
    sizes: Any = {"channels": K, "signal_channels": 2, "units": 3}
    params = jattn.images.init_attention_gate(jax.random.key(0), **sizes)
    params = params._replace(score_weight=jnp.zeros(3), score_bias=jnp.asarray(np.log(3.0)))
    signal: Any = RNG.standard_normal((3, 5, 2))
    yield jattn.images.attention_gate(params, IMAGE, signal).features, 0.75 * IMAGE


@law
def a_non_local_block_is_dot_attention():
    """non_local_block: identities as its maps add the dot attention of the places."""
    eye = jnp.eye(K)
    params = jattn.images.NonLocalParams(eye, eye, eye, eye)
    places = IMAGE.reshape(15, K)
    block = jattn.images.non_local_block(params, IMAGE)
    added = jattn.dot_attention(places, places, places).context
    yield block.features, IMAGE + added.reshape(IMAGE.shape)


@law
def a_non_local_block_starts_as_the_identity():
    """init_non_local: the block starts as the identity."""
    params = jattn.images.init_non_local(jax.random.key(0), channels=K, units=2)
    yield jattn.images.non_local_block(params, IMAGE).features, IMAGE


def deformable(offset: Any, points: Any) -> Any:
    """Returns what two equal points of one head read, without maps."""
    params = jattn.images.DeformableParams(
        *(jnp.zeros((1, 2, 2, 1)), jnp.tile(jnp.asarray(offset, float), (1, 2, 1))),
        *(jnp.zeros((1, 2, 1)), jnp.zeros((1, 2)), jnp.eye(K)[None], jnp.eye(K)[:, None]),
    )
    points = jnp.asarray(points)[None]
    return jattn.images.deformable_attention(params, jnp.ones((1, 1)), points, IMAGE).context[0]


@law
def points_without_offsets_sample_the_image():
    """deformable_attention: without offsets it is the bilinear sample at the reference point."""
    yield deformable([0, 0], [1.5 / 3, 2.5 / 5]), IMAGE[1, 2]
    yield deformable([0, 0], [1 / 3, 2 / 5]), IMAGE[:2, 1:3].mean((0, 1))
    yield deformable([0, 0], [0.0, 0.5 / 5]), IMAGE[0, 0] / 2


@law
def offsets_are_counted_in_pixels():
    """deformable_attention: an offset of one row and minus two columns reads that pixel."""
    yield deformable([1, -2], [1.5 / 3, 2.5 / 5]), IMAGE[2, 0]
    yield deformable([7, 0], [1.5 / 3, 2.5 / 5]), np.zeros(K)
