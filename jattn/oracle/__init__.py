"""The same mechanisms in NumPy alone, row by row, with gradients derived by hand.

`jattn.oracle.<path>.<name>` takes the arguments of `jattn.<path>.<name>`, masks as dense arrays and
normalizers as the oracle's own, and returns `(output, pullback)` as `jax.vjp` does. The pullback
returns the gradients of the positional arrays, then those of the keyword arrays that were given,
in the order of the signature. Arrays keep the dtype that comes in, so that the same code runs in
complex128, which proves its gradient, and in longdouble, which judges float64.
"""

from jattn.oracle import attention as attention
from jattn.oracle import engine as engine
from jattn.oracle import layers as layers
from jattn.oracle import normalizers as normalizers
from jattn.oracle import positions as positions
from jattn.oracle import recurrent as recurrent
from jattn.oracle import transformer as transformer
