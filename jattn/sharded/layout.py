"""Layouts of a sharded sequence: which chunks meet in each step of a ring, and their masks."""

from functools import partial, reduce
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
from jattn.sharded.pairs import Pair, visible, with_ids

# What masks of chunks are known to show: True, False, or their structure.
Kind = tuple[Any, ...]


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
        rows = []
        for i in range(self.chunks):
            parts = [
                attend(self.settings, pair, *self._chunks(held, travelling, i, j))
                for j in range(self.chunks)
                for pair in [self._pair(step, wraps, i, j, held.device, at)]
            ]
            parts = [x for x in parts if x is not None]
            merge = lambda left, right: merge_attention(*left, *right)
            empty = nothing(self._part(held.query, i, -3), travelling.value)
            rows.append(reduce(merge, parts) if parts else empty)
        if len(rows) == 1:
            return rows[0]
        outputs, sums = zip(*rows, strict=True)
        return MergedAttention(jnp.concatenate(outputs, -3), jnp.concatenate(sums, -2))

    def _chunks(
        self, held: Held, travelling: Travelling, i: int, j: int
    ) -> tuple[Held, Travelling]:
        """Returns the arrays of a chunk of queries and of a chunk of keys."""
        ids_of = lambda number: lambda ids: self._part(ids, number, -1)
        mask = held.mask and with_ids(held.mask, ids_of(i), ids_of(j))
        key, value = (self._part(x, j, -3) for x in travelling[:2])
        ids = [self._part(x, j, -1) for x in travelling.ids]
        query = self._part(held.query, i, -3)
        return held._replace(query=query, mask=mask), Travelling(key, value, ids)

    def _part(self, array: Any, number: int, axis: int) -> Any:
        if self.chunks == 1:
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

    def _kind(self, step: int, mask: Mask | None, wraps: bool) -> Kind:
        """Returns what the masks of a step's chunks are known to show."""
        if mask is None:
            return (True,) * self.chunks**2
        zero = np.zeros((), np.int32)  # A leaf of the mask, as the traced position is.
        pairs = [self._pair(step, wraps, i, j, zero, zero) for i, j in self._numbers()]
        shown = [visible(mask, pair) for pair in pairs]
        return tuple(x if isinstance(x, bool) else jax.tree.structure(x) for x in shown)

    def _numbers(self) -> list[tuple[int, ...]]:
        return list(np.ndindex(self.chunks, self.chunks))
