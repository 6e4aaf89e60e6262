"""Tokamax's implementation `xla`."""

from functools import partial

from experiments.benchmark.libraries import tokamax_calls

attention = partial(tokamax_calls.attention, implementation="xla")
