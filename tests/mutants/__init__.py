"""Mistakes to plant: what, where, the text and its replacement, and the test that must notice."""

from mutants import (
    attention,
    convert,
    engine,
    experiments,
    masks,
    recurrent,
    reported,
    tools,
    training,
    transformer,
)
from mutants.mutant import Mutant as Mutant

MUTANTS: tuple[Mutant, ...] = (
    *attention.MUTANTS,
    *masks.MUTANTS,
    *recurrent.MUTANTS,
    *transformer.MUTANTS,
    *engine.MUTANTS,
    *training.MUTANTS,
    *convert.MUTANTS,
    *tools.MUTANTS,
    *experiments.MUTANTS,
    *reported.MUTANTS,
)
