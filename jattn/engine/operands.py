"""The arrays of a tile, and what is known about it before the run."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Key

from jattn.masks.algebra import Mask


class At(NamedTuple):
    """The pairs that scores are of: integer arrays that broadcast with the scores.

    `batch` counts the elements of all leading axes in their order. `query` and `key` are positions
    in the sequences, and `query` includes the query_offset.
    """

    batch: Int[Array, "..."]
    head: Int[Array, "..."]
    query: Int[Array, "..."]
    key: Int[Array, "..."]


# Map scores, or weights, with the places of their pairs and the parameters.
Score = Callable[[Float[Array, "..."], At, Any], Float[Array, "..."]]


class Functions(NamedTuple):
    """Functions of the caller, and the structure of the parameters that these take."""

    score: Score | None
    weight: Score | None
    normalizer: Callable[[Any, Any], Any] | None  # None is softmax.
    structure: Any
    moves: tuple[bool, ...]  # Whether each parameter is differentiated.


class Settings(NamedTuple):
    """Numbers and functions that are known before the run."""

    heads: int  # Query heads r that share keys and values.
    cap: float | None
    dropout_rate: float
    precision: Any = None  # Of the products, as `jax.lax.dot_general` takes it.
    functions: Functions | None = None

    def product(
        self,
        left: Float[Array, "_ _"],
        right: Float[Array, "_ _"],
        left_axis: int,
        right_axis: int,
    ) -> Float[Array, "_ _"]:
        """The product of two matrices over the given axes; JAX transposes it without a detour."""
        axes = (((left_axis,), (right_axis,)), ((), ()))
        return lax.dot_general(left, right, axes, precision=self.precision)


class Operands(NamedTuple):
    """Differentiable arrays of a head or tile, whose axis r is absent where it would be one."""

    query: Float[Array, "t *r k"]
    key: Float[Array, "s k"]
    value: Float[Array, "s v"]
    bias: Float[Array, "*r t s"] | None  # Axes of t and s may have size 1.
    sinks: Float[Array, "*r"] | None
    scale: Float[Array, ""]
    distances: Float[Array, "*r n"] | None = None  # A bias of each key - query, from 1 - t on.
    params: tuple[Any, ...] = ()


class Place(NamedTuple):
    """Positions of a tile's first query and first key."""

    query: Any = 0
    key: Any = 0


class Hidden(NamedTuple):
    """Arrays without derivatives: what is masked, and what dropout draws from."""

    mask: Mask | None = None
    array: Bool[Array, "*r t s"] | None = None  # Axes of t and s may have size 1.
    rng: Key[Array, ""] | None = None
    heads: Int[Array, "*r"] | None = None  # The number of each head: batch × heads + head.
    origin: Place | None = None  # Where the positions of dropout, bias and functions start.
    offset: Int[Array, ""] | None = None  # Position of the first query for bias and functions.
    fixed: tuple[Any, ...] = ()  # Parameters of the functions that are no floats.
    batch: Int[Array, ""] | None = None  # The numbers that functions get: of the element,
    head: Int[Array, "*r"] | None = None  # and of each head in it.


class Read(NamedTuple):
    """Weighted means of the values, and the logarithm of the sum of the exponentials."""

    context: Float[Array, "t *r v"]
    lse: Float[Array, "t *r"]


class Pairs(NamedTuple):
    """The pairs of a tile: its queries and keys, and the heads that each query has a row of."""

    t: int
    r: int
    s: int

    def rows(self, pairs: Float[Array, "*r t s"]) -> Float[Array, "c s"]:
        """`pairs`, of whose axes some may be 1 or missing, with the heads of a query together."""
        pairs = pairs[:, None] if pairs.ndim == 2 else jnp.moveaxis(pairs, 0, 1)
        return jnp.broadcast_to(pairs, (self.t, self.r, self.s)).reshape(self.t * self.r, self.s)

    def rows_of(self, queries: Int[Array, " t"]) -> Int[Array, " c"]:
        """A number of each query, for each of its heads."""
        return jnp.broadcast_to(queries[:, None], (self.t, self.r)).reshape(-1)

    def each_query(self, heads: Float[Array, "*r"]) -> Float[Array, " c"]:
        """A number of each head, for each of its queries."""
        return jnp.broadcast_to(heads.reshape(1, self.r), (self.t, self.r)).reshape(self.t * self.r)
