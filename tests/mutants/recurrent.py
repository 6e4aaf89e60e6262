"""Mistakes planted in cells, unrolling, decoders and searches."""

from mutants.mutant import OWN_CELL, VALUE, Mutant

CELLS = "jattn.recurrent.cells"
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
)
