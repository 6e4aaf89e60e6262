"""Mistakes planted in conversions."""

from mutants.mutant import Mutant

MUTANTS: tuple[Mutant, ...] = ()
