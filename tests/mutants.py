"""Mistakes to plant: what, where, the text and its replacement, and the test that must notice."""

import dataclasses
from collections.abc import Mapping
from typing import Any

VALUE = "test_oracle.test_G1_G2_value_and_gradient_match_the_oracle_and_its_complex_step"
EMPTY = "test_masking.test_M1_queries_without_a_key_give_zero_and_take_no_gradient"
POISON = "test_masking.test_C1_what_nobody_may_read_changes_no_bit"
SUPPORT = "test_masking.test_C2_the_derivative_of_a_query_is_nonzero_exactly_where_it_reads"
CLEAN = "test_debug.test_V3_no_operation_gives_nan_or_infinity"
DEFINITION = "test_masks.test_masks_are_what_they_are_defined_to_be"
WINDOWS = "test_masks.test_S2_windows_are_what_enumeration_gives_for_every_size_and_offset"
HEADS = "test_symmetry.test_S3_shared_heads_are_repeated_heads"
FULL = "test_precision.test_D1_full_precision_stays_what_it_is"
MIXED = "test_precision.test_D1_mixed_dtypes_promote"
HALF = "test_precision.test_D1_nothing_is_computed_in_half_precision"
LARGE = "test_extremes.test_X1_products_past_the_largest_float16_are_fine"
AXES = "test_axes.test_every_shared_axis_is_checked"
ENGINE = "test_engine.test_G1_G2_G3_values_and_derivatives_match_the_oracle"
DROPOUT = "test_engine_numbers.test_K1_dropout_is_a_function_of_rng_and_place_alone"
BOOLEAN_MASK = "test_axes.test_masks_are_boolean_and_of_the_right_size"


@dataclasses.dataclass(frozen=True)
class Mutant:
    """One text of one module replaced; the rest is what the test is run with.

    `call` is the place of the case among the row's, where the test takes one; the last by default.
    """

    what: str
    module: str
    old: str
    new: str
    test: str
    row: str = ""
    given: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    call: int = -1


NORMALIZERS = "jattn.normalizers"
SHARED = "jattn.attention.attend"
PATTERNS = "jattn.masks.patterns"
HEADED = "jattn.attention.multi_head"
HEADS_APART = "jattn.attention.multi_head_parts"
CELLS = "jattn.recurrent.cells"
BLOCK = "jattn.engine.block"
PAIRS = "jattn.engine.pairs"
MASKING = "jattn.engine.masking"
UNROLL = "jattn.recurrent.unroll"
STEPS = "jattn.recurrent.steps"
STATES = "jattn.recurrent.states"
OWN_CELL = "test_recurrent.test_R1_a_cell_of_ones_own_leaves_padding_alone"

EXPONENTIALS = """\
    shifted = jnp.where(mask, scores, maximum) - maximum
    exponentials = jnp.where(mask, jnp.exp(shifted), 0.0)
"""
DIVISION = "    return exponentials / jnp.where(total == 0.0, 1.0, total)\n"
RESET_AFTER = """\
    candidate = jnp.tanh(projected[2] + reset * recurrent[2])
    return (1.0 - update) * candidate + update * hidden
"""
RESET_BEFORE = '    product = jnp.einsum("m,nm->n", reset * hidden, weight[2])\n'
NEW = "        new = (1.0 - update) * candidate + update * hidden\n"

MUTANTS = (
    Mutant(
        "masked scores at the smallest number",
        NORMALIZERS,
        EXPONENTIALS,
        "    lowest = jnp.finfo(scores.dtype).min\n"
        "    exponentials = jnp.exp(jnp.where(mask, scores, lowest) - maximum)\n",
        EMPTY,
        "softmax",
    ),
    Mutant(
        "masked scores at -1e9",
        NORMALIZERS,
        EXPONENTIALS,
        "    filled = jnp.where(mask, scores, -1e9)\n"
        "    exponentials = jnp.exp(filled - filled.max(-1, keepdims=True))\n",
        EMPTY,
        "dot_attention",
    ),
    Mutant(
        "masked scores at -inf",
        NORMALIZERS,
        EXPONENTIALS,
        "    filled = jnp.where(mask, scores, -jnp.inf)\n"
        "    exponentials = jnp.exp(filled - filled.max(-1, keepdims=True))\n",
        EMPTY,
        "softmax",
    ),
    Mutant(
        "masked scores not hidden",
        NORMALIZERS,
        "    return mask, jnp.where(mask, scores, 0.0)\n",
        "    return mask, scores\n",
        CLEAN,
        "sparsemax",
    ),
    Mutant(
        "mean over an empty row",
        NORMALIZERS,
        DIVISION,
        "    keeps = mask.any(-1, keepdims=True)\n"
        "    weights = exponentials / jnp.where(keeps, total, 1.0)\n"
        "    return jnp.where(keeps, weights, 1.0 / scores.shape[-1])\n",
        EMPTY,
        "dot_attention",
    ),
    Mutant(
        "softmax in float32",
        NORMALIZERS,
        DIVISION,
        "    total = jnp.where(total == 0.0, 1.0, total)\n"
        "    single = exponentials.astype(jnp.float32) / total.astype(jnp.float32)\n"
        "    return single.astype(scores.dtype)\n",
        FULL,
        "softmax",
        {"dtype": "float64"},
    ),
    Mutant(
        "softmax over the queries",
        NORMALIZERS,
        "    total = exponentials.sum(-1, keepdims=True)\n",
        "    total = exponentials.sum(-2, keepdims=True)\n",
        VALUE,
        "softmax",
    ),
    Mutant(
        "a sink that is not shifted",
        NORMALIZERS,
        "total + jnp.exp(-maximum) if sink",
        "total + 1.0 if sink",
        VALUE,
        "off_by_one_softmax",
    ),
    Mutant(
        "sigmoid without its mask",
        NORMALIZERS,
        "    return jnp.where(mask, jax.nn.sigmoid(scores), 0.0)\n",
        "    return jax.nn.sigmoid(scores)\n",
        EMPTY,
        "sigmoid",
    ),
    Mutant(
        "entmax without the half",
        NORMALIZERS,
        "(scores - _maximum(scores, mask)) / 2.0",
        "(scores - _maximum(scores, mask))",
        VALUE,
        "entmax15",
    ),
    Mutant(
        "a threshold that loses its gradient",
        NORMALIZERS,
        "    return jnp.where(support, scores - threshold, 0.0)\n",
        "    return jnp.where(support, scores - jax.lax.stop_gradient(threshold), 0.0)\n",
        VALUE,
        "sparsemax",
    ),
    Mutant(
        "the cotangent of the weights forgotten",
        SHARED,
        "    return Attended(context, weights)\n",
        '    return Attended(context, __import__("jax").lax.stop_gradient(weights))\n',
        VALUE,
        "dot_attention",
    ),
    Mutant(
        "a kernel that returns zero",
        SHARED,
        'jnp.einsum("ts,sv->tv", weights, value)',
        'jnp.einsum("ts,sv->tv", weights * 0.0, value)',
        VALUE,
        "dot_attention",
    ),
    Mutant(
        "mask polarity inverted",
        SHARED,
        "    allowed = as_array(mask, len(query), len(value))\n",
        "    allowed = None if mask is None else ~as_array(mask, len(query), len(value))\n",
        SUPPORT,
        "additive_attention",
    ),
    Mutant(
        "a bias of -inf that masks nothing",
        SHARED,
        "        finite = bias != -jnp.inf\n",
        "        finite = bias == bias\n",
        POISON,
        "dot_attention",
    ),
    Mutant(
        "the bias subtracted",
        SHARED,
        'checkpoint_name(scores + bias, "score/biased")',
        'checkpoint_name(scores - bias, "score/biased")',
        VALUE,
        "general_attention",
        call=2,
    ),
    Mutant(
        "unread values left as they are",
        SHARED,
        "jnp.where(read, key, 0.0), jnp.where(read, value, 0.0)",
        "jnp.where(read, key, 0.0), value",
        POISON,
        "dot_attention",
    ),
    Mutant(
        "unread keys left as they are",
        "jattn.attention.dot",
        "    query, key, value, bias, allowed = readable(",
        "    query, _, value, bias, allowed = readable(",
        POISON,
        "dot_attention",
    ),
    Mutant(
        "unread queries left as they are",
        "jattn.attention.additive",
        "    query, key, value, bias, allowed = readable(",
        "    _, key, value, bias, allowed = readable(",
        POISON,
        "additive_attention",
    ),
    Mutant(
        "no scale",
        "jattn.attention.scaled_dot_product",
        "max(query.shape[-1], 1) ** -0.5",
        "1.0",
        VALUE,
        "scaled_dot_product_attention",
        call=0,
    ),
    Mutant(
        "the bias scaled too",
        "jattn.attention.scaled_dot_product",
        "attend(scores, value, allowed, bias, normalizer)",
        "attend(scores, value, allowed, None if bias is None else bias * query.shape[-1] ** -0.5,"
        " normalizer)",
        VALUE,
        "scaled_dot_product_attention",
        call=2,
    ),
    Mutant(
        "the query's scale from the values",
        "jattn.attention.scaled_dot_product",
        "max(query.shape[-1], 1)",
        "max(value.shape[-1], 1)",
        VALUE,
        "scaled_dot_product_attention",
        call=0,
    ),
    Mutant(
        "concat with the key first",
        "jattn.attention.concat",
        "    query_weight, key_weight = jnp.split(params.weight, [query.shape[-1]], axis=1)\n",
        "    key_weight, query_weight = jnp.split(params.weight, [key.shape[-1]], axis=1)\n",
        VALUE,
        "concat_attention",
    ),
    Mutant(
        "additive without its bias",
        "jattn.attention.additive",
        "query_part + params.bias[None]",
        "query_part",
        VALUE,
        "additive_attention",
        call=0,
    ),
    Mutant(
        "the last positions' weights",
        "jattn.attention.location_based",
        "params.weight[:s]",
        "params.weight[-s:]",
        VALUE,
        "location_based_attention",
        call=0,
    ),
    Mutant(
        "local-m without its offset",
        "jattn.attention.local",
        "window(half_width, half_width, offset)",
        "window(half_width, half_width)",
        VALUE,
        "local_monotonic_attention",
        call=1,
    ),
    Mutant(
        "the Gaussian inside the softmax",
        "jattn.attention.local",
        'checkpoint_name(align * near, "weight/modulated")',
        "checkpoint_name(align * near / jnp.maximum((align * near).sum(-1, keepdims=True), 1e-300),"
        ' "weight/modulated")',
        VALUE,
        "local_predictive_attention",
    ),
    Mutant(
        "the Gaussian as wide as the window",
        "jattn.attention.local",
        "jnp.exp(-2.0 * ",
        "jnp.exp(-0.5 * ",
        VALUE,
        "local_predictive_attention",
    ),
    Mutant(
        "no end to the window",
        "jattn.attention.local",
        "    inside = jnp.abs(distance) <= half_width\n",
        "    inside = jnp.ones_like(distance, bool)\n",
        VALUE,
        "local_predictive_attention",
    ),
    Mutant(
        "a centre among the padding",
        "jattn.attention.local",
        "len(key) if length is None else length, query.dtype",
        "len(key), query.dtype",
        VALUE,
        "local_predictive_attention",
        call=1,
    ),
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
        "scores in half precision",
        "jattn.attention.scaled_dot_product",
        "attend(scores, value, allowed, bias, normalizer)",
        "attend(scores.astype(jnp.float16).astype(query.dtype), value, allowed, bias, normalizer)",
        LARGE,
        "scaled_dot_product_attention",
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
        PATTERNS.replace("patterns", "algebra"),
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
    Mutant(
        "the candidate's bias outside the reset",
        CELLS,
        RESET_AFTER,
        RESET_AFTER.replace(
            "reset * recurrent[2]",
            "reset * (recurrent[2] - params.hidden_bias[2]) + params.hidden_bias[2]",
        ),
        VALUE,
        "gru_cell",
    ),
    Mutant(
        "the update gate flipped",
        CELLS,
        RESET_AFTER,
        RESET_AFTER.replace(
            "(1.0 - update) * candidate + update * hidden",
            "update * candidate + (1.0 - update) * hidden",
        ),
        VALUE,
        "gru_cell",
    ),
    Mutant(
        "gates in the order update, reset",
        CELLS,
        "    reset, update = jax.nn.sigmoid(projected[:2] + recurrent[:2])\n",
        "    update, reset = jax.nn.sigmoid(projected[:2] + recurrent[:2])\n",
        VALUE,
        "gru_cell",
    ),
    Mutant(
        "the reset after the product",
        CELLS,
        RESET_BEFORE,
        '    product = reset * jnp.einsum("m,nm->n", hidden, weight[2])\n',
        VALUE,
        "reset_before_gru_cell",
    ),
    Mutant(
        "the candidate's bias outside the reset of a sequence",
        STEPS,
        "            candidate = jnp.tanh(to_candidate + reset * product)\n",
        "            candidate = jnp.tanh(to_candidate + reset * parts[2] + bias)\n",
        VALUE,
        "gru",
        call=0,
    ),
    Mutant(
        "the update gate of a sequence flipped",
        STEPS,
        NEW,
        NEW.replace("(1.0 - update) * candidate + update", "update * candidate + (1.0 - update)"),
        VALUE,
        "gru",
    ),
    Mutant(
        "gates of a sequence in the order update, reset",
        STEPS,
        "to_reset, to_update, to_candidate = map(",
        "to_update, to_reset, to_candidate = map(",
        VALUE,
        "gru",
    ),
    Mutant(
        "the reset of a sequence after the product",
        STEPS,
        "(reset * seen) @ turned[:, 2 * units :])",
        "reset * (seen @ turned[:, 2 * units :]))",
        VALUE,
        "gru",
    ),
    Mutant(
        "a slope of the reset that forgets its bias",
        STEPS,
        "by_candidate * product * of_reset",
        "by_candidate * parts[2] * of_reset",
        VALUE,
        "gru",
        call=0,
    ),
    Mutant(
        "a slope of the padding",
        STEPS,
        "            kept=where_valid(update, 1.0),\n",
        "            kept=update,\n",
        VALUE,
        "gru",
    ),
    Mutant(
        "an update gate's slope without the state",
        STEPS,
        "(hidden - candidate) * update * (1.0 - update)",
        "-candidate * update * (1.0 - update)",
        VALUE,
        "gru",
    ),
    Mutant(
        "the weights' gradient from the states after the steps",
        STATES,
        "seen = before if scale",
        "seen = after if scale",
        VALUE,
        "gru",
        call=0,
    ),
    Mutant(
        "padding of a sequence that moves the state",
        STEPS,
        "            new = jnp.where(valid, new, hidden)\n",
        "            pass\n",
        VALUE,
        "gru",
    ),
    Mutant(
        "outputs in the padding of a sequence",
        UNROLL,
        "        outputs = jnp.where(valid[:, None], outputs, 0.0)\n",
        "        pass\n",
        VALUE,
        "gru",
    ),
    Mutant(
        "the padding reversed too",
        UNROLL,
        "    every = states(",
        "    valid = valid[::-1] if reverse[0] and valid is not None else valid\n"
        "    every = states(",
        VALUE,
        "gru",
    ),
    Mutant(
        "padding that moves the state of a cell of one's own",
        UNROLL,
        "return jnp.where(valid, new, hidden), jnp.where(valid, new, 0.0)",
        "return new, jnp.where(valid, new, 0.0)",
        OWN_CELL,
    ),
    Mutant(
        "blocks of steps backwards in the order of those forwards",
        STEPS,
        "total - done - count if reverse[index] else done",
        "done",
        "test_recurrent.test_R3_steps_in_blocks_are_the_steps_of_the_cell",
    ),
    Mutant(
        "outputs in the padding of a cell of one's own",
        UNROLL,
        "return jnp.where(valid, new, hidden), jnp.where(valid, new, 0.0)",
        "return jnp.where(valid, new, hidden), new",
        OWN_CELL,
    ),
    Mutant(
        "both directions forwards",
        "jattn.recurrent.bidirectional",
        "reverse=(False, True)",
        "reverse=(False, False)",
        VALUE,
        "bidirectional_gru",
        call=0,
    ),
    Mutant(
        "a window that is one key wider",
        "jattn.engine.forms",
        "    return _side(pair[0], size), _side(pair[1], size)\n",
        "    return _side(pair[0], size), None if pair[1] is None else _side(pair[1] + 1, size)\n",
        ENGINE,
        given={"path": "default", "name": "window"},
    ),
    Mutant(
        "a query that sees the next key",
        MASKING,
        "parts.append(causal(offset))",
        "parts.append(causal(offset + 1))",
        ENGINE,
        given={"path": "default", "name": "causal"},
    ),
    Mutant(
        "a bias inside the soft cap",
        PAIRS,
        "        scores = static.cap * jnp.tanh(scores / static.cap)\n",
        "        bias = spread(finite(operands.bias), static, operands)\n"
        "        scores = static.cap * jnp.tanh((scores + bias) / static.cap) - bias\n",
        ENGINE,
        given={"path": "default", "name": "everything"},
    ),
    Mutant(
        "a soft cap without its slope",
        BLOCK,
        "d_scores if curve is None else curve * d_scores",
        "d_scores",
        ENGINE,
        given={"path": "default", "name": "everything"},
    ),
    Mutant(
        "a sink that the log-sum-exp forgets",
        BLOCK,
        "maximum + jnp.log(safe)",
        "maximum + jnp.log(jnp.where(total == 0.0, 1.0, exponentials.sum(-1)))",
        ENGINE,
        given={"path": "default", "name": "everything"},
    ),
    Mutant(
        "a log-sum-exp without a derivative",
        BLOCK,
        "    return Read(d_context, d_lse)\n",
        "    return Read(d_context, jnp.zeros_like(d_lse))\n",
        ENGINE,
        given={"path": "default", "name": "window"},
    ),
    Mutant(
        "heads that are tiled",
        "jattn.engine.layout",
        "array.reshape(b, t, groups, h // groups, *features)",
        "array.reshape(b, t, h // groups, groups, *features).swapaxes(2, 3)",
        ENGINE,
        given={"path": "default", "name": "causal"},
    ),
    Mutant(
        "a block that thinks it is the first",
        "jattn.engine.runs",
        "run.start + index * run.size, ",
        "run.start + 0 * index, ",
        ENGINE,
        given={"path": "chunks of 2", "name": "causal"},
    ),
    Mutant(
        "a block narrowed to the keys after its own",
        "jattn.engine.narrow",
        "        start = jnp.minimum(start, full - width)\n",
        "        start = jnp.minimum(start + 1, full - width)\n",
        ENGINE,
        given={"path": "narrowed", "name": "everything"},
    ),
    Mutant(
        "dropout drawn for each block anew",
        PAIRS,
        "static.dropout_rate, *places)",
        "static.dropout_rate, places[0] - setting.first_query, places[1])",
        DROPOUT,
    ),
    Mutant(
        "poison in keys that nobody reads",
        "jattn.engine.heads",
        "        key, value = jnp.where(read, key, 0.0), jnp.where(read, value, 0.0)\n",
        "",
        "test_engine.test_C1_what_nobody_may_read_changes_no_bit",
        given={"path": "default", "name": "causal"},
    ),
    Mutant(
        "a band without its first key",
        "jattn.engine.planners",
        "run = Run(0, size, count, -before, before + size + after, size)",
        "run = Run(0, size, count, 1 - before, before + size + after - 1, size)",
        "test_engine_plans.test_C2_every_allowed_pair_is_in_a_block",
    ),
)
