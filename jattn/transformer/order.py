"""Where a block normalizes: before each of its layers or after, Xiong et al. (2020)."""

from collections.abc import Callable
from typing import Any

from jaxtyping import Array, Float

Rows = Float[Array, "t d"]
Norm = Callable[[Rows], Rows]
Sublayer = Callable[[Rows], tuple[Rows, Any]]
Order = Callable[[Norm, Sublayer, Rows], tuple[Rows, Any]]


def pre_norm(norm: Norm, sublayer: Sublayer, inputs: Rows) -> tuple[Rows, Any]:
    """outputs = inputs + sublayer(norm(inputs)): figure 1 (b) of Xiong et al. (arXiv:2002.04745).

    What goes straight through is never normalized, so a stack ends with a norm of its own. GPT-2
    has this order.
    """
    outputs, found = sublayer(norm(inputs))
    return inputs + outputs, found


def post_norm(norm: Norm, sublayer: Sublayer, inputs: Rows) -> tuple[Rows, Any]:
    """outputs = norm(inputs + sublayer(inputs)): Vaswani et al. (arXiv:1706.03762), section 3.1.

    BERT has this order. Deep stacks of it want a rate of learning that warms up.
    """
    outputs, found = sublayer(inputs)
    return norm(inputs + outputs), found
