"""The order of norm and sublayer in a block: Xiong et al. (2020), arXiv:2002.04745."""

from collections.abc import Callable
from typing import Any

from jaxtyping import Array, Float

Rows = Float[Array, "t d"]
Norm = Callable[[Rows], Rows]
Sublayer = Callable[[Rows], tuple[Rows, Any]]
Order = Callable[[Norm, Sublayer, Rows], tuple[Rows, Any]]


def pre_norm(norm: Norm, sublayer: Sublayer, inputs: Rows) -> tuple[Rows, Any]:
    """Normalizes before the sublayer: outputs = inputs + sublayer(norm(inputs)).

    This is figure 1 (b) of Xiong et al. (2020), arXiv:2002.04745, and the order of GPT-2. The sum
    is never normalized, so a stack ends with a norm of its own.

    Args:
        norm: a function from features to normalized features.
        sublayer: a function from features to features and a second result.
        inputs: [t d], the features before the sublayer.

    Returns:
        The features [t d] after the sublayer, and its second result.
    """
    outputs, result = sublayer(norm(inputs))
    return inputs + outputs, result


def post_norm(norm: Norm, sublayer: Sublayer, inputs: Rows) -> tuple[Rows, Any]:
    """Normalizes after the sum: outputs = norm(inputs + sublayer(inputs)).

    This is section 3.1 of Vaswani et al. (2017), arXiv:1706.03762, and the order of BERT. Deep
    post-norm stacks need learning-rate warmup.

    Args:
        norm: a function from features to normalized features.
        sublayer: a function from features to features and a second result.
        inputs: [t d], the features before the sublayer.

    Returns:
        The normalized features [t d] after the sublayer, and its second result.
    """
    outputs, result = sublayer(inputs)
    return norm(inputs + outputs), result
