"""Names for intermediate values, which `jattn.trace` reads."""

from typing import Any

from jax.experimental import jet
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, Float


def named_value(value: Float[Array, "..."], name: str) -> Float[Array, "..."]:
    """Returns `value`, named "step/name" in the jaxpr.

    Unlike `jax.ad_checkpoint.checkpoint_name` it has a transpose and a Taylor series, without which
    `jax.linear_transpose` and `jax.experimental.jet` would refuse every mechanism.
    """
    return _name.bind(value, name=name)


def _jvp(primals: Any, tangents: Any, *, name: str) -> tuple[Any, Any]:
    return _name.bind(*primals, name=name), *tangents


_name = Primitive("name")
_name.def_impl(lambda value, *, name: value)
_name.def_abstract_eval(lambda value, *, name: value)
ad.primitive_jvps[_name] = _jvp
ad.primitive_transposes[_name] = lambda cotangent, value, *, name: [cotangent]
batching.defvectorized(_name)
mlir.register_lowering(_name, lambda context, value, *, name: [value])
jet.jet_rules[_name] = lambda primals, series, *, name: (_name.bind(*primals, name=name), *series)
