"""Selectors: functions of queries and keys that return a mask, True for the keys that they choose.

The mask goes to any function that takes one, of a paper or of the engine. A choice is piecewise
constant: nothing flows back through it, and gradients are those of attention under a fixed mask. A
key that `mask` hides is never chosen, and a query with fewer keys than a selector may choose gets
all that it may attend to.
"""

from jattn.selectors.indexer import indexer_loss as indexer_loss
from jattn.selectors.indexer import indexer_scores as indexer_scores
from jattn.selectors.lsh import lsh as lsh
from jattn.selectors.lsh import lsh_rotations as lsh_rotations
from jattn.selectors.moba import moba as moba
from jattn.selectors.native import native_blocks as native_blocks
from jattn.selectors.routing import routing as routing
from jattn.selectors.top_k import top_k as top_k
