"""Mistakes planted in several heads, blocks and stacks."""

from mutants.mutant import EMPTY, HEADS, VALUE, Mutant

HEADED = "jattn.attention.multi_head"
HEADS_APART = "jattn.attention.multi_head_parts"

MUTANTS = (
    Mutant(
        "heads tiled",
        HEADS_APART,
        "array.reshape(groups, heads // groups, *array.shape[1:])",
        "array.reshape(heads // groups, groups, *array.shape[1:]).swapaxes(0, 1)",
        HEADS,
        "multi_head_attention",
        {"groups": 2},
    ),
    Mutant(
        "the wrong head's key",
        HEADS_APART,
        "by_group(query_heads), key_heads, value_heads",
        "by_group(query_heads), key_heads[::-1], value_heads",
        VALUE,
        "multi_head_attention",
    ),
    Mutant(
        "the key's bias forgotten",
        HEADED,
        "project(params.key_weight, params.key_bias, key",
        "project(params.key_weight, None, key",
        VALUE,
        "multi_head_attention",
        call=2,
    ),
    Mutant(
        "the value's bias forgotten",
        HEADED,
        "project(params.value_weight, params.value_bias, value",
        "project(params.value_weight, None, value",
        VALUE,
        "multi_head_attention",
        call=0,
    ),
    Mutant(
        "the output's bias in empty rows",
        HEADS_APART,
        "    output = jnp.where(reads[:, None], output, 0.0)\n",
        "",
        EMPTY,
        "multi_head_attention",
    ),
)
