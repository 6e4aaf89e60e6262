"""Native sparse attention: Yuan et al. (2025), arXiv:2502.11089, section 3."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jattn._axes import named_axes
from jattn._naming import named_value
from jattn._options import Count, Size
from jattn._precision import at_least_float32
from jattn.attention.attend import Attended, MaskLike, attend, readable
from jattn.masks.patterns import window as near
from jattn.normalizers import softmax
from jattn.selectors.blocks import allowed_past
from jattn.selectors.native import important_keys, sizes_of, whole_windows, windows


class NativeSparseAttended(NamedTuple):
    """Contexts of each head, and the weights of each branch, before its gate."""

    context: Float[Array, "t h v"]
    compressed_weights: Float[Array, "h t c"]
    selected_weights: Float[Array, "h t s"]
    window_weights: Float[Array, "h t s"]


@named_axes
@at_least_float32
def native_sparse_attention(
    query: Float[Array, "t h k"],
    key: Float[Array, "s 3 k"],
    value: Float[Array, "s 3 v"],
    gates: Float[Array, "t h 3"],
    *,
    block_size: Size,
    count: Size,
    window: Size,
    compressed_size: Size | None = None,
    stride: Size | None = None,
    initial: Count = 1,
    local: Count = 2,
    pooling: Float[Array, "2 l"] | None = None,
    offset: int | Int[Array, ""] = 0,
    mask: MaskLike = None,
) -> NativeSparseAttended:
    """Adds attention to compressed blocks, to selected blocks and to a window, each with a gate.

        context[t, h] = Σ_b gates[t, h, b] softmax(query[t, h] · keys_b / √k) values_b

    Branch 0 has one key and value for each compressed block, branch 1 the keys of the blocks that
    `native_blocks` chooses by branch 0's weights, and branch 2 the last `window` keys. The branches
    have their own keys and values. The heads share them, as one group of grouped-query attention,
    and share the choice of blocks. All branches are causal. A query without any key in a branch
    gets zero from it.

        >>> query, rows, gates = jnp.ones((4, 1, 2)), jnp.ones((4, 3, 2)), jnp.ones((4, 1, 3))
        >>> sizes = {"block_size": 2, "count": 2, "local": 1, "window": 1}
        >>> print(native_sparse_attention(query, rows, rows, gates, **sizes).context[:, 0, 0])
        [2. 3. 3. 3.]

    Its first query sees no whole block of compressed keys.

    Args:
        key: [s 3 k], those of compression, selection and window.
        gates: of the same branches, from 0 to 1 in the paper: the sigmoid of a map of the inputs.
        block_size: number of keys in a selected block, the paper's l'.
        count: number of selected blocks, the paper's n.
        window: number of keys in the window, the query's own included, the paper's w.
        compressed_size: number of keys in a compressed block, l; block_size by default.
        stride: from one compressed block to the next, d; compressed_size by default.
        initial: number of blocks at the beginning that are always selected.
        local: number of blocks up to the query's own that are always selected.
        pooling: weights of the places in a compressed block, for keys and for values, which make
            the compressed ones. The mean if None. The paper learns an MLP in this place.
        offset: position of the first query.
        mask: True where a query may attend to a key, in addition to causality.

    Raises:
        ValueError: if two arguments disagree about the size of an axis, stride does not divide
            both sizes, pooling is not of compressed_size, or count is less than initial + local.
    """
    name = "native_sparse_attention"
    sizes = sizes_of(name, block_size, compressed_size, stride, count, initial, local)
    if pooling is None:
        pooling = jnp.full((2, sizes.compressed_size), 1.0 / sizes.compressed_size, query.dtype)
    if pooling.shape[1] != sizes.compressed_size:
        expected = f"(2, l) with l={sizes.compressed_size} (compressed_size)"
        raise ValueError(f"{name}: pooling has shape {pooling.shape}, expected {expected}")
    t, s = query.shape[0], key.shape[0]
    past = allowed_past(mask, t, s, offset)
    (query, gates), key, value, _, _ = readable((query, gates), key, value, past, None)
    query = query * max(query.shape[2], 1) ** -0.5

    def branch(keys: Array, values: Array, allowed: Array) -> Attended:
        one = lambda rows: attend(rows @ keys.T, values, allowed, None, softmax)
        return jax.vmap(one, 1)(query)

    pool = lambda weights, rows: jnp.einsum("l,clk->ck", weights, windows(rows[:, 0], sizes))
    whole = whole_windows(past, sizes)
    compressed = branch(pool(pooling[0], key), pool(pooling[1], value), whole)
    chosen = important_keys(compressed.weights.sum(0), past, sizes, offset)
    selected = branch(key[:, 1], value[:, 1], chosen)
    recent = branch(key[:, 2], value[:, 2], past & near(window - 1, 0, offset).dense(t, s))
    contexts = jnp.stack([compressed.context, selected.context, recent.context])
    context = named_value(jnp.einsum("thb,bhtv->thv", gates, contexts), "decode/context")
    return NativeSparseAttended(context, compressed.weights, selected.weights, recent.weights)
