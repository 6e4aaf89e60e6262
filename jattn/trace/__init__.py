"""The steps of a mechanism, one by one: every intermediate that it names, and what it costs."""

from jattn.trace.record import Intermediate as Intermediate
from jattn.trace.record import Trace as Trace
from jattn.trace.tracing import trace as trace
