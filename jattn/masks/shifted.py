"""Masks at positions that are further on, as of a part of a sequence."""

from typing import Any, NamedTuple

import jax
from jaxtyping import Array, Bool, Int

from jattn.masks.algebra import Mask


class Shifted(NamedTuple):
    """The rule of a mask whose first query and first key are further on in that of `structure`."""

    structure: Any

    def __call__(
        self, queries: Any, keys: Any, first_query: Any, first_key: Any, *leaves: Any
    ) -> Bool[Array, "..."]:
        return self.structure.unflatten(leaves).at(queries + first_query, keys + first_key)


def shifted(mask: Mask, first_query: Int[Array, ""] | int, first_key: Int[Array, ""] | int) -> Mask:
    """Returns the mask of the queries from `first_query` on and of the keys from `first_key` on.

    Both may be traced. Arrays of the mask are those of the whole sequence.
    """
    leaves, structure = jax.tree.flatten(mask)
    return Mask(Shifted(structure), (first_query, first_key, *leaves))
