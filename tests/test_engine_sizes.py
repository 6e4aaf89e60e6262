"""Rule I2: no index arithmetic of batched attention can pass what 32 bits hold."""

import functools
import operator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from attending import attention

LARGEST = 2**31 - 1
ARITHMETIC = {"add": operator.add, "sub": operator.sub, "mul": operator.mul}
UNCHANGED = {
    "broadcast_in_dim",
    "convert_element_type",
    "copy",
    "dynamic_slice",
    "gather",
    "pad",
    "reshape",
    "rev",
    "slice",
    "squeeze",
    "stop_gradient",
    "transpose",
}


def interval(value, known):
    """Smallest and largest entry of a variable or a literal, None where they are not known."""
    if hasattr(value, "val"):
        entries = np.asarray(value.val)
        if not jnp.issubdtype(entries.dtype, jnp.integer):
            return None
        return (int(entries.min()), int(entries.max())) if entries.size else None
    return known.get(value)


def inner_jaxprs(equation):
    for value in equation.params.values():
        for one in value if isinstance(value, tuple | list) else [value]:
            one = getattr(one, "jaxpr", one)
            if hasattr(one, "eqns"):
                yield one


def overflows(jaxpr, known=None):
    """Equations whose result in 32 bits can pass `LARGEST`, as far as intervals are known."""
    known = dict(known or {})
    for equation in jaxpr.eqns:
        name = equation.primitive.name
        given = [interval(value, known) for value in equation.invars]
        inner = list(inner_jaxprs(equation))
        for one in inner:
            # The last arguments of a loop are what it runs over, whose entries keep their range.
            pairs = zip(reversed(one.invars), reversed(given), strict=False)
            counted = equation.params.get("num_carry", 0)
            first = equation.params.get("num_consts", 0)
            carried = set(one.invars[first : first + counted])
            yield from overflows(one, {v: x for v, x in pairs if x and v not in carried})
        if inner or not jnp.issubdtype(
            getattr(equation.outvars[0].aval, "dtype", float), jnp.integer
        ):
            continue
        found = None
        if name == "iota":
            found = (0, max(equation.params["shape"][equation.params["dimension"]] - 1, 0))
        elif name in UNCHANGED:
            found = given[0]
        elif name in ARITHMETIC and None not in given:
            one_side, other_side = given
            ends = [ARITHMETIC[name](x, y) for x in one_side or () for y in other_side or ()]
            found = (min(ends), max(ends))
        if found is not None:
            known[equation.outvars[0]] = found
            size = np.iinfo(equation.outvars[0].aval.dtype)
            if size.bits == 32 and (found[1] > LARGEST or found[0] < -LARGEST):
                yield f"{name} up to {found[1]}"


OPTIONS = {
    "plain": {},
    "causal": {"is_causal": True},
    "window": {"local_window_size": (2**10, 0)},
    "dropout": {"dropout_rate": 0.5, "is_causal": True},
}


@pytest.mark.parametrize("what", OPTIONS)
def test_I2_indices_fit_into_32_bits(what):
    """At 2^32 queries and 2^49 pairs in all."""
    b, t, s, heads, groups, k = 2**9, 2**17, 2**17, 2**6, 2**3, 8
    shapes = ((b, t, heads, k), (b, s, groups, k), (b, s, groups, k))
    with jax.enable_x64(False):
        arrays = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
        options = dict(OPTIONS[what])
        if "dropout_rate" in options:
            options["dropout_rng"] = jax.random.key(0)
        run = functools.partial(attention, **options)
        gradient = jax.grad(lambda *arrays: run(*arrays).sum(), (0, 1, 2))
        jaxpr = jax.make_jaxpr(gradient)(*arrays)
    assert len(jaxpr.jaxpr.eqns) > 3
    assert list(overflows(jaxpr.jaxpr)) == []


def test_I2_an_overflow_is_noticed():
    """In a loop too, and not where the numbers are small."""

    def indices(count):
        places = jnp.arange(count)
        return jax.lax.map(lambda place: place * jnp.int32(count) + places, places)

    with jax.enable_x64(False):
        assert list(overflows(jax.make_jaxpr(functools.partial(indices, 2**18))().jaxpr))
        assert not list(overflows(jax.make_jaxpr(functools.partial(indices, 2**10))().jaxpr))
