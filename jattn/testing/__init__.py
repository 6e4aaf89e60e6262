"""The checks of jattn's own suite, for a function of your own.

    >>> import numpy as np
    >>> import jax.numpy as jnp
    >>> from jattn import testing
    >>> def double(x):
    ...     return 2 * x
    >>> def double_oracle(x):
    ...     return 2 * x, lambda d_output: (2 * d_output,)
    >>> print(testing.check(double, double_oracle, (np.arange(3.0),)).passed)
    True

An oracle takes the same arrays and returns `(output, pullback)` in NumPy. It must work in
complex128, forward and backward, so that complex steps can prove its gradient.
"""

from jattn.testing.check import check as check
from jattn.testing.compare import Finding as Finding
from jattn.testing.compare import Report as Report
from jattn.testing.compare import assert_close as assert_close
from jattn.testing.compare import compare as compare
from jattn.testing.properties import complex_step as complex_step
from jattn.testing.properties import first_order as first_order
from jattn.testing.properties import precision as precision
from jattn.testing.properties import second_order as second_order
from jattn.testing.properties import transforms as transforms
from jattn.testing.trees import draw_like as draw_like
