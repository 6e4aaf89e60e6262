"""Scaled dot-product attention of batches and heads."""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal, TypedDict, Unpack, get_type_hints, overload

from jaxtyping import Array, Bool, Float, Int, Key

from jattn._options import check_options, named
from jattn.biases.algebra import Bias
from jattn.engine.arguments import SCORING, Call, check, check_names
from jattn.engine.attention import attend_all, plan_of, planned
from jattn.engine.fastest import OWN, attend_fastest, choose
from jattn.engine.kernels import check_implementation, hand_over
from jattn.engine.measuring import Measured, Tile
from jattn.engine.plan import Plan, Planner, best, chunked
from jattn.masks.algebra import Mask

Output = Float[Array, "*b t h v"]
LSE = Float[Array, "*b t h"]
Weights = Float[Array, "*b h t s"]


class Options(TypedDict, total=False):
    """The keyword arguments that do not change what `dot_product_attention` returns."""

    scale: Float[Array, ""] | float | None
    is_causal: bool
    query_seq_lengths: Int[Array, "*b"] | None
    key_value_seq_lengths: Int[Array, "*b"] | None
    local_window_size: int | tuple[int | None, int | None] | None
    implementation: str | None
    query_offset: int | Int[Array, "*b"]
    logits_soft_cap: float | None
    sinks: Float[Array, " h"] | None
    dropout_rate: float
    dropout_rng: Key[Array, ""] | None
    chunk_size: int | None
    precision: Any
    planner: Planner | None


@overload
def dot_product_attention(
    query: Float[Array, "*b t h k"],
    key: Float[Array, "*b s g k"],
    value: Float[Array, "*b s g v"],
    bias: Float[Array, "*b h t s"] | Bias | None = ...,
    mask: Bool[Array, "*b h t s"] | Mask | None = ...,
    *,
    return_residual: Literal[False] = ...,
    return_weights: Literal[False] = ...,
    **options: Unpack[Options],
) -> Output: ...
@overload
def dot_product_attention(
    query: Float[Array, "*b t h k"],
    key: Float[Array, "*b s g k"],
    value: Float[Array, "*b s g v"],
    bias: Float[Array, "*b h t s"] | Bias | None = ...,
    mask: Bool[Array, "*b h t s"] | Mask | None = ...,
    *,
    return_residual: Literal[True],
    return_weights: Literal[False] = ...,
    **options: Unpack[Options],
) -> tuple[Output, LSE]: ...
@overload
def dot_product_attention(
    query: Float[Array, "*b t h k"],
    key: Float[Array, "*b s g k"],
    value: Float[Array, "*b s g v"],
    bias: Float[Array, "*b h t s"] | Bias | None = ...,
    mask: Bool[Array, "*b h t s"] | Mask | None = ...,
    *,
    return_residual: Literal[False] = ...,
    return_weights: Literal[True],
    **options: Unpack[Options],
) -> tuple[Output, Weights]: ...
@overload
def dot_product_attention(
    query: Float[Array, "*b t h k"],
    key: Float[Array, "*b s g k"],
    value: Float[Array, "*b s g v"],
    bias: Float[Array, "*b h t s"] | Bias | None = ...,
    mask: Bool[Array, "*b h t s"] | Mask | None = ...,
    *,
    return_residual: Literal[True],
    return_weights: Literal[True],
    **options: Unpack[Options],
) -> tuple[Output, LSE, Weights]: ...
@overload
def dot_product_attention(
    query: Float[Array, "*b t h k"],
    key: Float[Array, "*b s g k"],
    value: Float[Array, "*b s g v"],
    bias: Float[Array, "*b h t s"] | Bias | None = ...,
    mask: Bool[Array, "*b h t s"] | Mask | None = ...,
    *,
    return_residual: bool = ...,
    return_weights: bool = ...,
    **options: Unpack[Options],
) -> Output | tuple[Output, Array] | tuple[Output, LSE, Weights]: ...
def dot_product_attention(
    query: Float[Array, "*b t h k"],
    key: Float[Array, "*b s g k"],
    value: Float[Array, "*b s g v"],
    bias: Float[Array, "*b h t s"] | Bias | None = None,
    mask: Bool[Array, "*b h t s"] | Mask | None = None,
    *,
    scale: Float[Array, ""] | float | None = None,
    is_causal: bool = False,
    query_seq_lengths: Int[Array, "*b"] | None = None,
    key_value_seq_lengths: Int[Array, "*b"] | None = None,
    local_window_size: int | tuple[int | None, int | None] | None = None,
    implementation: str | None = None,
    return_residual: bool = False,
    query_offset: int | Int[Array, "*b"] = 0,
    logits_soft_cap: float | None = None,
    sinks: Float[Array, " h"] | None = None,
    dropout_rate: float = 0.0,
    dropout_rng: Key[Array, ""] | None = None,
    return_weights: bool = False,
    chunk_size: int | None = None,
    precision: Any = None,
    planner: Planner | None = None,
) -> Output | tuple[Array, ...]:
    """Computes scaled dot-product attention of batches and heads in linear memory.

        scores  = cap tanh(scale query · key / cap) + bias
        weights = exp(scores) / (Σ exp(scores) + exp(sink))   over the keys that the masks allow
        output  = Σ dropout(weights) value

    A drop-in replacement for `jax.nn.dot_product_attention`: the same arguments in the same layout,
    and the same values, with these exceptions. A query that may attend to nothing gets output 0 and
    lse -inf. Keys that no query may attend to have no effect, even if they hold NaN. float64 inputs
    are computed in float64. Query head h uses key-value head h // (heads / groups).

    In addition to inputs and outputs, memory is O(s) for each query of a block.
    `jattn.engine.plan` returns the plan of a call.

    Args:
        query: [*b t h k]; the leading axes are free: none, one for a batch, or several.
        key: [*b s g k].
        value: [*b s g v].
        bias: added to the scores: an array, or a bias of `jattn.biases`. -inf is the same as a
            mask. Any axis may have size 1 and leading ones may be left out, as in `mask`.
        mask: True where a query may attend to a key, or a mask of `jattn.masks`. Blocks of keys
            that such a mask hides are skipped. Ids of segments may be those of each element [*b t].
        scale: multiplies the scores, 1 / √k by default; an array is differentiated.
        is_causal: masks keys after the query's own position, which is its index + query_offset.
        query_seq_lengths: queries from here on are padding. A traced length is not checked.
        key_value_seq_lengths: keys from here on are masked. A traced length is not checked.
        local_window_size: numbers of keys before and after the query's position that it may attend
            to, both ends inclusive; one number for both sides; None leaves a side open.
        implementation: None is jattn's own. "xla", "cudnn" and "tokamax" dispatch to `jax.nn` and
            tokamax, and refuse by name what these cannot do exactly. "fastest" takes one of the
            latter two on an accelerator where it is exact, keeps every derivative, and is jattn's
            own elsewhere; `jattn.engine.plan` shows the choice.
        return_residual: also returns the lse [*b t h], the logarithm of the denominator of the
            weights, in at least float32 and differentiable.
        query_offset: position of the first query among the keys; s - t aligns the last ones.
        logits_soft_cap: the cap; None is no cap.
        sinks: one more logit for each head, which takes weight and has no value.
        dropout_rate: share of the weights that is dropped after they are normalized.
        dropout_rng: key of any generator. The dropout pattern is a function of it, the batch
            element, head, query and key only.
        return_weights: also returns the weights [*b h t s], before dropout.
        chunk_size: number of queries in a block; by default the plan chooses it.
        precision: of the products, forward and backward, as `jax.lax.dot_general` takes it, such as
            "BF16_BF16_F32": operands are rounded to bfloat16, sums are in float32. None leaves it
            to `jax.default_matmul_precision`. A CPU may compute more exactly than asked.
        planner: one of `jattn.engine.dense`, `chunked`, `grouped`, `banded`, `narrowed`; by default
            the cheapest.

    Returns:
        The output [*b t h v] in the dtype of the query. With return_residual or return_weights a
        tuple of the output, the lse and the weights, as far as they are asked for.

    Raises:
        ValueError: if shapes disagree, a length is negative or too large, a mask is not boolean, an
            option is not what it should be or is traced, or dropout has no rng.
    """
    call = Call(
        query, key, value, bias, mask, scale, is_causal, query_seq_lengths,
        key_value_seq_lengths, local_window_size, query_offset, logits_soft_cap, sinks,
        dropout_rate, dropout_rng, chunk_size, precision,
    )  # fmt: skip
    with named("dot_product_attention"):
        call = check(call)
        flags = {"return_residual": return_residual, "return_weights": return_weights}
        check_flags(planner, **flags)
        if implementation not in (None, "fastest"):
            check_implementation(implementation, call, planner=planner, **flags)
    if implementation == "fastest":
        choice = choose(call, planner=planner, **flags)
        if choice.name != OWN:
            return attend_fastest(choice, call)
    elif implementation is not None:
        return hand_over(implementation, call)
    planner = planner or default_planner(return_weights)
    output, lse, weights, _ = attend_all(
        *planned(call, planner), all_weights if return_weights else None
    )
    results = [output, *([lse] if return_residual else [])]
    results += [] if weights is None else [weights.astype(output.dtype)]
    return results[0] if len(results) == 1 else tuple(results)


def all_weights(weights: Tile, _scores: Tile, place: Callable[[Array], Array]) -> Measured:
    """The weights of a block as rows over all keys."""
    t, r, w = weights.shape
    rows = place(weights.reshape(t * r, w))
    return Measured(rows.reshape(t, r, rows.shape[1]))


PLANNED = (*SCORING, "dropout_rate", "dropout_rng", "return_residual", "return_weights")


def plan(
    query: Any,
    key: Any,
    value: Any,
    bias: Any = None,
    mask: Any = None,
    *,
    planner: Planner | None = None,
    implementation: str | None = None,
    **options: Any,
) -> Plan:
    """Returns the plan by which `dot_product_attention` runs these arguments; print it as a table.

    Args:
        query: an array or a `jax.ShapeDtypeStruct`, as are all arrays here.
        planner: as in `dot_product_attention`.
        implementation: as in `dot_product_attention`. The plan of "fastest" says what it chose, and
            why it left out what comes before; it holds for this process and its backend.
        options: those of `dot_product_attention`.

    Raises:
        ValueError: if `dot_product_attention` refuses the arguments, or an option is unknown.
    """
    with named("plan"):
        check_names(options, PLANNED)
        flags = {name: options.pop(name, False) for name in ("return_residual", "return_weights")}
        call = check(Call(query, key, value, bias, mask, **options), shapes_alone=True)
        check_flags(planner, **flags)
        if implementation not in (None, "fastest"):
            check_implementation(implementation, call, planner=planner, **flags)
    own = plan_of(call, planner or default_planner(flags["return_weights"]))
    if implementation is None:
        return own
    name, notes = implementation, ""
    if implementation == "fastest":
        choice = choose(call, planner=planner, **flags)
        name, notes = choice.name, str(choice)
    if name == OWN:
        return dataclasses.replace(own, notes=notes)
    return dataclasses.replace(own, name=name, runs=(), notes=notes)


def check_flags(planner: Planner | None, return_residual: bool, return_weights: bool) -> None:
    """Raises ValueError for a planner that is no function or a flag that is no bool."""
    flags = {"return_residual": return_residual, "return_weights": return_weights}
    check_options(get_type_hints(check_flags), flags | {"planner": planner})


def default_planner(returns_weights: bool) -> Planner:
    """Returns the default planner; if weights are returned, no keys may be skipped."""
    return chunked if returns_weights else best
