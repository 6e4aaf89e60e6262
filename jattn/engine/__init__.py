"""Batched multi-head attention with the values of the paper functions, in linear memory."""

from jattn.engine.attend import attend as attend
from jattn.engine.attend import attend_with_cache as attend_with_cache
from jattn.engine.dot_product import plan as plan
from jattn.engine.planners import banded as banded
from jattn.engine.planners import best as best
from jattn.engine.planners import chunked as chunked
from jattn.engine.planners import dense as dense
from jattn.engine.planners import grouped as grouped
from jattn.engine.planners import narrowed as narrowed
from jattn.engine.planning import Plan as Plan
