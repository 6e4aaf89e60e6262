"""The table of mechanisms, one row each, which tests, docs and benchmarks read."""

from jattn.catalog.row import Case as Case
from jattn.catalog.row import CaseCall as CaseCall
from jattn.catalog.row import Mechanism as Mechanism
from jattn.catalog.row import case as case
from jattn.catalog.table import MECHANISMS as MECHANISMS
