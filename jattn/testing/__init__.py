"""What jattn's own suite does for a mechanism, for a function of yours.

    >>> import numpy as np
    >>> import jax.numpy as jnp
    >>> from jattn import testing
    >>> def double(x):
    ...     return 2 * x
    >>> def double_oracle(x):
    ...     return 2 * x, lambda d_output: (2 * d_output,)
    >>> print(testing.check(double, double_oracle, (np.arange(3.0),)).passed)
    True

An oracle takes the same arrays and returns `(output, pullback)` in NumPy; it must work in
complex128, forward and backward, so that its gradient can be proved by complex steps.
"""

from jattn.testing.check import check as check
from jattn.testing.compare import Finding as Finding
from jattn.testing.compare import Report as Report
from jattn.testing.compare import assert_close as assert_close
from jattn.testing.compare import compare as compare
from jattn.testing.properties import ROUNDING as ROUNDING
from jattn.testing.properties import complex_step as complex_step
from jattn.testing.properties import first_order as first_order
from jattn.testing.properties import precision as precision
from jattn.testing.properties import second_order as second_order
from jattn.testing.properties import transforms as transforms
from jattn.testing.trees import draw_like as draw_like
from jattn.testing.trees import inner as inner
from jattn.testing.trees import like as like
