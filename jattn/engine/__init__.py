"""Batched multi-head attention with the values of the paper functions, in linear memory."""

from jattn.engine.attend import attend as attend
from jattn.engine.attend import attend_with_cache as attend_with_cache
from jattn.engine.dot_product import plan as plan
from jattn.engine.plan import Plan as Plan
from jattn.engine.plan import banded as banded
from jattn.engine.plan import best as best
from jattn.engine.plan import chunked as chunked
from jattn.engine.plan import dense as dense
from jattn.engine.plan import grouped as grouped
from jattn.engine.plan import narrowed as narrowed
