"""The state of RWKV-7: Peng et al. (2025), arXiv:2503.14456."""

from typing import Any

from jaxtyping import Array, Float, Int

from jattn._axes import named_axes
from jattn._options import Length, Size
from jattn._precision import at_least_float32
from jattn.linear.padding import without_padding
from jattn.linear.rule import LinearOutput, delta_rule


@named_axes
@at_least_float32
def rwkv7(
    query: Float[Array, "t k"],
    key: Float[Array, "t k"],
    value: Float[Array, "t v"],
    decay: Float[Array, "t k"],
    removal: Float[Array, "t k"],
    rate: Float[Array, "t k"],
    *,
    initial: Float[Array, "k v"] | None = None,
    length: Length | Int[Array, ""] | None = None,
    chunk_size: Size | None = None,
) -> LinearOutput:
    """Forgets by feature and removes what one key held, while another is written.

        state[t] = (diag(decay[t]) - (rate[t] ∘ removal[t]) removal[t]ᵀ) state[t - 1]
                   + key[t] value[t]ᵀ
        output[t] = state[t]ᵀ query[t]

    The paper names the arguments r (receptance), k̃ (replacement key), v, w, κ̂ and a (in-context
    learning rate), and its state is the transpose. The removed value is read before the decay.
    The paper's κ̂ has length one, and its w is exp(-e^(-1/2) sigmoid(...)), above 0.545. Its bonus
    for the current step and its normalization of outputs are left to the caller.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, or length is out of range.
    """
    query, key, value, removal, rate = without_padding(
        "rwkv7", length, query, key, value, removal, rate
    )
    options: dict[str, Any] = {"initial": initial, "length": length, "chunk_size": chunk_size}
    return delta_rule(
        query, key, value, decay=decay, erase=rate * removal, write=removal, **options
    )
