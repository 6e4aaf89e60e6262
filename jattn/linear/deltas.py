"""States that replace what a key held: DeltaNet, gated DeltaNet and Kimi Delta Attention.

Sources: Schlag et al. (2021), arXiv:2102.11174, and Yang et al. (2024), arXiv:2406.06484; Yang et
al. (2024), arXiv:2412.06464; Kimi Team (2025), arXiv:2510.26692.
"""

from typing import Any

from jaxtyping import Array, Float, Int

from jattn._axes import named_axes
from jattn._options import Length, Size
from jattn._precision import at_least_float32
from jattn.linear.padding import without_padding
from jattn.linear.rule import LinearOutput, delta_rule


@named_axes
@at_least_float32
def delta_net(
    query: Float[Array, "t k"],
    key: Float[Array, "t k"],
    value: Float[Array, "t v"],
    strength: Float[Array, " t"],
    *,
    initial: Float[Array, "k v"] | None = None,
    length: Length | Int[Array, ""] | None = None,
    chunk_size: Size | None = None,
) -> LinearOutput:
    """Moves what a state holds at each key towards the step's value.

        state[t] = state[t - 1] + strength[t] key[t] (value[t] - state[t - 1]ᵀ key[t])ᵀ
        output[t] = state[t]ᵀ query[t]

    The paper's β_t is `strength`. Keys are used as they are. Of length one, strength 1 replaces
    the old value, and 2 reflects the state. fla also divides queries by the root of their size.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, or length is out of range.
    """
    query, key, value, strength = without_padding("delta_net", length, query, key, value, strength)
    added = strength[:, None] * key
    options: dict[str, Any] = {"initial": initial, "length": length, "chunk_size": chunk_size}
    return delta_rule(query, added, value, erase=added, write=key, **options)


@named_axes
@at_least_float32
def gated_delta_net(
    query: Float[Array, "t k"],
    key: Float[Array, "t k"],
    value: Float[Array, "t v"],
    strength: Float[Array, " t"],
    decay: Float[Array, " t"],
    *,
    initial: Float[Array, "k v"] | None = None,
    length: Length | Int[Array, ""] | None = None,
    chunk_size: Size | None = None,
) -> LinearOutput:
    """Forgets at one rate, then moves what the state holds at each key towards the value.

        state[t] = decay[t] (I - strength[t] key[t] key[t]ᵀ) state[t - 1]
                   + strength[t] key[t] value[t]ᵀ
        output[t] = state[t]ᵀ query[t]

    The paper's α_t and β_t are `decay` and `strength`. The old value is read after the decay.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, or length is out of range.
    """
    query, key, value, strength, decay = without_padding(
        "gated_delta_net", length, query, key, value, strength, decay
    )
    added, decays = strength[:, None] * key, decay[:, None]
    options: dict[str, Any] = {"initial": initial, "length": length, "chunk_size": chunk_size}
    return delta_rule(query, added, value, decay=decays, erase=added, write=decays * key, **options)


@named_axes
@at_least_float32
def kimi_delta_attention(
    query: Float[Array, "t k"],
    key: Float[Array, "t k"],
    value: Float[Array, "t v"],
    strength: Float[Array, " t"],
    decay: Float[Array, "t k"],
    *,
    initial: Float[Array, "k v"] | None = None,
    length: Length | Int[Array, ""] | None = None,
    chunk_size: Size | None = None,
) -> LinearOutput:
    """Forgets by feature, then moves what the state holds at each key towards the value.

        state[t] = (I - strength[t] key[t] key[t]ᵀ) diag(decay[t]) state[t - 1]
                   + strength[t] key[t] value[t]ᵀ
        output[t] = state[t]ᵀ query[t]

    The paper's α_t and β_t are `decay` and `strength`. Of equal decays it is `gated_delta_net`.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, or length is out of range.
    """
    query, key, value, strength, decay = without_padding(
        "kimi_delta_attention", length, query, key, value, strength, decay
    )
    added = strength[:, None] * key
    options: dict[str, Any] = {"initial": initial, "length": length, "chunk_size": chunk_size}
    return delta_rule(query, added, value, decay=decay, erase=added, write=decay * key, **options)
