"""Mistakes planted in multi-head attention, blocks, stacks and steps."""

from mutants.mutant import EMPTY, HEADS, VALUE, Mutant

HEADED = "jattn.attention.multi_head"
HEADS_APART = "jattn.attention.multi_head_parts"
HEADS_DRAWN = "jattn.attention.multi_head_params"
ENCODER_BLOCK = "jattn.transformer.encoder_block"
DECODER_BLOCK = "jattn.transformer.decoder_block"
DECODING = "jattn.transformer.decoding"
CAUSAL = "jattn.transformer.causal"
SUBLAYERS = "jattn.transformer.sublayers"
VISIBLE = "jattn.masks.visible"
ATTEND = "jattn.engine.attend"

TESTS = "test_transformer.test_"
STEPS = TESTS + "S1_steps_are_the_full_pass"
GRADIENT = TESTS + "S1_G1_C1_the_gradient_of_steps_is_that_of_the_full_pass"
PADDING = TESTS + "C1_padding_changes_no_bit"
PADDED_MEMORY = TESTS + "C1_a_memory_that_padding_alone_may_read_changes_no_bit"
FIRST_POSITION = TESTS + "the_position_of_the_first_input_moves_both_queries_and_keys"
DROPPED = TESTS + "K1_dropout_of_weights_is_that_of_the_engine_and_of_the_oracle"
BY_POSITION = TESTS + "K1_dropout_of_weights_goes_by_position"
OWN_KEYS = TESTS + "K1_blocks_and_stacks_drop_weights_of_each_attention_by_a_key_of_its_own"
SQUARES = TESTS + "S1_stacks_with_other_norms_and_networks_give_the_same_by_steps"
OWN_LAYERS = TESTS + "a_norm_and_a_network_of_ones_own_have_parameters_of_their_own"
DRAWN = TESTS + "parameters_are_drawn_with_variance_one_over_fan_in"
NAMED = TESTS + "mistakes_are_named"

ON_THE_ENGINE = "test_attend.test_G3_C1_the_engine_gives_the_dense_form_and_its_derivatives"
SEEN = "test_attend.test_visible_queries_and_keys_are_those_of_the_dense_mask"
NO_PAIRS = "test_attend.test_no_array_has_all_pairs_of_queries_and_keys"
REFUSED = "test_attend.test_mistakes_are_named"

CHUNKS = "test_causal.test_S1_C1_chunks_are_the_full_pass"
ENDS = "test_causal.test_S1_sequences_go_on_from_ends_of_their_own"
CHUNKS_BACK = "test_causal.test_G1_G3_derivatives_of_chunks_are_those_of_the_full_pass"
CAUSAL_NAMED = "test_causal.test_mistakes_are_named"
IN_THREES = {"name": "rotation, sinks and a cap", "chunk": 3}

ROTATED = {"attend": "dense", "name": "post-norm, rotation, a bias, a memory with padding"}
LATER = {
    "attend": "dense",
    "name": "sinks, cap, scale and rotation of the memory from a later position",
}
MASKED = {"attend": "dense", "name": "masks of each query, and a position that is padding"}
ROWS_OF_SINKS = "transformer_step: self_sinks has shape (3, 3), expected (l, h) with l=2"
SIZE_OF_INPUTS = "transformer_step: inputs has shape (7,), expected (6,)"
BY_BIAS = {"name": "encoder block", "hidden": "a bias of -inf"}
BY_MASK = {"name": "decoder", "hidden": "a mask of lengths"}

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
        call=3,
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
        "named_value(only(reads, output)",
        "named_value(output",
        EMPTY,
        "multi_head_attention",
    ),
    Mutant(
        "the soft cap after the bias",
        HEADS_APART,
        "        if logits_soft_cap is not None:\n",
        "        if bias is not None:\n            scores, bias = scores + bias, None\n"
        "        if logits_soft_cap is not None:\n",
        DROPPED,
        given={"generator": "threefry2x32"},
    ),
    Mutant(
        "the sink's weight kept in the row",
        HEADS_APART,
        "allowed)[:, :keys]",
        "allowed)[:, 1:]",
        VALUE,
        "multi_head_attention",
    ),
    Mutant(
        "one head's sink for all",
        HEADS_APART,
        "(sinks, 1)",
        "(None if sinks is None else sinks[0], 1)",
        VALUE,
        "multi_head_attention",
    ),
    Mutant(
        "kept weights not divided by 1 - rate",
        HEADS_APART,
        "kept.astype(dtype) / (1.0 - rate)",
        "kept.astype(dtype)",
        DROPPED,
        given={"generator": "threefry2x32"},
    ),
    Mutant(
        "dropout by the row and not by the position",
        HEADS_APART,
        "positions_from(offset, queries)",
        "positions_from(0, queries)",
        BY_POSITION,
    ),
    Mutant(
        "keys rotated from the first query's position",
        HEADED,
        'key, "key_heads"), 0)',
        'key, "key_heads"), query_offset)',
        FIRST_POSITION,
    ),
    Mutant(
        "inputs that nobody may read projected as they are",
        HEADED,
        "only(reads, query), only(is_read, key), only(is_read, value)",
        "query, key, value",
        ON_THE_ENGINE,
        given={"name": "an array"},
    ),
    Mutant(
        "the engine without the mask",
        HEADED,
        "mask=mask, bias=bias, normalizer=other",
        "mask=None, bias=bias, normalizer=other",
        ON_THE_ENGINE,
        given={"name": "documents"},
    ),
    Mutant(
        "the engine without the sinks",
        HEADED,
        '"logits_soft_cap": logits_soft_cap, "sinks": sinks}',
        '"logits_soft_cap": logits_soft_cap, "sinks": sinks if attend is None else None}',
        ON_THE_ENGINE,
        given={"name": "a bias of each head"},
    ),
    Mutant(
        "another normalizer than the engine's is taken for its own",
        ATTEND,
        "if normalizer is not softmax:",
        "if normalizer is None:",
        REFUSED,
        given={"message": "attend: normalizer is sparsemax, expected softmax"},
    ),
    Mutant(
        "visible keys of intervals without the last",
        VISIBLE,
        "xp.where(reads, keys.stop, s)",
        "xp.where(reads, keys.stop - 1, s)",
        SEEN,
        given={"name": "a window of some", "bias": "no bias"},
    ),
    Mutant(
        "visible queries of the last block alone",
        VISIBLE,
        ".at[rows].set(reads)",
        ".at[rows[-1]].set(reads[-1])",
        SEEN,
        given={"name": "documents", "bias": "no bias"},
    ),
    Mutant(
        "visible places of all pairs at once",
        VISIBLE,
        "PAIRS = 2**16",
        "PAIRS = 2**26",
        NO_PAIRS,
        given={"by_engine": True},
    ),
    Mutant(
        "keys of a chunk rotated from its own beginning",
        CAUSAL,
        "rotated(turn, key, start)",
        "rotated(turn, key, 0)",
        ENDS,
    ),
    Mutant(
        "padding of a chunk stored",
        CAUSAL,
        'options = {"lengths": lengths, "scale"',
        'options = {"lengths": None, "scale"',
        CHUNKS,
        given=IN_THREES,
    ),
    Mutant(
        "padding of a chunk read",
        CAUSAL,
        "                used=used,\n",
        "",
        CHUNKS_BACK,
    ),
    Mutant(
        "the first block's sinks for all",
        CAUSAL,
        "self_sinks[index]}",
        "self_sinks[0]}",
        CHUNKS,
        given=IN_THREES,
    ),
    Mutant(
        "padding of a chunk counted",
        ATTEND,
        "*stored, lengths=lengths)",
        "*stored)",
        CHUNKS,
        given=IN_THREES,
    ),
    Mutant(
        "caches uncounted",
        CAUSAL,
        "if len(caches) != len(params.blocks):",
        "if not caches:",
        CAUSAL_NAMED,
        given={"message": "causal_decode: caches has 1 caches, expected 2 (from params.blocks)"},
    ),
    Mutant(
        "every weight of heads drawn with one fan-in",
        HEADS_DRAWN,
        "heads * value_head_size)",
        "value_head_size)",
        DRAWN,
    ),
    Mutant(
        "hidden units drawn with the fan-in of the features",
        "jattn.transformer.feed_forward",
        "max(hidden_size, 1) ** -0.5",
        "max(size, 1) ** -0.5",
        DRAWN,
    ),
    Mutant(
        "no hidden bias",
        "jattn.transformer.feed_forward",
        "AffineParams(params.hidden_weight, params.hidden_bias)",
        "AffineParams(params.hidden_weight, None)",
        VALUE,
        "encoder_block",
        call=1,
    ),
    Mutant(
        "post-norm of the sublayer alone",
        "jattn.transformer.order",
        "norm(inputs + outputs)",
        "inputs + norm(outputs)",
        VALUE,
        "encoder_block",
        call=0,
    ),
    Mutant(
        "a bias of -inf is no mask of padding",
        VISIBLE,
        "        mask = finite if mask is None else mask & finite\n",
        "",
        PADDING,
        given=BY_BIAS,
    ),
    Mutant(
        "padding zeroed after the block alone",
        SUBLAYERS,
        "    inputs = only(used, inputs)\n",
        "",
        PADDING,
        given=BY_MASK,
    ),
    Mutant(
        "norms drawn as layer norms whatever is asked for",
        SUBLAYERS,
        "if init_norm is None else init_norm",
        "if init_norm is not init_layer_norm else init_norm",
        SQUARES,
    ),
    Mutant(
        "one norm's parameters for all sublayers",
        SUBLAYERS,
        "partial(norm, norm_params)",
        "partial(norm, norms[0])",
        OWN_LAYERS,
    ),
    Mutant(
        "the activation of the hidden units and not of the gates",
        "jattn.transformer.gated_feed_forward",
        "gates * affine(AffineParams(params.hidden_weight), inputs)",
        "gates * activation(affine(AffineParams(params.hidden_weight), inputs))",
        VALUE,
        "gated_feed_forward",
    ),
    Mutant(
        "the first position forgotten by keys",
        ENCODER_BLOCK,
        "turn=shifted(turn, query_offset),",
        "turn=turn, query_offset=query_offset,",
        FIRST_POSITION,
    ),
    Mutant(
        "weights and results dropped by one key",
        ENCODER_BLOCK,
        "dropout_rng=weights_rng",
        "dropout_rng=rngs[0]",
        OWN_KEYS,
    ),
    Mutant(
        "padding reads the memory",
        DECODER_BLOCK,
        "used_alone & mask",
        "mask",
        PADDED_MEMORY,
    ),
    Mutant(
        "both attentions of a block dropped alike",
        DECODER_BLOCK,
        "dropout_rng=cross_rng",
        "dropout_rng=self_rng",
        OWN_KEYS,
    ),
    Mutant(
        "one attention drawn for both",
        "jattn.transformer.decoder_params",
        "for attention_rng in (self_rng, cross_rng)",
        "for attention_rng in (self_rng, self_rng)",
        DRAWN,
    ),
    Mutant(
        "the last norm over padding",
        "jattn.transformer.stacks",
        "    outputs = only(used, normalized(norm, params.norm, inputs))\n    self_weights",
        "    outputs = normalized(norm, params.norm, inputs)\n    self_weights",
        PADDING,
        given=BY_MASK,
    ),
    Mutant(
        "one key for all blocks",
        "jattn.transformer.stacks",
        "jax.random.split(rng, len(blocks))",
        "[rng] * len(blocks)",
        OWN_KEYS,
    ),
    Mutant(
        "the rows of sinks uncounted",
        "jattn.transformer.stack_params",
        "if rows is not None and len(rows) != len(blocks):",
        "if rows is not None and len(rows) < len(blocks):",
        NAMED,
        given={
            "message": "transformer_step: self_sinks has shape (3, 3), expected (l, h) with l=2"
        },
    ),
    Mutant(
        "the memory's padding projected",
        "jattn.transformer.memory",
        "    memory = memory if allowed is None else jnp.where(allowed[0][:, None], memory, 0.0)\n",
        "",
        GRADIENT,
        given=ROTATED,
    ),
    Mutant(
        "a mask of each query read as that of the first",
        "jattn.transformer.memory",
        "    return any(queries is variable for step in rule.eqns for variable in step.invars)\n",
        "    return not queries\n",
        NAMED,
        given={"message": "transformer_memory: memory_mask depends on the query, expected one row"},
    ),
    Mutant(
        "the sizes of a state not compared",
        "jattn.transformer.state",
        "if tuple(array.shape) != shape:",
        "if len(array.shape) != len(shape):",
        NAMED,
        given={"message": SIZE_OF_INPUTS},
    ),
    Mutant(
        "a step without its position",
        DECODING,
        "query, key = rotated(turn, query, place), rotated(turn, key, place)",
        "key = rotated(turn, key, place)",
        STEPS,
        given=ROTATED,
    ),
    Mutant(
        "a step that does not rotate the memory",
        DECODING,
        "rotated(memory_turn, memory.keys[index], 0)",
        "memory.keys[index]",
        STEPS,
        given=LATER,
    ),
    Mutant(
        "a step that forgets the first position",
        DECODING,
        "place = _moved(position, query_offset)",
        "place = position",
        STEPS,
        given=LATER,
    ),
    Mutant(
        "a step that sees the future",
        DECODING,
        "past = (_places(cache.slots, cache.length) <= cache.length)[None]",
        "past = (_places(cache.slots, cache.length) <= cache.length + 1)[None]",
        STEPS,
        given=LATER,
    ),
    Mutant(
        "a step that takes padding for a position",
        DECODING,
        "reads | (column & (places >= position)).any()",
        "reads | True",
        STEPS,
        given=MASKED,
    ),
    Mutant(
        "the weights of the step before",
        DECODING,
        "all_weights.append(weights)",
        "all_weights.append(state.weights[index])",
        STEPS,
        given=ROTATED,
    ),
)
