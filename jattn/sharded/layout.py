"""Layouts of a sharded sequence: which chunks meet in each step of a ring, and their masks."""

from functools import partial
from itertools import groupby
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jattn.engine.merge import MergedAttention, merge_attention
from jattn.masks.algebra import Mask
from jattn.sharded.arguments import Held, Settings, Travelling, attend, nothing
from jattn.sharded.circulation import Ring, Run
from jattn.sharded.pairs import Pair, is_placeless, visible, with_ids

# The numbers of a chunk of queries and a chunk of keys on their devices; None is all of them.
Cell = tuple[int | None, int | None]


class Layout(NamedTuple):
    """The chunks of each device, and settings of attention, known before the run.

    Attributes:
        chunks: 1 if device i holds chunk i; 2 if it holds chunks i and 2 n - 1 - i of 2 n.
        size: number of positions in a chunk.
    """

    ring: Ring
    chunks: int
    size: int
    settings: Settings

    def attend(self, step: int, at: Any, held: Held, travelling: Travelling) -> MergedAttention:
        """Attends from the queries of a device to the keys that have arrived.

        Args:
            step: a step, known before the run, that has the same masks as step `at`.
        """
        keeps, wraps = (partial(self._attend, step, at, x) for x in (False, True))
        if not step or self._kind(step, held.mask, False) == self._kind(step, held.mask, True):
            return keeps(held, travelling)
        return lax.cond(held.device < at, wraps, keeps, held, travelling)

    def runs(self, mask: Mask | None) -> list[Run]:
        """Returns the steps in which any device attends, neighbours with equal masks together."""
        kinds = [
            (self._kind(step, mask, False), self._kind(step, mask, True) if step else None)
            for step in range(self.ring.devices)
        ]
        groups = [(kind, list(x)) for kind, x in groupby(range(len(kinds)), kinds.__getitem__)]
        hidden = (False,) * self.chunks**2
        shows = lambda kind: any(x not in (hidden, None) for x in kind)
        return [Run(steps[0], len(steps)) for kind, steps in groups if shows(kind)]

    def _attend(
        self, step: int, at: Any, wraps: bool, held: Held, travelling: Travelling
    ) -> MergedAttention:
        shown = self._shown(step, held.mask, wraps)
        lengths = held.query_seq_lengths, held.key_value_seq_lengths
        needs_places = self.settings.dropout_rate > 0.0 or any(x is not None for x in lengths)
        cells, found = self._cells(shown, needs_places), {}
        for i, j in cells:
            pair = self._pair(step, wraps, i or 0, j or 0, held.device, at)
            new = attend(self.settings, pair, *self._chunks(held, travelling, i, j))
            found[i] = merge_attention(*found[i], *new) if i in found else new
        if None in found:
            return found[None]
        for i in range(self.chunks):
            found.setdefault(i, nothing(self._part(held.query, i, -3), travelling.value))
        outputs, sums = zip(*(found[i] for i in range(self.chunks)), strict=True)
        return MergedAttention(jnp.concatenate(outputs, -3), jnp.concatenate(sums, -2))

    def _cells(self, shown: list[Mask | bool], needs_places: bool) -> list[Cell]:
        """Returns the chunks to attend between.

        If all that show anything are a rectangle, and need only one mask, it is a single cell.
        """
        numbers = list(np.ndindex(self.chunks, self.chunks))
        cells = [cell for cell, x in zip(numbers, shown, strict=True) if x is not False]
        masks = [x for x in shown if x is not False]
        rows, columns = ({cell[axis] for cell in cells} for axis in (0, 1))
        if len(set(map(_structure, masks))) != 1 or len(cells) != len(rows) * len(columns):
            return cells
        if self.chunks > 1 and (needs_places or not all(map(is_placeless, masks))):
            return cells
        whole = lambda numbers: None if len(numbers) == self.chunks else min(numbers)
        return [(whole(rows), whole(columns))]

    def _chunks(
        self, held: Held, travelling: Travelling, i: int | None, j: int | None
    ) -> tuple[Held, Travelling]:
        """Returns the arrays of a chunk of queries and of a chunk of keys, None for all chunks."""
        ids_of = lambda number: lambda ids: self._part(ids, number, -1)
        mask = held.mask and with_ids(held.mask, ids_of(i), ids_of(j))
        key, value = (self._part(x, j, -3) for x in travelling[:2])
        ids = [self._part(x, j, -1) for x in travelling.ids]
        query = self._part(held.query, i, -3)
        return held._replace(query=query, mask=mask), Travelling(key, value, ids)

    def _part(self, array: Any, number: int | None, axis: int) -> Any:
        if number is None:
            return array
        return lax.slice_in_dim(array, number * self.size, (number + 1) * self.size, axis=axis)

    def _pair(self, step: int, wraps: bool, i: int, j: int, device: Any, at: Any) -> Pair:
        """Returns the places of chunk i of the queries and chunk j of the keys on a device.

        Args:
            wraps: whether the keys come from a device with a larger number.
            at: the step, traced; masks in it are equal to those of `step`.
        """
        n = self.ring.devices
        place = lambda device, number: (2 * n - 1 - device if number else device) * self.size
        devices = range(step) if wraps else range(step, n)
        distances = [place(x, i) - place((x - step) % n, j) for x in devices]
        key = place((device - at) % n, j)
        return Pair(place(device, i), key, (min(distances), max(distances)), self.size, self.size)

    def _shown(self, step: int, mask: Mask | None, wraps: bool) -> list[Mask | bool]:
        """Returns the masks of a step's chunks, with zero as each position that is traced."""
        if mask is None:
            return [True] * self.chunks**2
        zero = np.zeros((), np.int32)
        numbers = np.ndindex(self.chunks, self.chunks)
        pairs = [self._pair(step, wraps, i, j, zero, zero) for i, j in numbers]
        return [visible(mask, pair) for pair in pairs]

    def _kind(self, step: int, mask: Mask | None, wraps: bool) -> tuple[Any, ...]:
        """Returns what is known of the masks of a step's chunks: True, False, or a structure."""
        return tuple(map(_structure, self._shown(step, mask, wraps)))


def _structure(shown: Mask | bool) -> Any:
    return shown if isinstance(shown, bool) else jax.tree.structure(shown)
