"""Attention with memory in a decoder, which carries the mechanism's state from step to step."""

import dataclasses
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
from jaxtyping import Array, Float

from jattn._options import check_options, named
from jattn._sharding import check_whole
from jattn._varying import scan
from jattn.attention.attend import Attended
from jattn.masks.algebra import as_array
from jattn.recurrent.reading import Attention, Memory, Position

Step = Callable[[Float[Array, " q"], Any], tuple[Attended, Any]]


@dataclasses.dataclass(frozen=True)
class StatefulReader:
    """A mechanism with memory between queries, bound to what its queries read.

    `step(query, state)` returns context and weights of one query, and the next state. A call is
    that of other readers: all queries in order, from `start`. The position counts for nothing.
    """

    start: Any
    step: Step

    def __call__(self, query: Float[Array, "t q"], position: Position) -> Attended:
        def turned(state: Any, row: Float[Array, " q"]) -> tuple[Any, Attended]:
            attended, state = self.step(row, state)
            return state, attended

        return scan(turned, first_state(self, query[:1].sum(0)), query)[1]


def read_in_order(
    step: Callable[..., Any], *, start: Callable[..., Any], **options: Any
) -> Attention:
    """Adapts the step of a mechanism with memory for use in a decoder, as its `attention`.

    The decoder's state holds the mechanism's state, so that searches carry it for each hypothesis.
    Keys and values are both `memory.values`, and positions that are not valid are masked.

    Args:
        step: such as `jattn.alignment.coverage_step`.
        start: the function that returns its first state, such as `jattn.alignment.coverage_start`,
            called with `params` if that is its argument, and else with `memory.values`.
        options: further keyword arguments of the step, except `mask`.

    Raises:
        ValueError: if `step` or `start` is not a function, or an option is not an argument of the
            step. The result raises ValueError if its `memory` is not a Memory.
    """
    with named("read_in_order"):
        kinds = {"step": Callable[..., Any], "start": Callable[..., Any]}
        check_options(kinds, {"step": step, "start": start})
    accepted = inspect.signature(step).parameters
    for option in options:
        if option not in accepted or option == "mask":
            name = getattr(step, "__name__", type(step).__name__)
            raise ValueError(
                f"read_in_order: {option} is an option, expected an argument of {name} but the mask"
            )
    return partial(_bind, step, start, options)


def _bind(step, start, options, params, memory) -> StatefulReader:
    if not isinstance(memory, Memory):
        raise ValueError(f"read_in_order: memory is a {type(memory).__name__}, expected a Memory")
    check_whole("read_in_order: memory.values", memory.values, 0, "s")
    values = memory.values
    mask = as_array(memory.mask, 1, values.shape[0])
    if mask is not None:
        options = options | {"mask": mask[0]}
    keys = (values,) if "key" in inspect.signature(step).parameters else ()
    of_params = "params" in inspect.signature(start).parameters
    return StatefulReader(
        start(params if of_params else values),
        lambda query, state: step(params, state, query, *keys, values, **options),
    )


def first_state(read: Any, query: Float[Array, " q"]) -> Any:
    """Returns the state before the first query, in the dtype of later ones; () without memory."""
    if not isinstance(read, StatefulReader):
        return ()
    later = jax.eval_shape(read.step, query, read.start)[1]
    return jax.tree.map(lambda leaf, like: leaf.astype(like.dtype), read.start, later)


def read_one(
    read: Any, query: Float[Array, " q"], position: Position, state: Any
) -> tuple[Float[Array, " v"], Float[Array, "*h s"], Any]:
    """Returns context and weights of one query, and the next state of a reader with memory."""
    if isinstance(read, StatefulReader):
        (context, weights), state = read.step(query, state)
        return context, weights, state
    context, weights = read(query[None], position)
    return context[0], weights[..., 0, :], state
