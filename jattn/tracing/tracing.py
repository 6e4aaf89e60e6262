"""The function `trace`."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jattn.tracing.graph import Entry, attribute
from jattn.tracing.record import Trace
from jattn.tracing.run import run


def trace(mechanism: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Trace:
    """Calls `mechanism` and returns each value that it names, with its step and its cost.

        >>> import numpy as np
        >>> from jattn import dot_attention
        >>> query, key, value = (np.ones(x, "float32") for x in ((3, 7), (5, 7), (5, 13)))
        >>> print(trace(dot_attention, query, key, value))  # doctest: +ELLIPSIS
        dot_attention
        step    intermediate  shape    dtype    operations  bytes
        score   scores        [3, 5]   float32         210    284
        weight  weights       [3, 5]   float32  ...
        decode  context       [3, 13]  float32         390    476
        in all  ...
        Operations: 2 m n k a matrix product, one an element otherwise, none to move data.
        Bytes: what each equation reads and writes, as if none were fused.

    A value is named by `jax.ad_checkpoint.checkpoint_name(x, "score/scores")`: the step, in this
    library encode, score, weight or decode, and the name. A value that is named under `jax.vmap`
    has the mapped axis first. One that is named within `jax.lax.scan` has an axis of iterations
    first. An equation counts for the first named value that depends on it, or else for the last
    one, by the rule of `jattn.tracing.costs.cost`. Equations that the result does not depend on
    are left out.

    Args:
        mechanism: any function of arrays. Its jitted parts run without jit if they name a value,
            and may then differ in the last digit.
        args: positional arguments of the mechanism.
        kwargs: keyword arguments of the mechanism.

    Returns:
        The named values with their costs, and the output; printed, it is a table.

    Raises:
        ValueError: if nothing is named, or if a value is named in a loop without a fixed number of
            iterations, or in a conditional within a loop, where it cannot be kept.
    """
    name = _name(mechanism)
    # As constants, arguments are known: lengths are checked as in a call without `trace`.
    args, kwargs = jax.tree.map(_as_jax_array, (args, kwargs))
    closed, shape = jax.make_jaxpr(lambda: mechanism(*args, **kwargs), return_shape=True)()
    tape: list[Entry] = []
    results = run(closed, [], tape)
    intermediates = attribute(tape, results)
    if not intermediates:
        raise ValueError(
            f"trace: {name} names no intermediate that its result depends on; name one with "
            'jax.ad_checkpoint.checkpoint_name(scores, "score/scores")'
        )
    output = jax.tree.unflatten(jax.tree.structure(shape), [node.value for node in results])
    return Trace(name, tuple(intermediates), output)


def _as_jax_array(leaf: Any) -> Any:
    """Returns floating-point NumPy arrays as JAX's, so that no operation is NumPy's."""
    is_numpy = isinstance(leaf, np.ndarray) and np.issubdtype(leaf.dtype, np.floating)
    return jnp.asarray(leaf) if is_numpy else leaf


def _name(function: Any) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(function, "__name__", type(function).__name__)
