"""Position biases: functions of the distance between query and key that add with `+`.

A bias is a rule and its parameters. It depends on `distance = key position - query position`
alone, so `t` queries and `s` keys need its values at `t + s - 1` distances, and no array of
`t × s`. `.of_distances(distances)` evaluates it, and `.dense(t, s)` returns the array that a
`bias=` argument takes. Biases are pytrees: their arrays are leaves, which are differentiated,
trained and batched under `jax.vmap`. `Bias` takes a rule of one's own.

    >>> print(alibi(alibi_slopes(8)).dense(1, 4, offset=3)[0])
    [[-1.5 -1.  -0.5 -0. ]]
"""

from jattn.biases.algebra import Bias as Bias
from jattn.biases.buckets import init_t5 as init_t5
from jattn.biases.buckets import t5 as t5
from jattn.biases.buckets import t5_buckets as t5_buckets
from jattn.biases.clipped import init_relative as init_relative
from jattn.biases.clipped import relative as relative
from jattn.biases.kernels import init_kerple_log as init_kerple_log
from jattn.biases.kernels import init_kerple_power as init_kerple_power
from jattn.biases.kernels import kerple_log as kerple_log
from jattn.biases.kernels import kerple_power as kerple_power
from jattn.biases.linear import alibi as alibi
from jattn.biases.linear import alibi_geometric_slopes as alibi_geometric_slopes
from jattn.biases.linear import alibi_slopes as alibi_slopes
from jattn.biases.sinusoids import sandwich as sandwich
from jattn.biases.sinusoids import sandwich_compression as sandwich_compression
