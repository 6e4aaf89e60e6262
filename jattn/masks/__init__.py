"""Masks as functions of position: small values that combine with `&`, `|` and `~`.

True means that a query may attend to a key. A mask is a rule and its operands and knows no number
of queries and keys until `.dense(t, s)` or `.at(queries, keys)` asks, so it can be evaluated a
block at a time. Masks are pytrees: Python integers in them are static, arrays are leaves, and so
batch under `jax.vmap`. Positions count from 0.

    >>> print(window(left=1, right=0).dense(3, 4).astype(int))
    [[1 0 0 0]
     [1 1 0 0]
     [0 1 1 0]]
"""

from jattn.masks.algebra import Mask as Mask
from jattn.masks.algebra import dense as dense
from jattn.masks.patterns import blocks as blocks
from jattn.masks.patterns import causal as causal
from jattn.masks.patterns import dilated as dilated
from jattn.masks.patterns import global_tokens as global_tokens
from jattn.masks.patterns import lengths as lengths
from jattn.masks.patterns import prefix as prefix
from jattn.masks.patterns import segments as segments
from jattn.masks.patterns import window as window
