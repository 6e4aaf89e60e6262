"""attnax's plain kernel."""

# pyright: reportMissingImports=false

from functools import partial

from attnax.kernels.attention import standard_attention

from experiments.benchmark.libraries import attnax_calls

attention = partial(attnax_calls.attention, kernel=standard_attention)
