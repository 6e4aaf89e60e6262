"""Mistakes planted in the engine, caches, chunks and statistics."""

from mutants.mutant import DROPOUT, ENGINE, Mutant

BLOCK = "jattn.engine.block"
PAIRS = "jattn.engine.pairs"
MASKING = "jattn.engine.masking"

MUTANTS = (
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
        "static.dropout_rate, heads, *places)",
        "static.dropout_rate, heads, places[0] - setting.first_query, places[1])",
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
