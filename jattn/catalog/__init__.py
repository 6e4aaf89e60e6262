"""The table of mechanisms, one row each: tests, docs and benchmarks read it."""

from jattn.catalog.row import DRAWN as DRAWN
from jattn.catalog.row import SIZES as SIZES
from jattn.catalog.row import Call as Call
from jattn.catalog.row import Case as Case
from jattn.catalog.row import Mechanism as Mechanism
from jattn.catalog.row import case as case
from jattn.catalog.table import FUNCTIONAL as FUNCTIONAL
from jattn.catalog.table import MECHANISMS as MECHANISMS
from jattn.catalog.table import RAGGED as RAGGED
