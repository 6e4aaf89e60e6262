"""The entmax package, of the authors of entmax."""

# pyright: reportMissingImports=false

import entmax

import jattn
from experiments.differences.agreement.entry import Entry, normal
from experiments.differences.agreement.torch_run import by_torch

SCORES = normal(6, 9)


def entry(mechanism, function, theirs, inputs=(SCORES,), ours=None, note=""):
    ours = ours or getattr(jattn, mechanism)
    return Entry(mechanism, "entmax", function, inputs, ours, by_torch(theirs), note)


def order(alpha: float):
    """An order, as an array that is differentiated."""
    return lambda rng: alpha + 0.0 * rng.standard_normal(())


def of_order(scores, alpha):
    return jattn.entmax(scores, alpha=alpha)


def bisected(scores, alpha):
    return entmax.entmax_bisect(scores, alpha.expand(len(scores), 1), dim=-1, n_iter=60)


ENTRIES = [
    entry("sparsemax", "sparsemax", lambda scores: entmax.sparsemax(scores, dim=-1)),
    entry("sparsemax", "sparsemax_bisect",
          lambda scores: entmax.sparsemax_bisect(scores, n_iter=60)),
    entry("entmax15", "entmax15", lambda scores: entmax.entmax15(scores, dim=-1)),
    *(
        entry("entmax", "entmax_bisect", bisected, (SCORES, order(alpha)), of_order,
              f"order {alpha}, with its derivative, one for all rows; 60 bisections")
        for alpha in (1.25, 1.5, 1.75, 2.5)
    ),
]  # fmt: skip
