"""Mistakes planted in masks, positions, layers and the checks of arguments."""

from mutants.mutant import AXES, BOOLEAN_MASK, DEFINITION, HALF, MIXED, VALUE, WINDOWS, Mutant

PATTERNS = "jattn.masks.patterns"

MUTANTS = (
    Mutant(
        "a variance with one feature less",
        "jattn.layers.norms",
        "(centred**2).sum(-1, keepdims=True) / features",
        "(centred**2).sum(-1, keepdims=True) / (features - 1)",
        VALUE,
        "layer_norm",
    ),
    Mutant(
        "arithmetic in half precision",
        "jattn._precision",
        "return jnp.promote_types(dtype, jnp.float32)",
        "return dtype",
        HALF,
        "dot_attention",
        {"dtype": "bfloat16"},
    ),
    Mutant(
        "results left in float32",
        "jattn._precision",
        "return _cast(function(*args, **kwargs), dtype)",
        "return function(*args, **kwargs)",
        MIXED,
        "dot_attention",
        {"one": "float16", "other": "float64"},
    ),
    Mutant(
        "causal without the diagonal",
        PATTERNS,
        "    return keys <= queries + offset\n",
        "    return keys < queries + offset\n",
        DEFINITION,
        given={"name": "causal"},
    ),
    Mutant(
        "causal from the bottom right",
        PATTERNS,
        "    return keys <= queries + offset\n",
        "    return keys <= queries + offset + keys.shape[-1] - queries.shape[0]\n",
        DEFINITION,
        given={"name": "causal"},
    ),
    Mutant(
        "a window one short on the right",
        PATTERNS,
        "inside & (distance <= right)",
        "inside & (distance < right)",
        WINDOWS,
    ),
    Mutant(
        "a window one short on the left", PATTERNS, "distance >= -left", "distance > -left", WINDOWS
    ),
    Mutant(
        "one key too many",
        "jattn.masks.algebra",
        "    valid = keys < key_lengths\n",
        "    valid = keys <= key_lengths\n",
        DEFINITION,
        given={"name": "lengths"},
    ),
    Mutant(
        "dilation counted from the start",
        PATTERNS,
        "(keys - queries) % step == 0",
        "keys % step == 0",
        DEFINITION,
        given={"name": "dilated"},
    ),
    Mutant(
        "global tokens that see themselves alone",
        PATTERNS,
        "(keys < count) | (queries < count)",
        "(keys < count) & (queries < count)",
        DEFINITION,
        given={"name": "global tokens"},
    ),
    Mutant(
        "and that means or",
        "jattn.masks.algebra",
        "left.at(queries, keys) & right.at(queries, keys)",
        "left.at(queries, keys) | right.at(queries, keys)",
        "test_masks.test_masks_combine_with_jax_arrays_on_either_side",
    ),
    Mutant(
        "axes that nobody compares",
        "jattn._axes",
        "        if size != wanted:\n",
        "        if False:\n",
        AXES,
        "dot_attention",
    ),
    Mutant(
        "a float mask taken for a mask",
        "jattn._options",
        "    if dtype is None or (str(dtype) in allowed",
        '    if dtype is None or "bool" in allowed or (str(dtype) in allowed',
        BOOLEAN_MASK,
        "dot_attention",
    ),
)
