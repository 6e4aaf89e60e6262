"""Tokamax's implementation `xla_chunked`."""

from functools import partial

from experiments.benchmark.libraries import tokamax_calls

attention = partial(tokamax_calls.attention, implementation="xla_chunked")
