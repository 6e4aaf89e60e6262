"""Mistakes planted in training."""

from mutants.mutant import Mutant

MUTANTS: tuple[Mutant, ...] = ()
