"""Conversion to and from PyTorch: state dicts of torch.nn.MultiheadAttention."""

import numpy as np

from jattn.attention.multi_head import MultiHeadParams
from jattn.convert import heads as of_heads
from jattn.convert.named import Arrays, Weights, nested, taken, without_prefix

LIBRARY = "torch.nn.MultiheadAttention"
OUT = {"output_weight": "out_proj.weight", "output_bias": "out_proj.bias"}


def multi_head_to_torch(params: MultiHeadParams) -> Weights:
    """Returns the state dict of torch.nn.MultiheadAttention.

    It holds `in_proj_weight`, or `q_proj_weight`, `k_proj_weight` and `v_proj_weight` if sizes
    differ, and `out_proj.weight`. If any bias exists, it also holds `in_proj_bias` and
    `out_proj.bias`.

    Raises:
        ValueError: if key-value heads are fewer than query heads, or the module lacks the sizes.
    """
    name = "multi_head_to_torch"
    arrays, sizes = of_heads.multi_head_arrays(name, params)
    same = {
        "h g": "heads of queries and of keys",
        "e u": "features of a head's keys and values",
        "q d": "features of queries and outputs",
        "h*e q": "features of all heads together and of queries",
    }
    of_heads.refuse(name, LIBRARY, sizes, unless=same)
    arrays = of_heads.all_biased(arrays)
    flat = {key: array.reshape(-1, *array.shape[2:]) for key, array in arrays.items()}
    inputs = [flat[f"{part}_weight"] for part in ("query", "key", "value")]
    if sizes["q"] == sizes["k"] == sizes["v"]:
        found: Arrays = {"in_proj_weight": np.concatenate(inputs)}
    else:
        found = dict(zip(("q_proj_weight", "k_proj_weight", "v_proj_weight"), inputs, strict=True))
    found["out_proj.weight"] = arrays["output_weight"].reshape(sizes["d"], -1)
    if "output_bias" in arrays:
        biases = [flat[f"{part}_bias"] for part in ("query", "key", "value")]
        found |= {"in_proj_bias": np.concatenate(biases), "out_proj.bias": arrays["output_bias"]}
    return nested(found)


def multi_head_from_torch(weights: Weights, *, heads: int, prefix: str = "") -> MultiHeadParams:
    """Returns the parameters of a torch.nn.MultiheadAttention; inverse of `multi_head_to_torch`.

    Args:
        weights: the state dict, of tensors or arrays of any floating-point dtype.
        heads: number of heads, which the matrices do not show.
        prefix: the part of the names before the module's own, such as `layers.0.self_attn.`.
            With a prefix, other entries are ignored.

    Raises:
        ValueError: if an array is missing, unknown (such as `bias_k`), of another shape or not of
            floating point, or if no name begins with `prefix`.
    """
    weights = without_prefix("multi_head_from_torch", weights, prefix)
    together = "in_proj_weight" in weights
    inputs = {"in_proj_weight": "3*d d"} if together else {"q_proj_weight": "d d"}
    if not together:
        inputs |= {"k_proj_weight": "d k", "v_proj_weight": "d v"}
    axes = {**inputs, "in_proj_bias": "3*d", "out_proj.weight": "d d", "out_proj.bias": "d"}
    biases = ("in_proj_bias", "out_proj.bias")
    found = taken("multi_head_from_torch", weights, axes, optional=biases)
    parts = ("query", "key", "value")
    rows = np.split(found["in_proj_weight"], 3) if together else [found[name] for name in inputs]
    flat = {f"{part}_weight": array for part, array in zip(parts, rows, strict=True)}
    if "in_proj_bias" in found:
        biases = np.split(found["in_proj_bias"], 3)
        flat |= {f"{part}_bias": array for part, array in zip(parts, biases, strict=True)}
    flat |= {name: found[path] for name, path in OUT.items() if path in found}
    path = {name: name for name in of_heads.AXES}
    return of_heads.from_matrices(
        "multi_head_from_torch", flat, path, inputs_first=False, heads=heads
    )
