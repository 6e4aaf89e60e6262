"""Numbers of batched attention: dtypes, rounding errors, dropout, and JAX's own checks."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from attending import BOTH, FEW, PATHS, attention, planned
from compiled import assert_same_bits
from test_precision import equations

from jattn import engine, testing
from jattn._dropout import kept_pairs
from jattn.oracle.engine.dot_product import dot_product_attention as oracle
from jattn.testing.compare import compare
from jattn.testing.properties import ROUNDING
from jattn.testing.trees import draw_like, like

FLOATING = {"float16", "bfloat16", "float32", "float64"}
HALF = {"float16", "bfloat16"}
OPTIONS = {"is_causal": True, "query_offset": 3, "logits_soft_cap": 20.0}


def drawn(b, t, s, heads, groups, k, v, seed=0):
    rng = np.random.default_rng(seed)
    shapes = ((b, t, heads, k), (b, s, groups, k), (b, s, groups, v), (1, heads, t, s), (heads,))
    return tuple(rng.standard_normal(shape) for shape in shapes)


def cast(tree, dtype):
    return jax.tree.map(lambda x: jnp.asarray(x, dtype), tree)


WAYS = PATHS | {"banded by 8": planned(8, engine.banded)}


def run_on(path, **options):
    def run(query, key, value, bias, sinks):
        return WAYS[path](query, key, value, bias, sinks=sinks, **options)

    return run


def vjp(function, inputs, cotangent):
    output, pullback = jax.vjp(function, *inputs)
    return output, pullback(cotangent)


FAMILIES = {
    "normal": lambda rng, x: x,
    "uniform": lambda rng, x: rng.random(x.shape),
    "heavy tails": lambda rng, x: rng.standard_t(3, x.shape),
    "large scores": lambda rng, x: 3 * x,
    "tiny": lambda rng, x: 1e-20 * x,
}


@pytest.mark.parametrize(
    ("path", "dtype"),
    [
        ("default", "float64"),
        ("banded by 8", "float32"),
        ("default", "bfloat16"),
        ("default", "float16"),
    ],
)
def test_D1_N1_N2_rounding_errors_are_few_units(path, dtype):
    """Weights and gradients too; the log-sum-exp is never in half precision."""
    unit, wide = ROUNDING[dtype], np.longdouble if dtype == "float64" else np.float64
    run = run_on(path, **OPTIONS, **BOTH)
    inputs = drawn(1, 23, 31, 4, 2, 16, 8)
    result_like = jax.eval_shape(run, *cast(inputs, dtype))
    cotangent = cast(like(result_like, draw_like(result_like, 1)), dtype)
    inner = "float32" if dtype in HALF else dtype
    assert [x.dtype for x in result_like] == [dtype, inner, dtype]
    cotangent = (cotangent[0], jnp.asarray(cotangent[1], inner), cotangent[2])
    compiled = jax.jit(functools.partial(vjp, run))
    widen = lambda tree: jax.tree.map(lambda x: np.asarray(x, wide), tree)
    for name, edit in FAMILIES.items():
        if name == "tiny" and dtype == "float16":
            continue  # Smaller than its smallest number.
        rng = np.random.default_rng(2)
        rounded = cast([edit(rng, x) for x in inputs], dtype)
        output, gradient = compiled(tuple(rounded), cotangent)
        assert [str(leaf.dtype) for leaf in gradient] == [dtype] * len(inputs)
        query, key, value, bias, sinks = widen(rounded)
        expected, pullback = oracle(query, key, value, bias, sinks=sinks, **OPTIONS, **BOTH)
        scores = np.einsum("bthk,bshk->bhts", query, np.repeat(key, 2, 2)) / 4
        kappa = max(1.0, np.abs(scores).max() / 4, np.abs(bias).max() / 4)
        units = 1.0 if dtype in HALF else 8 * kappa
        bounds = [units * unit, 8 * kappa * ROUNDING[inner], units * unit]
        bound_of_gradient = unit if dtype in HALF else 32 * kappa * unit
        joined = lambda tree: np.concatenate([np.ravel(np.asarray(x, wide)) for x in tree])
        findings = [
            finding._replace(bound=bound)
            for finding, bound in zip(compare("value", output, expected, 0.0), bounds, strict=True)
        ]
        wanted = joined(pullback(widen(cotangent)))
        findings += compare("gradient", joined(gradient), wanted, bound_of_gradient)
        report = testing.Report(f"{path} {dtype} {name}", tuple(findings))
        assert report.passed, str(report)


@pytest.mark.parametrize("dtype", sorted(FLOATING))
@pytest.mark.parametrize("path", ["default", "banded"])
def test_D1_every_operation_is_in_the_dtype_that_came_in_or_float32(path, dtype):
    """Half-precision arrays are converted and moved about, and enter no arithmetic."""
    run = run_on(path, **OPTIONS, **BOTH)
    inputs = cast(drawn(1, 5, 7, 4, 2, 11, 13), dtype)
    cotangent = jax.tree.map(lambda x: jnp.ones(x.shape, x.dtype), jax.eval_shape(run, *inputs))
    jaxpr = jax.make_jaxpr(functools.partial(vjp, run))(inputs, cotangent)
    moves = {"convert_element_type", "broadcast_in_dim", "reshape", "squeeze", "gather", "slice"}
    moves |= {"transpose", "concatenate", "dynamic_slice", "pad", "copy"}
    inner = "float32" if dtype in HALF else dtype
    products = 0
    for equation in equations(jaxpr.jaxpr):
        name = equation.primitive.name
        values = [v.aval for v in (*equation.invars, *equation.outvars)]
        found = {str(v.dtype) for v in values if not (v.weak_type and v.shape == ())} & FLOATING
        assert found <= {dtype, inner}, f"{name} in {sorted(found)}"
        assert dtype == inner or dtype not in found or name in moves, f"{name} in {dtype}"
        products += name == "dot_general"
    assert products >= 5  # Guards the guard: two forward, three and more backward.


def test_D1_mixed_dtypes_give_that_of_the_query():
    inputs = drawn(1, 5, 7, 4, 2, 11, 13)
    for dtypes in (("float32", "float64", "float32"), ("bfloat16", "float32", "float16")):
        arrays = [jnp.asarray(x, d) for x, d in zip(inputs[:3], dtypes, strict=True)]
        bias = jnp.asarray(inputs[3], "float64")
        assert jax.eval_shape(attention, *arrays).dtype == dtypes[0]
        assert jax.eval_shape(attention, *arrays, bias).dtype == dtypes[0]


@functools.cache
def masked(path):
    """A call with a query without a key, and its compiled value and gradient."""
    run = run_on(path, mask=jnp.asarray(MASK), logits_soft_cap=2.0)
    return run, jax.jit(functools.partial(vjp, run))


MASK = np.array([[1, 0, 1, 1, 0], [0, 0, 0, 0, 0], [1, 1, 0, 1, 0]], bool)


def test_V3_T1_one_operation_at_a_time_none_gives_nan_or_infinity():
    """With a query without a key; and all give what the compiled function gives."""
    inputs, cotangent = cast(drawn(1, 3, 5, 2, 1, 3, 2), "float64"), jnp.ones((1, 3, 2, 2))
    run, compiled = masked("default")
    with jax.debug_nans(True), jax.debug_infs(True):
        found = vjp(run, inputs, cotangent)
    for leaf in jax.tree.leaves(found):
        assert np.isfinite(leaf).all()
    testing.assert_close(found, compiled(inputs, cotangent), 32 * ROUNDING["float64"])


@pytest.mark.parametrize("path", FEW)
def test_V3_nan_and_infinity_where_nobody_may_read_come_out_nowhere(path):
    """As a whole: one at a time, JAX's check would find them where they are handed on."""
    query, key, value, bias, sinks = drawn(1, 3, 5, 2, 1, 3, 2)
    key[:, 4], value[:, 4], query[:, 1], bias[..., 4] = np.nan, np.inf, np.nan, np.inf
    inputs = (query, key, value, np.where(MASK[2], bias, -np.inf), sinks)
    compiled = masked(path)[1]
    with jax.debug_nans(True), jax.debug_infs(True):
        for leaf in jax.tree.leaves(compiled(inputs, np.ones((1, 3, 2, 2)))):
            assert np.isfinite(leaf).all()


def test_X1_large_and_small_products_are_fine():
    """Past the largest float16, and far below the smallest float32."""
    query, key, value, *_ = drawn(1, 5, 7, 2, 1, 11, 13)
    for dtype, size, scale in (("float16", 300.0, 1e-5), ("float32", 1e-25, 1.0)):
        arrays = [jnp.asarray(x, dtype) for x in (size * query, size * key, value)]
        exact = [np.asarray(x, np.float64) for x in arrays]
        run = lambda *arrays, scale=scale: attention(*arrays, scale=scale, is_causal=True)
        output = jax.jit(run)(*arrays)
        bound = 2 * ROUNDING[dtype] if dtype == "float16" else 16 * ROUNDING[dtype]
        testing.assert_close(output, oracle(*exact, scale=scale, is_causal=True)[0], bound)


RATE = 0.3
RNG = jax.random.key(11)


@functools.cache
def dropping(path):
    """Weights after dropout, as the mean of one-hot values; no weight is zero before it."""
    run = lambda rng, *inputs: PATHS[path](*inputs, dropout_rate=RATE, dropout_rng=rng)
    return jax.jit(run)


def dropped(path, shape, rng=RNG):
    """True for each [b, h, t, s] that is kept."""
    return np.moveaxis(np.asarray(dropping(path)(rng, *one_hot(shape))), 1, 2) != 0.0


KEYS = {
    "threefry": jax.random.key(11),
    "old": jax.random.PRNGKey(11),
    "rbg": jax.random.key(11, impl="rbg"),
    "unsafe_rbg": jax.random.key(11, impl="unsafe_rbg"),
    "split unsafe_rbg": jax.random.split(jax.random.key(11, impl="unsafe_rbg"), 5)[3],
}


def test_K1_dropout_is_a_function_of_rng_and_place_alone():
    check_place(RNG, ("chunks of 2", "banded"))


@pytest.mark.parametrize("name", KEYS)
def test_K1_it_is_so_for_the_keys_of_every_generator(name):
    check_place(KEYS[name], ("chunks of 2",))


def check_place(rng, paths):
    shape = (2, 5, 7, 3)
    kept = dropped("default", shape, rng)
    assert not kept.all()
    assert kept.any()
    for path in paths:
        np.testing.assert_array_equal(dropped(path, shape, rng), kept, path)
    # A part of the call draws the same; another rng, batch, head, query or key draws anew.
    np.testing.assert_array_equal(dropped("default", (1, 3, 4, 3), rng), kept[:1, :, :3, :4])
    assert (dropped("default", shape, jax.random.key(12)) != kept).any()
    for axis in range(4):
        first = np.take(kept, [0], axis)
        assert (np.take(kept, [1], axis) != first).any()


@pytest.mark.parametrize("name", KEYS)
def test_K1_pairs_are_kept_independently_for_the_keys_of_every_generator(name):
    """Each pair beside its neighbours, its mirror image and other heads: half of them agree."""
    draw = jax.jit(lambda rng, *places: kept_pairs(rng, 0.5, *places))
    kept = np.asarray(draw(KEYS[name], np.arange(4), np.arange(64), np.arange(64)))
    upper = np.triu_indices(64, 1)
    corners = kept[:, 1:, 1:] ^ kept[:, :-1, 1:] ^ kept[:, 1:, :-1]
    for what, one, other in (
        ("all", kept, True),
        ("diagonal", kept[:, np.arange(64), np.arange(64)], True),
        ("mirror image", kept[:, *upper], kept.swapaxes(1, 2)[:, *upper]),
        ("heads", kept[1:], kept[:-1]),
        ("row of a head", kept[2, 2], kept[0, 0]),
        ("corners of squares", corners, kept[:, :-1, :-1]),
    ):
        agreeing = one == other
        assert abs(agreeing.mean() - 0.5) <= 2.5 / np.sqrt(agreeing.size), what


def test_K1_every_word_of_a_key_counts():
    words = np.asarray(jax.random.key_data(KEYS["unsafe_rbg"]))
    places: Any = (np.arange(1), np.arange(8), np.arange(8))

    def drawn_from(words):
        key = jax.random.wrap_key_data(words, impl="unsafe_rbg")
        return np.asarray(kept_pairs(key, 0.5, *places))

    patterns = [drawn_from(words), *(drawn_from(words ^ (np.arange(4) == i)) for i in range(4))]
    assert len({pattern.tobytes() for pattern in patterns}) == 5


def one_hot(shape):
    b, t, s, heads = shape
    query, key, *_ = drawn(b, t, s, heads, heads, 3, 3)
    return query, key, np.broadcast_to(np.eye(s)[:, None], (b, s, heads, s))


def test_K1_G1_dropout_is_as_the_oracle_does_it():
    """What was kept is read off one call; value and derivatives of another follow from it."""
    kept = dropped("default", (2, 5, 7, 4))
    *inputs, sinks = drawn(2, 5, 7, 4, 2, 3, 6)
    run = lambda *inputs: PATHS["banded"](
        *inputs[:4], sinks=inputs[4], dropout_rate=RATE, dropout_rng=RNG, **BOTH
    )
    cotangent = draw_like(jax.eval_shape(run, *inputs, sinks), 1)
    compiled = jax.jit(functools.partial(vjp, run))
    result = compiled((*inputs, sinks), cotangent)
    expected, pullback = oracle(*inputs, sinks=sinks, dropout_rate=RATE, dropout_rng=kept, **BOTH)
    testing.assert_close(result, (expected, pullback(cotangent)), 1e-12)


def test_K1_rate_zero_is_no_dropout_and_a_rate_needs_an_rng():
    inputs = drawn(1, 5, 7, 4, 2, 3, 6)[:3]
    run = lambda *inputs: (
        attention(*inputs, dropout_rate=0.0, dropout_rng=RNG),
        attention(*inputs),
    )
    assert_same_bits(*jax.jit(run)(*inputs))
    with pytest.raises(ValueError, match="dropout_rng"):
        attention(*inputs, dropout_rate=RATE)


def test_K1_the_mean_over_rngs_is_no_dropout():
    """Within four deviations, for every pair and for pairs of neighbours together."""
    count, shape = 4000, (1, 2, 3, 2)
    inputs = one_hot(shape)
    run = lambda rng: attention(*inputs, dropout_rate=RATE, dropout_rng=rng)
    some = jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(3), count))
    kept = np.asarray(some).reshape(count, -1) != 0.0
    within = lambda mean, p: np.abs(mean - p) <= 4 * np.sqrt(p * (1 - p) / count)
    assert within(kept.mean(0), 1 - RATE).all()
    together = (kept[:, :, None] & kept[:, None, :]).mean(0)
    apart = ~np.eye(kept.shape[1], dtype=bool)
    assert within(together[apart], (1 - RATE) ** 2).all()
    plain = np.asarray(jax.jit(attention)(*inputs))
    scale = plain * np.sqrt(RATE / (1 - RATE) / count)
    assert (np.abs(np.asarray(some).mean(0) - plain) <= 4 * scale + 1e-15).all()


def test_K1_mapped_dropout_is_one_call_after_another():
    inputs = drawn(3, 5, 7, 4, 2, 3, 6)[:3]
    rngs = jax.random.split(RNG, 3)
    run = lambda q, k, v, rng: attention(q, k, v, dropout_rate=RATE, dropout_rng=rng)
    mapped = jax.jit(jax.vmap(run))(*inputs, rngs)
    one = jax.jit(run)
    wanted = [one(*(x[i] for x in inputs), rngs[i]) for i in range(3)]
    testing.assert_close(mapped, np.stack(wanted), 4 * ROUNDING["float64"])
