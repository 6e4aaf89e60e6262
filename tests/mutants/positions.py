"""Mistakes planted in positions, and in attention that depends on them."""

from mutants.mutant import VALUE, Mutant

YARN = "jattn.positions.yarn"

MUTANTS = (
    Mutant(
        "a larger base whose last frequency is not divided by the whole factor",
        "jattn.positions.frequencies",
        "max(pairs - 1, 1)",
        "pairs",
        VALUE,
        "ntk_frequencies",
    ),
    Mutant(
        "slow pairs kept and fast ones interpolated",
        YARN,
        "(turns - slow) / (fast - slow), 1.0)",
        "(fast - turns) / (fast - slow), 1.0)",
        VALUE,
        "by_parts_frequencies",
    ),
    Mutant(
        "a ramp whose ends are rounded inwards",
        YARN,
        "math.floor(first), math.ceil(last)",
        "math.ceil(first), math.floor(last)",
        VALUE,
        "yarn_frequencies",
        call=0,
    ),
)
