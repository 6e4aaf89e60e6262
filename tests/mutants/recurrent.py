"""Mistakes planted in cells, unrolling, encoder, decoders, searches and sampling."""

from mutants.mutant import OWN_CELL, VALUE, Mutant

CELLS = "jattn.recurrent.cells"
PADDING = "jattn.recurrent.padding"
STACKED = "jattn.recurrent.stacked"
READING = "jattn.recurrent.reading"
BAHDANAU = "jattn.recurrent.bahdanau"
LUONG = "jattn.recurrent.luong"
BEAM = "jattn.search.beam"
SEARCHES = "jattn.search.searches"
SAMPLING = "jattn.search.sampling"
POSITION = "test_decoders.test_a_step_reads_at_the_position_that_it_has_in_the_whole_pass"
EQUATIONS = "test_decoders.test_R3_a_target_is_decoded_by_the_equations_of_the_paper"
TARGETS = "test_decoders.test_R2_tokens_past_the_length_of_a_target_give_nothing_and_no_gradient"
MEMORY = "test_decoders.test_C1_padding_of_the_memory_changes_no_value_and_no_gradient"
ENUMERATION = "test_search.test_a_beam_that_holds_everything_finds_what_enumeration_finds"
BROKEN = "test_search.test_a_step_that_says_nothing_ends_the_search_and_keeps_what_was_found"
LAST = "test_search.test_broken_beginnings_come_after_all_others"
PROMPTS = "test_search.test_each_element_of_a_batch_has_its_own_prompt"
SAMPLES = "test_search.test_samples_are_of_the_distribution_that_temperature_top_k_and_top_p_define"
REFUSED = "test_search.test_bad_arguments_are_named_with_the_function_that_was_called"
UNROLL = "jattn.recurrent.unroll"
STEPS = "jattn.recurrent.steps"
STATES = "jattn.recurrent.states"
RESET_AFTER = """\
    candidate = jnp.tanh(projected[2] + reset * recurrent[2])
    return (1.0 - update) * candidate + update * hidden
"""
RESET_BEFORE = '    product = jnp.einsum("m,nm->n", reset * hidden, weight[2])\n'
NEW = "        new = (1.0 - update) * candidate + update * hidden\n"

MUTANTS = (
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
        "(reset * scaled) @ turned[:, 2 * units :])",
        "reset * (scaled @ turned[:, 2 * units :]))",
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
        "scaled = before if scale",
        "scaled = after if scale",
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
        "    after_steps = states(",
        "    valid = valid[::-1] if reverse[0] and valid is not None else valid\n"
        "    after_steps = states(",
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
        "one step too many",
        PADDING,
        "jnp.arange(steps) < jnp.asarray(length)",
        "jnp.arange(steps) <= jnp.asarray(length)",
        VALUE,
        "gru",
    ),
    Mutant(
        "valid steps that nobody asks for",
        PADDING,
        "return valid if length is None",
        "return None if length is None",
        VALUE,
        "bidirectional_gru",
        call=1,
    ),
    Mutant(
        "initial states of layers from the top down",
        STACKED,
        "    return list(initial)\n",
        "    return list(initial)[::-1]\n",
        "test_recurrent.test_G1_G2_layers_match_their_oracle",
    ),
    Mutant(
        "dropout of the first layer's inputs",
        STACKED,
        "        if index and dropout_rate:\n",
        "        if dropout_rate:\n",
        "test_recurrent.test_K1_no_dropout_is_bitwise_no_dropout_and_a_rate_needs_a_key",
    ),
    Mutant(
        "a tagger that attends to padding",
        "jattn.recurrent.encoder",
        "usable[:, None] & usable[None]",
        "usable[:, None] | usable[None]",
        "test_decoders.test_the_smallest_model_with_attention",
    ),
    Mutant(
        "padding that is embedded",
        "jattn.recurrent.tokens",
        "        tokens = jnp.where(usable, tokens, 0)\n",
        "        pass\n",
        TARGETS,
        given={"order": "luong", "kind": "general"},
    ),
    Mutant(
        "a step at position zero",
        READING,
        "moved[name] = position + ",
        "moved[name] = 0 * position + ",
        POSITION,
        given={"kind": "rotary"},
    ),
    Mutant(
        "a position in place of an offset",
        READING,
        "position + options.get(name, default)",
        "position + 0",
        POSITION,
        given={"kind": "local-m"},
    ),
    Mutant(
        "a mask without the memory's",
        READING,
        "allowed = allowed & memory.mask.at(queries, keys)",
        "pass",
        POSITION,
        given={"kind": "array"},
    ),
    Mutant(
        "always the first row of a bias",
        READING,
        "jnp.take(bias, _places(position, t)",
        "jnp.take(bias, _places(0 * position, t)",
        POSITION,
        given={"kind": "bias"},
    ),
    Mutant(
        "padding in projected keys",
        READING,
        "    values = zero_padding(memory.values, memory.length, memory.valid)[0]\n",
        "    values = memory.values\n",
        MEMORY,
        given={"kind": "additive"},
    ),
    Mutant(
        "a readout of the context before the state",
        BAHDANAU,
        "jnp.concatenate([hidden, embedded, context], axis=-1)",
        "jnp.concatenate([context, embedded, hidden], axis=-1)",
        EQUATIONS,
        given={"order": "bahdanau"},
    ),
    Mutant(
        "steps that stay where they are",
        BAHDANAU,
        "state.position + 1",
        "state.position",
        "test_decoders.test_the_query_position_reaches_local_attention",
    ),
    Mutant(
        "logits past the target",
        BAHDANAU,
        "rows, 0.0)",
        "rows, rows)",
        TARGETS,
        given={"order": "luong", "kind": "general"},
    ),
    Mutant(
        "attention before the step",
        LUONG,
        "read(hidden[None], state.position)",
        "read(state.hidden[None], state.position)",
        EQUATIONS,
        given={"order": "luong feeding"},
    ),
    Mutant(
        "the state before the context",
        LUONG,
        "jnp.concatenate([context, hidden], axis=-1)",
        "jnp.concatenate([hidden, context], axis=-1)",
        EQUATIONS,
        given={"order": "luong"},
    ),
    Mutant(
        "an attentional vector of another size",
        "jattn.recurrent.decoder_params",
        "    size = units if attentional_size is None else attentional_size\n",
        "    size = units\n",
        "test_decoders.test_decoders_have_the_sizes_that_were_asked_for",
    ),
    Mutant(
        "beginnings compared without the penalty",
        BEAM,
        "    scores = score(totals, counts[:, None], rules.length_penalty)\n",
        "    scores = score(totals, counts[:, None], 0.0)\n",
        ENUMERATION,
        given={"name": "length penalty"},
    ),
    Mutant(
        "a sequence that goes on after its stop",
        BEAM,
        "jnp.where(beam.stopped[:, None], stays[None].astype(following.dtype), following)",
        "following",
        ENUMERATION,
        given={"name": "plain"},
    ),
    Mutant(
        "tokens of another sequence",
        BEAM,
        "        return parents, (tokens, collected)\n",
        "        return places, (tokens, collected)\n",
        ENUMERATION,
        given={"name": "plain"},
    ),
    Mutant(
        "a stop one token too early",
        BEAM,
        "(beam.count >= rules.min_length)",
        "(beam.count >= rules.min_length - 1)",
        ENUMERATION,
        given={"name": "least length"},
    ),
    Mutant(
        "what was found is lost",
        BEAM,
        "jnp.where(broken, 1, 2)",
        "jnp.where(broken, 3, 2)",
        LAST,
    ),
    Mutant(
        "a dead end before what goes on",
        BEAM,
        "jnp.where(best_scores > -jnp.inf, 0, 2)",
        "jnp.where(best_scores > -jnp.inf, 1, 2)",
        LAST,
    ),
    Mutant(
        "infinity taken for a probability",
        BEAM,
        "(following < jnp.inf).all(-1)",
        "(following == following).all(-1)",
        BROKEN,
        given={"name": "greedy", "wrong": float("inf")},
    ),
    Mutant(
        "sums in half precision",
        SEARCHES,
        ".astype(inner_dtype(following.dtype))",
        ".astype(following.dtype)",
        "test_search.test_N1_scores_are_sums_in_float32",
        given={"dtype": "bfloat16"},
    ),
    Mutant(
        "a prompt read to its end, and its end again",
        SEARCHES,
        "jnp.where(index + 1 < length, new, old)",
        "jnp.where(index < length, new, old)",
        PROMPTS,
    ),
    Mutant(
        "suppressed tokens",
        SEARCHES,
        "usable=~none.at[suppressed].set(True)",
        "usable=~none",
        ENUMERATION,
        given={"name": "suppressed"},
    ),
    Mutant(
        "another function's mistakes",
        SEARCHES,
        '        "greedy_search",\n',
        '        "beam_search",\n',
        REFUSED,
        given={"function": "greedy_search"},
    ),
    Mutant(
        "a token past the last word",
        "jattn.search.arguments",
        "if not 0 <= extreme < words:",
        "if not 0 <= extreme <= words:",
        REFUSED,
        given={"function": "greedy_search"},
    ),
    Mutant(
        "a temperature that sharpens",
        SAMPLING,
        "logits / jnp.asarray(temperature, logits.dtype)",
        "logits * jnp.asarray(temperature, logits.dtype)",
        SAMPLES,
        given={"temperature": 2.0, "top_k": None, "top_p": 0.7},
    ),
    Mutant(
        "a nucleus without its last token",
        SAMPLING,
        "before = jnp.cumsum(probabilities) - probabilities",
        "before = jnp.cumsum(probabilities)",
        SAMPLES,
        given={"temperature": 1.3, "top_k": 4, "top_p": 0.8},
    ),
    Mutant(
        "equally likely tokens from the last",
        SAMPLING,
        "    order = jnp.argsort(-following)  #",
        "    order = len(following) - 1 - jnp.argsort(-following[::-1])  #",
        SAMPLES,
        given={"temperature": 0.5, "top_k": 2, "top_p": 1.0},
    ),
    Mutant(
        "one draw for all tokens",
        SAMPLING,
        "jax.random.fold_in(key, count)",
        "key",
        "test_search.test_tokens_of_a_sample_are_drawn_one_by_one",
    ),
)
