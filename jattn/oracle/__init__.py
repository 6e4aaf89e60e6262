"""Oracles: every mechanism in NumPy alone, row by row, with its gradient derived by hand.

`jattn.oracle.<path>.<name>` takes the arguments of `jattn.<path>.<name>`, with masks as dense
arrays and the oracle's own normalizers. It returns `(output, pullback)` as `jax.vjp` does. The
pullback returns the gradients of the positional arrays, then those of the keyword arrays that were
passed, in the order of the signature. The oracle of a position bias returns a function of
distances, which returns the pair. Arrays keep their dtype: the same code runs in complex128,
which proves its gradient, and in longdouble, whose extra digits judge float64.
"""

import importlib
import pkgutil

from jattn.oracle import alignment as alignment
from jattn.oracle import attention as attention
from jattn.oracle import biases as biases
from jattn.oracle import engine as engine
from jattn.oracle import layers as layers
from jattn.oracle import normalizers as normalizers
from jattn.oracle import positions as positions
from jattn.oracle import recurrent as recurrent
from jattn.oracle import transformer as transformer

# An oracle is an attribute too if no module lists it.
for _module in pkgutil.walk_packages(__path__, f"{__name__}."):
    importlib.import_module(_module.name)
