"""Traces of a mechanism: every intermediate value that it names, and its cost."""

from jattn.tracing.record import Intermediate as Intermediate
from jattn.tracing.record import Trace as Trace
from jattn.tracing.tracing import trace as trace
