"""Functions of those arrays that move, for a derivative or a transpose; the others stay."""

from collections.abc import Callable, Sequence
from typing import Any


def of_moving(
    function: Callable[..., Any], arrays: Sequence[Any], moves: Sequence[bool]
) -> Callable[..., Any]:
    """Returns the function of the arrays that move, with the others in their places."""

    def of_those(*moving: Any) -> Any:
        remaining = iter(moving)
        pairs = zip(arrays, moves, strict=True)
        return function(*[next(remaining) if moves else x for x, moves in pairs])

    return of_those


def those_moving(arrays: Sequence[Any], moves: Sequence[bool]) -> list[Any]:
    """Returns the arrays that move."""
    return [x for x, moves in zip(arrays, moves, strict=True) if moves]
