"""The article's model: embedding, GRU, Linear, additive self-attention, Linear."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key

import jattn


class ArticleParams(NamedTuple):
    """One field for each layer, in the article's order."""

    embedding: jattn.AffineParams
    gru: jattn.GRUParams
    between: jattn.AffineParams
    attention: jattn.AdditiveParams
    output: jattn.AffineParams


@functools.partial(jax.jit, static_argnames="hidden_size")
def init_article(
    rng: Key[Array, ""], inputs: Float[Array, "s i"], *, hidden_size: int
) -> ArticleParams:
    """Draws the parameters in the dtype of `inputs`.

    Every layer is initialised as in the library, with two changes:

    - The weights of `embedding` are divided by the root mean square of the inputs. Numbers up to 9
      would drive the gates of the GRU to 0 and 1, after which its states look alike.
    - The bias of `output` is the mean of the rows. Otherwise the first hundreds of steps go into
      reaching that mean, and all layers saturate on the way.
    """
    features, dtype = inputs.shape[1], inputs.dtype
    rngs = jax.random.split(rng, len(ArticleParams._fields))
    embedding = jattn.init_affine(
        rngs[0], input_size=features, output_size=hidden_size, dtype=dtype
    )
    output = jattn.init_affine(rngs[4], input_size=features, output_size=features, dtype=dtype)
    return ArticleParams(
        embedding=embedding._replace(weight=embedding.weight / jnp.sqrt(jnp.mean(inputs**2))),
        gru=jattn.init_gru(rngs[1], input_size=hidden_size, units=hidden_size, dtype=dtype),
        between=jattn.init_affine(
            rngs[2], input_size=hidden_size, output_size=features, dtype=dtype
        ),
        attention=jattn.init_additive(
            rngs[3], query_size=features, key_size=features, units=hidden_size, dtype=dtype
        ),
        output=output._replace(bias=inputs.mean(axis=0)),
    )


def zero_attention(params: ArticleParams) -> ArticleParams:
    """Sets W, U and v of the attention to zero, as the article starts."""
    return params._replace(attention=jax.tree.map(jnp.zeros_like, params.attention))


def apply_article(
    params: ArticleParams, inputs: Float[Array, "s i"]
) -> tuple[Float[Array, "s i"], Float[Array, "s s"]]:
    """Computes the output and the attention weights of the article's model."""
    embedded = jattn.affine(params.embedding, inputs)
    states, _ = jattn.gru(params.gru, embedded)
    encoded = jattn.affine(params.between, states)
    context, weights = jattn.additive_attention(params.attention, encoded, encoded, encoded)
    return jattn.affine(params.output, context), weights


def squared_error(
    params: ArticleParams, inputs: Float[Array, "s i"], rng: object = None
) -> tuple[Float[Array, ""], dict]:
    """Computes the article's loss, the mean squared difference of output and input."""
    output, _ = apply_article(params, inputs)
    return optax.losses.squared_error(output, inputs).mean(), {}
