"""The matrix LSTM: Beck et al. (2024), arXiv:2405.04517."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jattn._axes import named_axes
from jattn._options import Length, Size
from jattn._precision import at_least_float32
from jattn.linear.padding import without_padding
from jattn.linear.rule import LEAST
from jattn.linear.stabilized import last_of, running_maximum, sums_and_totals


class MLSTMOutput(NamedTuple):
    """The outputs of all steps; state and sum of keys, to be multiplied by exp(maximum)."""

    outputs: Float[Array, "t v"]
    state: Float[Array, "k v"]
    key_sum: Float[Array, " k"]
    maximum: Float[Array, ""]


@named_axes
@at_least_float32
def mlstm(
    query: Float[Array, "t k"],
    key: Float[Array, "t k"],
    value: Float[Array, "t v"],
    input_gate: Float[Array, " t"],
    forget: Float[Array, " t"],
    *,
    initial: Float[Array, "k v"] | None = None,
    initial_key_sum: Float[Array, " k"] | None = None,
    initial_maximum: Float[Array, ""] | None = None,
    length: Length | Int[Array, ""] | None = None,
    chunk_size: Size | None = None,
) -> MLSTMOutput:
    """Adds keys times values with an exponential gate, and divides by the gates' sum or by one.

        C[t]      = forget[t] C[t - 1] + exp(input_gate[t]) key[t] value[t]ᵀ
        n[t]      = forget[t] n[t - 1] + exp(input_gate[t]) key[t]
        output[t] = C[t]ᵀ query[t] / max(|n[t] · query[t]|, 1)

    The paper names these C_t, n_t, i_t and f_t, with keys over the root of their size, and has an
    output gate after it. C and n are kept as `state` and `key_sum` times exp(m), with

        m[t] = max(m[t - 1] + log forget[t], input_gate[t], 0)

    so no exponential overflows, and the 1 of the denominator becomes exp(-m[t]). Some code keeps a
    1 there, whose outputs depend on the choice of m. No output depends on m here. The paper's m has
    no 0: without it exp(-m) overflows. Operations: t k v.

        >>> key, value = jnp.ones((3, 1)), jnp.array([[1.0], [2.0], [6.0]])
        >>> print(mlstm(key, key, value, jnp.zeros(3), jnp.ones(3)).outputs[:, 0])
        [1.  1.5 3. ]

    Args:
        input_gate: logarithm of the gate, of any sign and size.
        forget: factors of at least 0, such as sigmoids.
        initial: the state before the first step, zeros by default.
        initial_key_sum: the sum of keys before the first step, zeros by default.
        initial_maximum: the logarithm of a factor of both, zero by default.
        length: number of valid steps. Later ones leave the state and have outputs of zero.
        chunk_size: steps that are computed at once, as in `delta_rule`: 1 is the recurrence, and
            the number of steps the parallel form.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, or length is out of range.
    """
    query, key, value, input_gate, forget = without_padding(
        "mlstm", length, query, key, value, input_gate, forget
    )
    (log_forget,) = without_padding("mlstm", length, jnp.log(forget + LEAST))
    given = jnp.zeros_like(forget, shape=()) if initial_maximum is None else initial_maximum
    start = jax.lax.stop_gradient(jnp.maximum(given, 0.0))
    maxima, before = running_maximum(log_forget, jnp.maximum(input_gate, 0.0), start)
    sums, totals, state, key_sum = sums_and_totals(
        query,
        jnp.exp(input_gate - maxima)[:, None] * key,
        value,
        jnp.exp(log_forget + before - maxima),
        (initial, initial_key_sum, jnp.exp(given - start)),
        length=length,
        chunk_size=chunk_size,
    )
    floor, sizes = jnp.exp(-maxima), jnp.abs(totals)
    divisor = jnp.where(sizes > floor, sizes, floor)
    outputs = sums / jnp.where(divisor == 0.0, 1.0, divisor)[:, None]
    return MLSTMOutput(outputs, state, key_sum, last_of(maxima, start))
