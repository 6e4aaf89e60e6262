"""Monotonic chunkwise attention: Chiu & Raffel (2018), arXiv:1712.05382."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Key

from jattn.alignment.in_order import (
    KeyBias,
    KeyMask,
    attended_with,
    one_query,
    only,
    weights_in_order,
)
from jattn.alignment.monotonic import (
    MonotonicParams,
    expected,
    init_monotonic,
    monotonic_energies,
    monotonic_start,
)
from jattn.alignment.scoring import additive_scores
from jattn.attention.additive import AdditiveParams, init_additive
from jattn.attention.attend import Readable
from jattn.mechanism import Attended, Bias, MaskLike, Size, at_least_float32, named_axes, readable
from jattn.normalizers import softmax


class MochaParams(NamedTuple):
    """Weights of the network that decides where to stop, and of the one that scores a chunk."""

    monotonic: MonotonicParams
    chunk: AdditiveParams


@named_axes
def init_mocha(
    rng: Key[Array, ""],
    *,
    query_size: Size,
    key_size: Size,
    units: Size,
    offset: float = -4.0,
    bias: bool = True,
    dtype: DTypeLike = float,
) -> MochaParams:
    """Draws the parts as `init_monotonic` and `init_additive` do."""
    stop_rng, chunk_rng = jax.random.split(rng)
    sizes = {"query_size": query_size, "key_size": key_size, "units": units}
    options = {"bias": bias, "dtype": dtype}
    return MochaParams(
        init_monotonic(stop_rng, **sizes, offset=offset, **options),
        init_additive(chunk_rng, **sizes, **options),
    )


@named_axes
@at_least_float32
def mocha(
    params: MochaParams,
    query: Float[Array, "t q"],
    key: Float[Array, "s k"],
    value: Float[Array, "s v"],
    *,
    width: Size,
    mask: MaskLike = None,
    bias: Bias = None,
    initial: Float[Array, " s"] | None = None,
) -> Attended:
    """Attends to the `width` keys that end where monotonic attention stops, by their scores.

        weights[s] = Σ_{k = s}^{s + width - 1} stopped[k] exp(scores[s]) / Σ_l exp(scores[l])

    with l from k - width + 1 to k. `stopped` are the weights of `monotonic`, and the scores those
    of additive attention. The paper names these α, u and w. Each softmax is of its own window: no
    differences of cumulative sums, which lose digits. A row sums to what `stopped` sums to.

    Args:
        width: number of keys of a chunk; 1 is `monotonic`.
        mask: True where a query may attend to a key. Other keys keep their place in a chunk.
        bias: added to the energies of stopping, as in `monotonic`; -inf is the same as a mask.
        initial: as in `monotonic`: where the query before the first stopped.

    Raises:
        ValueError: if two arguments disagree about the size of an axis or width is not at least 1.
    """
    state = monotonic_start(key) if initial is None else initial
    of = readable(query, (key, state), value, mask, bias)
    key, state = of.key
    return _attend(params, state, of, key, width)[0]


@named_axes
@at_least_float32
def mocha_step(
    params: MochaParams,
    state: Float[Array, " s"],
    query: Float[Array, " q"],
    key: Float[Array, "s k"],
    value: Float[Array, "s v"],
    *,
    width: Size,
    mask: KeyMask = None,
    bias: KeyBias = None,
) -> tuple[Attended, Float[Array, " s"]]:
    """Returns context and weights of one query, and the next state: where it stopped.

    The first state is `monotonic_start(key)`.

    Raises:
        ValueError: if two arguments disagree about the size of an axis or width is not at least 1.
    """
    of = one_query(query, key, value, mask, bias)
    attended, state = _attend(params, state, of, of.key, width)
    return only(attended), state


def _attend(
    params: MochaParams,
    initial: Float[Array, " s"],
    of: Readable,
    key: Float[Array, "s k"],
    width: int,
) -> tuple[Attended, Float[Array, " s"]]:
    energy = monotonic_energies(params.monotonic, of.query, key)
    stopped, state = weights_in_order(expected, initial, energy, of)
    scores = additive_scores(params.chunk, of.query, key)
    allowed = jnp.ones_like(scores, bool) if of.allowed is None else of.allowed
    in_chunks = jax.vmap(partial(_in_chunks, width=width))
    return attended_with(in_chunks(stopped, scores, allowed), of.value), state


def _in_chunks(
    stopped: Float[Array, " s"],
    scores: Float[Array, " s"],
    allowed: Bool[Array, " s"],
    *,
    width: int,
) -> Float[Array, " s"]:
    """Returns for each key the sum of its shares in the chunks that it belongs to."""
    places, chunk = jnp.arange(scores.shape[0])[:, None], jnp.arange(width)[None]
    window = lambda row: jnp.pad(row, (width - 1, 0))[places + chunk]
    shares = stopped[:, None] * softmax(window(scores), window(allowed))  # [end, place in chunk]
    ends = jnp.pad(shares, ((0, width - 1), (0, 0)))
    return ends[places + (width - 1 - chunk), chunk].sum(1)
