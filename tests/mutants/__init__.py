"""Mistakes to plant: what, where, the text and its replacement, and the test that must notice."""

from mutants import (
    alignment,
    attention,
    convert,
    engine,
    experiments,
    gated,
    linear,
    masks,
    patterns,
    positions,
    recurrent,
    reported,
    selectors,
    tools,
    training,
    transformer,
)
from mutants.mutant import Mutant as Mutant

MUTANTS: tuple[Mutant, ...] = (
    *alignment.MUTANTS,
    *attention.MUTANTS,
    *masks.MUTANTS,
    *patterns.MUTANTS,
    *positions.MUTANTS,
    *recurrent.MUTANTS,
    *gated.MUTANTS,
    *linear.MUTANTS,
    *selectors.MUTANTS,
    *transformer.MUTANTS,
    *engine.MUTANTS,
    *training.MUTANTS,
    *convert.MUTANTS,
    *tools.MUTANTS,
    *experiments.MUTANTS,
    *reported.MUTANTS,
)
