"""Linformer: Wang, Li, Khabsa, Fang & Ma (2020), arXiv:2006.04768."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Key

from jattn._axes import named_axes
from jattn._options import Size
from jattn._precision import at_least_float32
from jattn.attention.attend import attend
from jattn.masks.visible import only
from jattn.normalizers import Normalizer, softmax


class LinformerAttended(NamedTuple):
    """Contexts, and the weights of the projected keys."""

    context: Float[Array, "t v"]
    weights: Float[Array, "t n"]


@named_axes
def init_linformer(
    rng: Key[Array, ""], *, length: Size, size: Size, dtype: DTypeLike = float
) -> Float[Array, "n s"]:
    """Draws a projection of `length` keys to `size` from a normal with variance 1 / size.

    Raises:
        ValueError: if a size is below 1, or dtype is not a floating-point dtype.
    """
    return jax.random.normal(rng, (size, length), dtype) * size**-0.5


@named_axes
@at_least_float32
def linformer_attention(
    query: Float[Array, "t k"],
    key: Float[Array, "s k"],
    value: Float[Array, "s v"],
    projection: Float[Array, "n s"],
    *,
    value_projection: Float[Array, "n s"] | None = None,
    valid: Bool[Array, " s"] | None = None,
    scale: Float[Array, ""] | float | None = None,
    normalizer: Normalizer = softmax,
) -> LinformerAttended:
    """Projects keys and values along the sequence to a fixed number, and attends to these.

        scores[t, n] = scale query[t] · Σ_s projection[n, s] key[s],   scale = 1 / √k unless given
        context[t]   = Σ_n weights[t, n] Σ_s value_projection[n, s] value[s]

    The paper names the projections E and F, and their size k. A projected key mixes all keys, so a
    causal mask is impossible, and the length of the sequence is fixed. Cost: n (s + t) (k + v).

        >>> half = jnp.asarray([[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]])
        >>> rows = jnp.ones((4, 1))
        >>> print(linformer_attention(rows, rows, rows, half).weights[0])
        [0.5 0.5]

    Args:
        projection: of keys; all heads, and all layers, may share it.
        value_projection: of values; the projection of keys if None, as the paper's key-value
            sharing.
        valid: True for keys that are no padding; others are left out of the sums.
        scale: a finite number, or a scalar array, which is differentiable; 1 / √k by default.
        normalizer: maps each row of scores to a row of weights.

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    of_values = projection if value_projection is None else value_projection
    if valid is not None:  # A weight of padding may be NaN too.
        keep = lambda weight: jnp.where(jnp.asarray(valid)[None], weight, 0.0)
        projection, of_values = keep(projection), keep(of_values)
    keys = jnp.einsum("ns,sk->nk", projection, only(valid, key))
    values = jnp.einsum("ns,sv->nv", of_values, only(valid, value))
    factor = max(query.shape[1], 1) ** -0.5 if scale is None else scale
    scores = jnp.einsum("tk,nk->tn", query * factor, keys)
    return LinformerAttended(*attend(scores, values, None, None, normalizer))
