"""Masks as functions of position: small values that combine with `&`, `|` and `~`.

True means that a query may attend to a key. A mask is a rule and its operands. It has no fixed
number of queries and keys: `.dense(t, s)` and `.at(queries, keys)` evaluate it at positions, so a
block at a time is possible. Masks are pytrees: Python integers in them are static, and arrays are
leaves, which batch under `jax.vmap`. Positions count from 0. `Mask` takes a rule of one's own.
The patterns of papers are drawn in docs/patterns.md.

    >>> print(window(left=1, right=0).dense(3, 4).astype(int))
    [[1 0 0 0]
     [1 1 0 0]
     [0 1 1 0]]
"""

from jattn.masks.algebra import Mask as Mask
from jattn.masks.algebra import dense as dense
from jattn.masks.big_bird import big_bird as big_bird
from jattn.masks.diffusion import block_diffusion as block_diffusion
from jattn.masks.grids import axial as axial
from jattn.masks.grids import grid_windows as grid_windows
from jattn.masks.neighbourhoods import grid_neighbourhood as grid_neighbourhood
from jattn.masks.neighbourhoods import neighbourhood as neighbourhood
from jattn.masks.patterns import blocks as blocks
from jattn.masks.patterns import causal as causal
from jattn.masks.patterns import dilated as dilated
from jattn.masks.patterns import global_tokens as global_tokens
from jattn.masks.patterns import lengths as lengths
from jattn.masks.patterns import prefix as prefix
from jattn.masks.patterns import segments as segments
from jattn.masks.patterns import window as window
from jattn.masks.sparse import block_window as block_window
from jattn.masks.sparse import fixed as fixed
from jattn.masks.sparse import global_positions as global_positions
from jattn.masks.sparse import longformer as longformer
from jattn.masks.sparse import streaming as streaming
from jattn.masks.sparse import strided as strided
