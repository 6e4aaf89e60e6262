"""Scores of a picture and a name: places and characters are pooled, and the results compared."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int, Key

import jattn
from experiments import coattention
from experiments.contrastive import both_ways
from experiments.convolutions import ConvolutionParams, convolution, init_convolutions
from experiments.distortions import distort
from experiments.emoji.config import Config
from experiments.emoji.drawings import GREY, SIDE
from jattn.layers import (
    AffineParams,
    EmbeddingParams,
    affine,
    dropout,
    embedding,
    init_affine,
    init_embedding,
)

STRIDES = (2, 2, 1, 2)
GRID = SIDE // 8  # Places in each direction.
FIRST_SCALE, MOST_SCALE = 1 / 0.07, 100.0  # Of cosines, as in CLIP (arXiv:2103.00020, section 2.5).


class QueryParams(NamedTuple):
    """A learned query, and the weights that score keys for it."""

    query: Float[Array, "1 p"]
    scores: jattn.AdditiveParams


class PairOfQueries(NamedTuple):
    """The queries of places and of characters."""

    places: QueryParams
    characters: QueryParams


class Params(NamedTuple):
    """Weights of both encoders, of the pooling, of what is compared, and the log of the scale.

    `pooling` is None for means.
    """

    picture: tuple[ConvolutionParams, ...]
    name: EmbeddingParams
    pooling: PairOfQueries | coattention.CoAttentionParams | None
    of_picture: AffineParams
    of_name: AffineParams
    log_scale: Float[Array, ""]


class Pair(NamedTuple):
    """The cosine of a picture and a name, and the weights of places [s] and characters [t]."""

    cosine: Float[Array, ""]
    places: Float[Array, " s"]
    characters: Float[Array, " t"]


def init(rng: Key[Array, ""], config: Config, pooling: str, tokens: int) -> Params:
    """Draws the weights of a model of so many tokens."""
    rngs, dtype = jax.random.split(rng, 5), jnp.float32
    seen, said, units = config.channels[-1], config.embedding, config.score_units
    # Small, so that parts that training has not moved far add little to a name.
    name = EmbeddingParams(
        0.1 * init_embedding(rngs[1], words=tokens, size=said, dtype=dtype).weight
    )
    pool: Any = None
    if pooling == "attention":
        keys = jax.random.split(rngs[2])
        pool = PairOfQueries(*map(_init_query, keys, (seen, said), (units, units)))
    elif pooling == "co-attention":
        sizes = {"image_size": seen, "words_size": said, "units": units}
        pool = coattention.init(rngs[2], **sizes, dtype=dtype)
    of_picture, of_name = (
        init_affine(key, input_size=size, output_size=config.features, dtype=dtype)
        for key, size in zip(rngs[3:], (seen, said), strict=True)
    )
    scale = jnp.log(jnp.asarray(FIRST_SCALE, dtype))
    convolutions = init_convolutions(rngs[0], (3, *config.channels))
    return Params(convolutions, name, pool, of_picture, of_name, scale)


def _init_query(rng: Key[Array, ""], size: int, units: int) -> QueryParams:
    query_rng, scores_rng = jax.random.split(rng)
    scores = jattn.init_additive(
        scores_rng, query_size=units, key_size=size, units=units, bias=True, dtype=jnp.float32
    )
    return QueryParams(jax.random.normal(query_rng, (1, units), jnp.float32), scores)


def places(params: Params, picture: Float[Array, "y x c"]) -> Float[Array, "s v"]:
    """Returns features of each place of the grid, row by row; a place depends on 23 x 23 pixels."""
    for layer, stride in zip(params.picture, STRIDES, strict=True):
        picture = convolution(layer, picture, stride)
    return picture.reshape(GRID * GRID, -1)


def characters(params: Params, tokens: Int[Array, "t p"]) -> Float[Array, "t q"]:
    """Returns features of each character: the sum of the embeddings of its parts of the name.

    Bojanowski et al. (2017, arXiv:1607.04606) sum embeddings of runs of characters too.
    """
    return embedding(params.name, tokens.reshape(-1)).reshape(*tokens.shape, -1).sum(1)


def pair(
    params: Params, seen: Float[Array, "s v"], said: Float[Array, "t q"], length: Int[Array, ""]
) -> Pair:
    """Compares a picture and a name.

    Without co-attention neither side depends on the other, and `jax.vmap` pools each once.
    """
    valid = jnp.arange(len(said), dtype=length.dtype) < length
    pooling = params.pooling
    if isinstance(pooling, coattention.CoAttentionParams):
        picture, name, *weights = coattention.co_attention(pooling, seen, said, valid)
    elif isinstance(pooling, PairOfQueries):
        by_place = _attend(pooling.places, seen, None)
        by_character = _attend(pooling.characters, said, valid[None])
        picture, name = by_place.context[0], by_character.context[0]
        weights = [by_place.weights[0], by_character.weights[0]]
    else:
        even = jnp.full(len(seen), 1 / len(seen), seen.dtype)
        share = valid.astype(said.dtype) / length.astype(said.dtype)
        picture, name, weights = even @ seen, share @ said, [even, share]
    compared = [affine(params.of_picture, picture), affine(params.of_name, name)]
    left, right = (each * jax.lax.rsqrt(each @ each + 1e-6) for each in compared)
    return Pair(left @ right, *weights)


def _attend(params: QueryParams, rows: Array, mask: Array | None) -> jattn.Attended:
    return jattn.additive_attention(params.scores, params.query, rows, rows, mask=mask)


def cosines(
    params: Params,
    seen: Float[Array, "n s v"],
    said: Float[Array, "m t q"],
    lengths: Int[Array, " m"],
) -> Float[Array, "m n"]:
    """Returns the cosine of each name and each picture."""
    one = lambda seen, said, length: pair(params, seen, said, length).cosine
    return jax.vmap(jax.vmap(one, (0, None, None)), (None, 0, 0))(seen, said, lengths)


def centred(pictures: Int[Array, "n y x c"]) -> Float[Array, "n y x c"]:
    """Returns bytes as numbers around 0, which is the background."""
    return (pictures.astype(jnp.float32) - GREY) / 255


def loss(
    params: Params, batch: Mapping[str, Any], rng: Key[Array, ""], *, config: Config
) -> tuple[Float[Array, ""], dict[str, Array]]:
    """Returns how badly names find their pictures in the batch, and pictures their names.

    Each picture has names in several languages, which are drawn for the step. Names compete with
    those of the same language.
    """
    distort_rng, place_rng, character_rng, language_rng = jax.random.split(rng, 4)
    pictures = centred(batch["pictures"])
    if config.distortion:
        moved = lambda channel: distort(distort_rng, channel, config.distortion)
        pictures = jax.vmap(moved, -1, -1)(pictures)  # One draw, so channels move together.
    several = batch["lengths"].shape[1]
    languages = jax.random.permutation(language_rng, several)[: min(config.names, several)]
    seen = dropout(place_rng, jax.vmap(places, (None, 0))(params, pictures), config.dropout)
    scale = jnp.minimum(jnp.exp(params.log_scale), MOST_SCALE)
    tokens, lengths = (batch[name].swapaxes(0, 1)[languages] for name in ("tokens", "lengths"))
    of_names = jax.vmap(jax.vmap(characters, (None, 0)), (None, 0))
    said = dropout(character_rng, of_names(params, tokens), config.dropout)
    compared = jax.vmap(cosines, (None, None, 0, 0))(params, seen, said, lengths)
    logits = scale * compared
    index = jnp.arange(logits.shape[-1])
    found = (logits.argmax(-1).astype(index.dtype) == index[None]).mean(dtype=logits.dtype)
    return jax.vmap(both_ways)(logits).mean(), {"found": found, "scale": scale}


_places = jax.jit(lambda params, pictures: jax.vmap(places, (None, 0))(params, centred(pictures)))
_characters = jax.jit(jax.vmap(characters, (None, 0)))
_cosines = jax.jit(cosines)
_pair = jax.jit(pair)


def scores(params: Params, pictures: ArrayLike, tokens: ArrayLike, lengths: ArrayLike) -> Array:
    """Returns the cosine of each name with each picture, by language: [l m n]."""
    pictures, tokens, lengths = map(jnp.asarray, (pictures, tokens, lengths))
    seen = _places(params, pictures)
    said = lambda i: _characters(params, tokens[:, i])
    return jnp.stack(
        [_cosines(params, seen, said(i), lengths[:, i]) for i in range(lengths.shape[1])]
    )


def attended(params: Params, picture: ArrayLike, tokens: ArrayLike, length: ArrayLike) -> Pair:
    """Returns the weights of the places of a picture and of the characters of a name."""
    picture, tokens, length = map(jnp.asarray, (picture, tokens, length))
    seen = _places(params, picture[None])[0]
    said = _characters(params, tokens[None])[0]
    return _pair(params, seen, said, length)
