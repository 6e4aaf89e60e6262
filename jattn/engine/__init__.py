"""The same values as the mechanisms', faster and in linear memory."""

from jattn.engine.dot_product import plan as plan
from jattn.engine.planning import Plan as Plan
from jattn.engine.planning import banded as banded
from jattn.engine.planning import best as best
from jattn.engine.planning import chunked as chunked
from jattn.engine.planning import dense as dense
from jattn.engine.planning import grouped as grouped
