"""A GRU over a sequence, forwards or backwards, with padding anywhere."""

from typing import NamedTuple

from jaxtyping import Array, Bool, Float, Int

from jattn._axes import named_axes
from jattn._precision import at_least_float32
from jattn.recurrent.cells import Cell, GRUParams, gru_cell
from jattn.recurrent.padding import check_steps
from jattn.recurrent.unroll import directions


class GRUOutput(NamedTuple):
    """The state after each step, and the last state."""

    outputs: Float[Array, "s n"]
    final: Float[Array, " n"]


@named_axes
@at_least_float32
def gru(
    params: GRUParams,
    inputs: Float[Array, "s i"],
    *,
    initial: Float[Array, " n"] | None = None,
    length: int | Int[Array, ""] | None = None,
    valid: Bool[Array, " s"] | None = None,
    reverse: bool = False,
    cell: Cell = gru_cell,
    hidden_scale: Float[Array, " n"] | None = None,
) -> GRUOutput:
    """Runs `cell` over a sequence; the state after one step is an input of the next.

        state[s] = cell(params, state[s - 1], inputs[s]),   state[-1] = initial

    A step that is not valid leaves the state and outputs zero, whatever its inputs hold. With no
    valid step, the final state is the initial one.

    Args:
        initial: the state before the first step, zero by default.
        length: number of valid steps, which come first; all steps by default. A traced length is
            not checked: a negative one acts as 0, and one that is too large as all steps.
        valid: True for each valid step, which may be any steps: padding may come first, or leave
            holes. Excludes `length`.
        reverse: steps from the last valid input to the first. `outputs[s]` is then the state
            after reading inputs s and later, and `final` is the state after all inputs.
        cell: `gru_cell`, `reset_before_gru_cell` or a function with their arguments. For these
            two, one product projects the inputs of several steps.
        hidden_scale: multiplies the hidden state where it enters the products, at every step, but
            not where the update gate keeps it. A mask drawn once by `dropout` makes this the
            recurrent dropout of Gal & Ghahramani (2016), arXiv:1512.05287.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, length is negative or
            more than the number of inputs, or both length and valid are given.
    """
    check_steps("gru", length, valid, "inputs", inputs)
    both = directions(
        "gru",
        cell,
        (params,),
        inputs,
        (initial,),
        (length, valid),
        (hidden_scale,),
        reverse=(reverse,),
    )
    return GRUOutput(*both[0])
