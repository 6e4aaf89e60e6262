"""`trace`: the call that a user makes."""

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

    A value is named by `jax.ad_checkpoint.checkpoint_name(x, "score/scores")`: the step, which in
    this library is encode, score, weight or decode, and the name. What is named under `jax.vmap`
    has its axes first, and what is named within `jax.lax.scan` an axis of its turns. An equation
    counts for the first named value that depends on it, or for the last one if none does, by the
    rule of `jattn.tracing.costs.cost`; what the result does not depend on is left out.

    Args:
        mechanism: any function of arrays. What it jits is run without jit where it names a value,
            so that the numbers may then differ in the last digit.
        args: its arguments, with `kwargs`.

    Raises:
        ValueError: if nothing is named, or something is where its values cannot be kept: in a
            loop without a fixed number of turns, or in a conditional within a loop.
    """
    name = _name(mechanism)
    # As constants, arguments can be looked at: lengths are checked as in a call without `trace`.
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
    """Floating-point numbers in JAX's hands, so that no equation is NumPy's."""
    is_numpy = isinstance(leaf, np.ndarray) and np.issubdtype(leaf.dtype, np.floating)
    return jnp.asarray(leaf) if is_numpy else leaf


def _name(function: Any) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(function, "__name__", type(function).__name__)
