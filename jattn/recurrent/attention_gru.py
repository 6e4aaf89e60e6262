"""GRUs whose update is decided by attention: Xiong et al. (2016) and Zhou et al. (2019).

Sources: arXiv:1603.01417, from Kumar et al. (2016), arXiv:1506.07285; and
arXiv:1809.03672, AUGRU.
"""

from jaxtyping import Array, Float

from jattn._axes import named_axes
from jattn._precision import at_least_float32
from jattn.recurrent.cells import GRUParams, update_and_candidate


@named_axes
@at_least_float32
def attention_gru_cell(
    params: GRUParams,
    hidden: Float[Array, " n"],
    inputs: Float[Array, " i"],
    attention: Float[Array, ""],
) -> Float[Array, " n"]:
    """Computes one step of a GRU with an attention weight in the place of its update gate.

        new = attention candidate + (1 - attention) hidden

    The candidate and its reset gate are those of `gru_cell`. The update gate's weights are not
    read. The paper names the weight g_i: of the facts that a question is about, in their order, it
    is near one. A weight of zero leaves the state.

        >>> import jax.numpy as jnp
        >>> none = GRUParams(*map(jnp.zeros, ((3, 1, 1), (3, 1, 1), (3, 1), (3, 1))))
        >>> print(attention_gru_cell(none, jnp.ones(1), jnp.ones(1), jnp.array(0.25)))
        [0.75]

    Args:
        attention: weight of these inputs, one number for all units.

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    _, candidate = update_and_candidate(params, hidden, inputs)
    return attention * candidate + (1.0 - attention) * hidden


@named_axes
@at_least_float32
def attention_update_gru_cell(
    params: GRUParams,
    hidden: Float[Array, " n"],
    inputs: Float[Array, " i"],
    attention: Float[Array, ""],
) -> Float[Array, " n"]:
    """Computes one step of a GRU that moves towards its candidate by attention times its gate.

        share = attention (1 - update)
        new   = share ∘ candidate + (1 - share) ∘ hidden

    The gates and the candidate are those of `gru_cell`, which a weight of one gives. A weight of
    zero leaves the state. The paper names this AUGRU, and the factor 1 - update u_t, its update
    gate. The authors' code and OpenVINO instead multiply the gate that keeps the old state by
    1 - attention: with a weight of zero that is `gru_cell`, and with one the candidate alone.

        >>> import jax.numpy as jnp
        >>> none = GRUParams(*map(jnp.zeros, ((3, 1, 1), (3, 1, 1), (3, 1), (3, 1))))
        >>> print(attention_update_gru_cell(none, jnp.ones(1), jnp.ones(1), jnp.array(0.25)))
        [0.875]

    Args:
        attention: weight of these inputs, one number for all units.

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    update, candidate = update_and_candidate(params, hidden, inputs)
    share = attention * (1.0 - update)
    return share * candidate + (1.0 - share) * hidden
