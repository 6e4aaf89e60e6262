"""The output of a cell's state, and the state before the first step."""

from typing import Any

from jaxtyping import Array, Float


def output_of(state: Any) -> Float[Array, " n"]:
    """Returns the field `hidden` of a state that has one; any other state is its own output."""
    return getattr(state, "hidden", state)


def zero_state(function: str, params: Any) -> Any:
    """Returns the state before the first step, by the method `zero_state` of the parameters.

    Raises:
        ValueError: if the parameters have no such method.
    """
    if not hasattr(params, "zero_state"):
        kind = type(params).__name__
        raise ValueError(
            f"{function}: initial is None and {kind} has no method zero_state, expected a state"
        )
    return params.zero_state()


def state_with(params: Any, output: Float[Array, " n"]) -> Any:
    """Returns a state with this output, whose other parts are zero."""
    if not hasattr(params, "zero_state"):
        return output
    state = params.zero_state()
    return state._replace(hidden=output) if hasattr(state, "hidden") else output
