"""The steps of a mechanism, one by one: every intermediate that it names, and what it costs."""

from jattn.tracing.record import Intermediate as Intermediate
from jattn.tracing.record import Trace as Trace
from jattn.tracing.tracing import trace as trace
