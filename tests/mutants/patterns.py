"""Mistakes planted in the patterns of papers, and in what the engine knows of their keys."""

from mutants.mutant import LAW, Mutant

DEFINITION = "test_patterns.test_patterns_are_what_they_are_defined_to_be"
SPANS = "test_patterns.test_S2_spans_and_hulls_hold_every_key_that_a_pattern_shows"
NEIGHBOURS, GRIDS, SPARSE = (
    f"jattn.masks.{name}" for name in ("neighbourhoods", "grids", "sparse")
)
COVERS = "jattn.masks.covers"


def planted(
    what: str, module: str, old: str, new: str, name: str, test: str = DEFINITION
) -> Mutant:
    return Mutant(what, module, old, new, test, given={"name": name})


MUTANTS = (
    planted(
        "a neighbourhood that is cut at the end, as a window is",
        NEIGHBOURS,
        "xp.clip(place - size // 2, 0, xp.maximum(count - size, 0))",
        "xp.maximum(place - size // 2, 0)",
        "neighbourhood",
    ),
    planted(
        "an even neighbourhood with one key more",
        NEIGHBOURS,
        "last = xp.minimum(first + size, count) - 1",
        "last = xp.minimum(first + size // 2 * 2 + 1, count) - 1",
        "neighbourhood, even",
    ),
    planted(
        "groups of a dilated neighbourhood that are all as long as the first",
        NEIGHBOURS,
        "(length - group + dilation - 1) // dilation",
        "(length + dilation - 1) // dilation",
        "neighbourhood, dilated",
    ),
    planted(
        "a causal axis that is not",
        NEIGHBOURS,
        "start, stop = query - (size - 1) * dilation, query + 1",
        "start, stop = query - (size - 1) * dilation, query + size",
        "grid neighbourhood, causal",
    ),
    Mutant(
        "windows shifted the other way",
        GRIDS,
        "(q - shift) // size == (k - shift) // size",
        "(q + shift) // size == (k + shift) // size",
        LAW,
        "shifted_windows_are_rolled_partitioned_and_masked",
    ),
    planted(
        "wrapped regions that see each other",
        GRIDS,
        "(q - shift) // size == (k - shift) // size",
        "(q - shift) // size % 2 == (k - shift) // size % 2",
        "grid windows, shifted",
    ),
    planted(
        "a column that begins anew in each row",
        GRIDS,
        "step = prod(grid[axis % len(grid) + 1 :])",
        "step = prod(grid[axis % len(grid) + 2 :])",
        "axial, columns",
    ),
    planted(
        "strides that see the future",
        SPARSE,
        "return causal(offset) & (window(stride, 0, offset) | dilated(stride, offset))",
        "return window(stride, 0, offset) | dilated(stride, offset)",
        "strided",
    ),
    planted(
        "a summary of the first keys of a block",
        SPARSE,
        "stop = size - part * count",
        "stop = count + part * count",
        "fixed",
    ),
    planted(
        "a window of blocks that is one of positions",
        SPARSE,
        "distance = keys // size - (queries + offset) // size",
        "distance = (keys - (queries + offset)) // size",
        "block window",
    ),
    planted(
        "a dilated window that reaches as far as one without gaps",
        SPARSE,
        "reach = side * dilation",
        "reach = side",
        "longformer",
    ),
    planted(
        "global tokens that are seen by none",
        SPARSE,
        "jnp.asarray(is_global)[queries] | jnp.asarray(is_global_key)[keys]",
        "jnp.asarray(is_global)[queries] & (keys >= 0)",
        "global positions",
    ),
    planted(
        "a window that does not count the query's own key",
        SPARSE,
        "window(window_size - 1, 0, offset)",
        "window(window_size, 0, offset)",
        "streaming",
    ),
    planted(
        "noised queries that see the clean copy of their own block",
        "jattn.masks.diffusion",
        "clean_key & (key < query)",
        "clean_key & (key <= query)",
        "block diffusion",
    ),
    Mutant(
        "random blocks that may be near, so that there are fewer others",
        "jattn.masks.big_bird",
        "jnp.where(fixed, 2.0, jax.random.uniform(rng, fixed.shape))",
        "jax.random.uniform(rng, fixed.shape)",
        "test_patterns.test_big_bird_has_random_blocks_that_are_neither_near_nor_global",
        given={"first": 1, "last": 1, "side": 1, "count": 3},
    ),
    planted(
        "a cover of a dilated neighbourhood that forgets the gaps",
        COVERS,
        "before, widest = size // 2 * dilation, size * dilation",
        "before, widest = size // 2, size",
        *("neighbourhood, dilated", SPANS),
    ),
    planted(
        "a cover of windows without their shift",
        COVERS,
        "((last + 1) * size + shift) * row",
        "(last + 1) * size * row",
        *("grid windows, shifted", SPANS),
    ),
    planted(
        "a cover of both copies by the last query alone",
        COVERS,
        "xp.where(first < length, xp.maximum(stop, of_noised), stop)",
        "stop",
        *("block diffusion, smaller last", SPANS),
    ),
    planted(
        "a span of blocks that ends with the query's own",
        "jattn.masks.spans",
        "(xp.minimum(block + right, FAR // size - 1) + 1) * size",
        "(xp.minimum(block, FAR // size - 1) + 1) * size",
        *("block window, open", SPANS),
    ),
)
