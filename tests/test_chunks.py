"""A block of queries at a time: `in_chunks` changes no value and no derivative of a mechanism."""

import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiled import cotangent_of, each, having, masked, takes, with_options, with_sizes
from emulated import printed_on_devices
from jax.extend.core import jaxprs_in_params
from jaxtyping import Array, Bool, Float

import jattn
from jattn import masks, testing
from jattn.catalog.row import DRAWN
from jattn.chunks.query_blocks import runs_of
from jattn.masks.algebra import as_array
from jattn.testing.trees import draw_like

ROWS = [row for row in having("mask") if row.family in ("score", "local", "multi-head")]
NAMED = {row.name: row for row in ROWS}
in_chunks: Any = jattn.in_chunks
T, S = 7, 5
C = 3  # Two full blocks, and a rest of one query.
POSITIONS = (masks.causal(1) | masks.prefix(1)) & ~masks.dilated(3)
RANDOM = np.random.default_rng(0).random((T, S)) < 0.6
RANDOM[2], RANDOM[:, -1] = False, False  # A query without keys, and a key without queries.
SOME = masks.dense(jnp.asarray(RANDOM))
OPTIONS = {"bias": DRAWN, "mask": masks.lengths(S, query_lengths=T - 1) & POSITIONS & SOME}


def quick(function, *inputs) -> Any:
    compiled: Any = jax.jit(function)
    return jax.tree.map(np.asarray, compiled(*inputs))


def assert_pair(pair, tolerance, what="result"):
    actual, wanted = pair
    testing.assert_close(actual, wanted, tolerance, what)


def call_of(row, t=T, **options):
    return with_sizes(with_options(masked(row), **options), t=t)


def chunked(call, size=C, wrap=in_chunks):
    """The call, with its function computed `size` queries at a time."""

    def run(*inputs):
        positional, named = call._arguments(inputs)
        return wrap(call.mechanism.function, size)(*positional, **named)

    return run


def first_order(function, inputs, cotangent):
    output, pullback = jax.vjp(function, *inputs)
    return output, pullback(cotangent)


def compare(actual, wanted, call, order=first_order):
    inputs, cotangent = call.inputs(), cotangent_of(call)
    both = lambda inputs: [order(f, inputs, cotangent) for f in (actual, wanted)]
    assert_pair(quick(both, inputs), 1e-12, call.name)


@each("row", ROWS)
def test_G1_G2_values_and_gradients_are_those_of_the_plain_function(row):
    call = call_of(row, **{name: x for name, x in OPTIONS.items() if takes(row, name)})
    compare(chunked(call), call.function, call)


CASES = ["dot_attention", "local_monotonic_attention", "local_predictive_attention"]


@each("one", [call for name in CASES for call in NAMED[name].calls()])
def test_S4_every_normalizer_and_option_has_its_value(one):
    both = lambda *inputs: (chunked(one, 2)(*inputs), one.function(*inputs))
    assert_pair(quick(both, *one.inputs()), 1e-12, one.name)


SECOND = ["additive_attention", "local_predictive_attention", "multi_head_attention"]


@pytest.mark.parametrize("name", SECOND)
def test_G3_second_derivatives_are_those_of_the_plain_function(name):
    def second_order(function, inputs, cotangent):
        first = lambda *inputs: first_order(function, inputs, cotangent)[1]
        return jax.jvp(first, inputs, draw_like(inputs, 2))[1]

    call = call_of(NAMED[name], **OPTIONS)
    compare(chunked(call), call.function, call, second_order)


@pytest.mark.parametrize(("t", "size"), [(0, C), (1, C), (4, 1), (6, C), (T, T + 1)])
def test_E1_any_number_of_queries_and_any_size_of_chunk(t, size):
    call = call_of(NAMED["local_monotonic_attention"], t, mask=POSITIONS, bias=DRAWN, offset=1)
    compare(chunked(call, size), call.function, call)


def test_chunks_of_chunks_and_of_partial_functions():
    call = call_of(NAMED["additive_attention"], **OPTIONS)
    (params, *inputs), named = call._arguments(call.inputs())
    twice = lambda function, size: in_chunks(in_chunks(function, 2), size)
    bound = functools.partial(call.mechanism.function, params, **named)
    run = lambda *inputs: [f(*inputs) for f in (bound, in_chunks(bound, C), twice(bound, C))]
    plain, once, again = quick(run, *inputs)
    testing.assert_close(once, plain, 1e-13)
    testing.assert_close(again, plain, 1e-13)
    compare(chunked(call, C, twice), call.function, call)


def test_T2_vmap_also_of_masks_and_offsets():
    rng = np.random.default_rng(0)
    query, key = rng.standard_normal((2, T, 3)), rng.standard_normal((2, S, 3))
    attend = functools.partial(jattn.local_monotonic_attention, half_width=2)

    def mapped(attend):
        one = lambda query, key, length, offset: attend(
            query, key, key, mask=masks.lengths(length), offset=offset
        )
        return jax.vmap(one)(query, key, np.array([2, S]), np.array([0, 1]))

    assert_pair(quick(lambda: [mapped(in_chunks(attend, C)), mapped(attend)]), 1e-13)


LEADING = {
    "keys shared by heads": ((2, 3), (2, 1), (1, 1)),
    "queries without the axes": ((), (2,), ()),
    "no example": ((0,), (0,), ()),
}


@pytest.mark.parametrize("name", LEADING)
def test_T2_leading_axes_are_mapped_and_broadcast(name):
    of_query, of_key, of_pairs = LEADING[name]
    rng = np.random.default_rng(0)
    params = jattn.GeneralParams(jnp.asarray(rng.standard_normal((3, 3))))
    inputs = (
        rng.standard_normal((*of_query, T, 3)),
        rng.standard_normal((*of_key, S, 3)),
        rng.standard_normal((*of_pairs, T, S)),
    )
    hidden = rng.random((*of_pairs, T, S)) < 0.7
    lead = np.broadcast_shapes(of_query, of_key, of_pairs)

    def looped(params, query, key, bias):
        attend = in_chunks(jattn.general_attention, C)
        return attend(params, query, key, key, bias=bias, mask=hidden)

    def mapped(params, *inputs):
        one = lambda q, k, bias, mask: jattn.general_attention(
            params, q, k, k, bias=bias, mask=mask
        )
        inputs = [jnp.broadcast_to(x, (*lead, *x.shape[-2:])) for x in (*inputs, hidden)]
        for _ in lead:
            one = jax.vmap(one)
        return one(*inputs)

    wanted = jax.eval_shape(mapped, params, *inputs)
    both = lambda *x: [first_order(f, x, draw_like(wanted, 1)) for f in (looped, mapped)]
    assert_pair(quick(both, params, *inputs), 1e-12, name)


def test_leading_axes_of_parameters_are_those_of_heads():
    rng = np.random.default_rng(0)
    params = jattn.GeneralParams(jnp.asarray(rng.standard_normal((2, 3, 11))))
    query, key = rng.standard_normal((2, T, 3)), rng.standard_normal((S, 11))
    attend = in_chunks(jattn.general_attention, C)
    mapped = jax.vmap(jattn.general_attention, (0, 0, None, None))
    both = lambda *x: [f(*x) for f in (attend, mapped)]
    assert_pair(quick(both, params, query, key, key), 1e-13)


@pytest.mark.parametrize("mask", [RANDOM, SOME, masks.lengths(S - 1)])
def test_C1_what_nobody_reads_reaches_nothing(mask):
    rng = np.random.default_rng(0)
    query, key = rng.standard_normal((T, 3)), rng.standard_normal((S, 3))
    poisoned = np.concatenate([key[:-1], np.full((1, 3), np.nan)])

    def run(key):
        attend = functools.partial(in_chunks(jattn.dot_attention, C), mask=mask)
        output, pullback = jax.vjp(attend, query, key, key)
        return output, pullback(output)

    clean, dirty = quick(run, key), quick(run, poisoned)
    assert all(map(np.array_equal, jax.tree.leaves(clean), jax.tree.leaves(dirty)))


def test_without_annotations_names_tell():
    def attend(query, key, *, mask, offset=0):
        seen = mask & (jnp.arange(S)[None] <= jnp.arange(len(query))[:, None] + offset)
        return jnp.where(seen, query @ key.T, 0.0)

    rng = np.random.default_rng(0)
    query, key = rng.standard_normal((T, 3)), rng.standard_normal((S, 3))
    actual = in_chunks(attend, 2)(query, key, mask=RANDOM)
    testing.assert_close(actual, attend(query, key, mask=RANDOM), 1e-14)


def test_arguments_are_checked_as_those_of_all_queries():
    attend = in_chunks(jattn.dot_attention, C)
    query, key = np.ones((T, 3)), np.ones((S, 3))
    with pytest.raises(ValueError, match=r"dot_attention: mask has shape \(6, 5\).*t=7"):
        attend(query, key, key, mask=RANDOM[1:])
    with pytest.raises(ValueError, match="query_lengths is 8, expected 0 to 7"):
        attend(query, key, key, mask=masks.lengths(S, query_lengths=T + 1))
    with pytest.raises(ValueError, match="leading axes do not broadcast"):
        attend(query[None].repeat(2, 0), key[None].repeat(3, 0), key)


def booleans_in(jaxpr):
    """The sizes of all arrays of booleans in a jaxpr and in those within."""
    for equation in jaxpr.eqns:
        arrays = [x.aval for x in equation.outvars]
        yield from (x.size for x in arrays if str(getattr(x, "dtype", None)) == "bool")
        for inner in jaxprs_in_params(equation.params):
            yield from booleans_in(inner)


def test_no_mask_of_all_queries_is_made():
    """Nor in a gradient, where JAX takes out of a loop what does not depend on its input."""
    t, s = 28, 13
    rng = np.random.default_rng(0)
    query, key = rng.standard_normal((2, 3, t, 2)), rng.standard_normal((2, 1, s, 2))

    def largest(attend, *arrays):
        def loss(query, key):
            return attend(query, key, key, mask=POSITIONS & masks.lengths(s - 1)).context.sum()

        return max(booleans_in(jax.make_jaxpr(jax.grad(loss, (0, 1)))(*arrays).jaxpr))

    once = in_chunks(jattn.dot_attention, 7)
    assert largest(once, query, key) == 6 * 7 * (s - 1)  # Of a batch of six.
    assert largest(in_chunks(in_chunks(jattn.dot_attention, 3), 7), query, key) == 6 * 3 * s
    assert largest(jattn.dot_attention, query[0, 0], key[0, 0]) == t * s  # Guards the guard.


def test_weights_that_are_not_used_take_no_memory():
    query, key = np.ones((512, 4)), np.ones((384, 4))
    attend = in_chunks(jattn.dot_attention, 16)

    def size(field):
        def loss(query, key):
            return (getattr(attend(query, key, key), field) ** 2).sum()

        compiled: Any = jax.jit(jax.grad(loss)).lower(query, key).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    of_weights = 8 * len(query) * len(key)
    assert size("context") < of_weights / 2
    assert size("weights") > of_weights  # Guards the guard.


PACKED: Any = (np.arange(23) // 9, np.arange(19) // 7)
HIDING = {
    "causal": masks.causal(),
    "causal at the end": masks.causal(2) & masks.lengths(18),
    "a window": masks.window(3, 1),
    "a window before all keys": masks.window(2, 0, -7),
    "a prefix and later keys": masks.prefix(3) | masks.causal(),
    "blocks": masks.blocks(5),
    "segments": masks.segments(*PACKED),
    "no key": masks.lengths(0),
}


@pytest.mark.parametrize("name", HIDING)
def test_C2_runs_hold_every_allowed_pair_once(name):
    t, s, size = 23, 19, 2
    allowed, runs = np.asarray(HIDING[name].dense(t, s)), runs_of(t, size, HIDING[name], s)
    held, counts = np.zeros((t, s), bool), np.zeros(t, int)
    for run in runs:
        for block, first_key in enumerate(run.first_keys):
            start = run.first_query + block * run.size
            held[start : start + run.size, first_key : first_key + (run.width or s)] = True
            counts[start : start + run.size] += 1
    assert len(runs) <= 8
    assert held.sum() < 0.75 * t * s
    assert (counts == 1).all()
    assert not (allowed & ~held).any()


@pytest.mark.parametrize("name", HIDING)
def test_G1_G2_skipped_keys_change_no_value_and_no_gradient(name):
    rng = np.random.default_rng(0)
    query, key, value = (rng.standard_normal(size) for size in ((23, 3), (19, 3), (19, 2)))
    bias = rng.standard_normal((23, 19))

    def run(attend, *arrays):
        call = lambda query, key, value, bias: attend(
            query, key, value, bias=bias, mask=HIDING[name]
        )
        return first_order(call, arrays, draw_like(jax.eval_shape(call, *arrays), 1))

    both = lambda *arrays: [
        run(f, *arrays) for f in (in_chunks(jattn.dot_attention, 2), jattn.dot_attention)
    ]
    assert_pair(quick(both, query, key, value, bias), 1e-12, name)


@each("row", [NAMED[name] for name in ("concat_attention", *SECOND)])
def test_G3_skipped_keys_change_no_second_derivative(row):
    call = with_sizes(with_options(masked(row), mask=masks.window(2, 0), bias=DRAWN), t=11, s=11)

    def twice(function, inputs, cotangent):
        first = lambda *inputs: first_order(function, inputs, cotangent)[1]
        return jax.jvp(first, inputs, draw_like(inputs, 2))

    compare(chunked(call), call.function, call, twice)


def exponentials_in(jaxpr):
    """The number of exponentials that running a jaxpr computes."""
    for equation in jaxpr.eqns:
        repeated = equation.params["length"] if equation.primitive.name == "scan" else 1
        if equation.primitive.name == "exp":
            yield equation.outvars[0].aval.size
        for inner in jaxprs_in_params(equation.params):
            yield repeated * sum(exponentials_in(inner))


def work(function, t, mask, **options):
    """The exponentials for `t` queries and keys in blocks of four."""
    rows = jax.ShapeDtypeStruct((t, 3), float)
    run = lambda query, key: in_chunks(function, 4)(query, key, key, mask=mask, **options)
    return sum(exponentials_in(jax.make_jaxpr(run)(rows, rows).jaxpr))


SEVERAL_HEADS = functools.partial(
    jattn.multi_head_attention, jattn.init_multi_head(jax.random.key(0), heads=2, query_size=3)
)


@pytest.mark.parametrize("function", [jattn.dot_attention, SEVERAL_HEADS])
def test_hidden_keys_are_skipped(function):
    heads = 1 if function is jattn.dot_attention else 2
    assert work(function, 64, None) == heads * 64 * 64
    assert work(function, 64, masks.causal()) < 0.6 * heads * 64 * 64
    windows = [work(function, t, masks.window(3, 0)) for t in (64, 128)]
    assert windows == [heads * 64 * 7, heads * 128 * 7]


def test_masks_of_a_sparse_normalizer_and_of_infinite_scores_skip():
    infinite = lambda scores, mask: jax.nn.softmax(jnp.where(mask, scores, -jnp.inf), -1)
    finite = lambda scores, mask: jax.nn.softmax(jnp.where(mask, scores, -1e30), -1)
    count = functools.partial(work, jattn.dot_attention, 64, masks.causal())
    assert count(normalizer=infinite) < 0.6 * 64 * 64
    assert count(normalizer=finite) == 64 * 64  # An empty row would have the mean of all values.
    assert count(normalizer=jattn.off_by_one_softmax) < 0.7 * 64 * 64


def annotated(function):
    """An attention whose scores, and nothing else, are those of a function of query and key."""

    def attend(
        query: Float[Array, "t k"],
        key: Float[Array, "s k"],
        *,
        mask: Bool[Array, "t s"] | masks.Mask,
    ) -> Float[Array, "t k"]:
        allowed: Any = as_array(mask, len(query), len(key))
        return jnp.where(allowed, function(query, key), 0.0) @ jnp.where(
            allowed.any(0)[:, None], key, 0.0
        )

    return attend


HIDDEN_MATTERS = {
    "a mean of keys": lambda query, key: query @ (key - key.mean(0, keepdims=True)).T,
    "a sum of keys": lambda query, key: query @ (key - key.sum(0, keepdims=True)).T,
    "a sum by a function": lambda query, key: (
        query @ (key - jax.lax.reduce(key, 0.0, lambda a, b: a + jnp.tanh(b), (0,))[None]).T
    ),
    "the largest key": lambda query, key: query @ key.T - key.max(),
    "their number": lambda query, key: query @ key.T / len(key),
    "their positions": lambda query, key: query @ key.T * jnp.arange(float(len(key)))[None],
    "positions from NumPy": lambda query, key: query @ key.T * np.arange(float(len(key)))[None],
    "a running sum": lambda query, key: query @ jnp.cumsum(key, 0).T,
    "the next key": lambda query, key: query @ jnp.roll(key, -1, 0).T,
    "reversed keys": lambda query, key: query @ key[::-1].T,
    "sorted keys": lambda query, key: query @ jnp.sort(key, 0).T,
    "a matrix of keys": lambda query, key: query @ key.T @ jnp.tanh(key @ key.T),
    "a loop over keys": lambda query, key: (
        query @ jax.lax.scan(lambda state, row: (state + row, state), jnp.zeros(3), key)[1].T
    ),
    "the rank of a score": lambda query, key: jnp.argsort(query @ key.T, -1).astype(float),
    "a table of positions": lambda query, key: (
        query @ key.T + jnp.asarray(PLACE_TABLE)[: len(key), 0][None]
    ),
    "a power": lambda query, key: (query @ key.T) ** len(key),
}


@pytest.mark.parametrize("name", HIDDEN_MATTERS)
def test_functions_in_which_hidden_keys_may_matter_get_all_keys(name):
    check_pair(annotated(HIDDEN_MATTERS[name]), QUERY, KEY, mask=masks.causal())


def test_functions_in_which_hidden_keys_do_not_matter_skip():
    attend = annotated(lambda query, key: jnp.exp(query @ key.T))
    check_pair(attend, QUERY, KEY, mask=masks.causal())
    run = lambda query, key: in_chunks(attend, 4)(query, key, mask=masks.causal())
    rows = jax.ShapeDtypeStruct((64, 3), float)
    assert sum(exponentials_in(jax.make_jaxpr(run)(rows, rows).jaxpr)) < 0.6 * 64 * 64


def test_eager_calls_of_the_same_shapes_compile_once(caplog):
    params = jattn.init_additive(jax.random.key(0), query_size=3, key_size=3, units=2)
    attend = in_chunks(jattn.local_monotonic_attention, 3)
    inner = functools.partial(jattn.additive_attention, params)

    def run(length, offset):
        rows = jnp.full((11, 3), length, float)
        options = {"half_width": 2, "offset": offset, "attention": inner}
        return attend(rows, rows, rows, mask=masks.lengths(jnp.asarray(length)), **options)

    jax.block_until_ready(run(5, 0))
    with jax.log_compiles(), caplog.at_level("WARNING"):
        jax.block_until_ready([run(6, 1), run(7, 2)])
        assert "Compiling" not in caplog.text
        jax.jit(lambda x: x + length_of_guard)(1.0)
    assert "Compiling" in caplog.text  # Guards the guard.


length_of_guard = 2.0


def test_memory_of_additive_attention_is_that_of_a_block():
    rows = jax.ShapeDtypeStruct((8192, 64), "float32")
    params = jattn.init_additive(
        jax.random.key(0), query_size=64, key_size=64, units=128, dtype="float32"
    )
    attend = in_chunks(jattn.additive_attention, 32)
    loss = lambda params, *arrays: attend(params, *arrays).context.sum()
    gradient: Any = jax.jit(jax.grad(loss, (0, 1, 2, 3)))
    compiled = gradient.lower(params, rows, rows, rows).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 2**30


def test_leading_axes_are_no_loop_on_accelerators_and_may_be_symbolic():
    (b,) = jax.export.symbolic_shape("b")
    rows = jax.ShapeDtypeStruct((b, 8, 3), float)
    attend = in_chunks(jattn.dot_attention, 8)
    run = jax.jit(lambda rows: attend(rows, rows, rows, mask=masks.causal()).context)
    exported = jax.export.export(run, platforms=("cuda",))(rows)
    assert exported.out_avals[0].shape == (b, 8, 3)
    assert "while" not in exported.mlir_module()


def test_leading_axes_are_sharded_as_the_queries():
    """In a process of its own, which has four devices."""
    script = Path(__file__).parent / "chunks_on_devices.py"
    assert printed_on_devices(4, str(script)).split() == ["12", "programs"]


@pytest.mark.parametrize("size", [0, -1])
def test_a_chunk_has_at_least_one_query(size):
    with pytest.raises(ValueError, match=f"chunk_size is {size}, expected at least 1"):
        in_chunks(jattn.dot_attention, size)


RNG = np.random.default_rng(0)
QUERY: Any = RNG.standard_normal((T, 3))
KEY: Any = RNG.standard_normal((S, 3))
SQUARE = RNG.standard_normal((3, 3))


def check_pair(function, *arrays, **options):
    """That blocks of one and of several queries have the values of all queries."""
    positions = options.pop("positions", ())
    arrays = [jnp.asarray(x) if isinstance(x, np.ndarray) else x for x in arrays]
    wanted = quick(lambda: function(*arrays, **options))
    for size in (1, C):
        run = in_chunks(function, size, positions=positions)
        testing.assert_close(quick(lambda run=run: run(*arrays, **options)), wanted, 1e-13)


@pytest.mark.parametrize("offset", [0, 2, np.int8(-1), jnp.asarray(3, "int16"), 2**40])
def test_S1_the_offset_of_turned_heads_moves_with_the_block(offset):
    rows = np.random.default_rng(1).standard_normal((T, 8))
    params = jattn.init_multi_head(jax.random.key(0), heads=2, query_size=8)
    keys = rows[:S]
    if isinstance(offset, int) and offset > 2**31:  # Farther than any position.
        check_pair(jattn.local_monotonic_attention, QUERY, KEY, KEY, half_width=1, offset=offset)
        return
    attend = functools.partial(jattn.multi_head_attention, turn=jattn.rotary)
    check_pair(attend, params, rows, keys, keys, query_offset=offset, mask=masks.causal(1))
    check_pair(jattn.local_monotonic_attention, QUERY, KEY, KEY, half_width=1, offset=offset)


def test_K1_dropout_of_weights_is_the_same_in_chunks():
    rows = np.random.default_rng(1).standard_normal((T, 8))
    params = jattn.init_multi_head(jax.random.key(0), heads=2, query_size=8)
    dropped = {"dropout_rate": 0.5, "dropout_rng": jax.random.key(1, impl="unsafe_rbg")}
    check_pair(jattn.multi_head_attention, params, rows, rows[:S], rows[:S], **dropped)


def places(query, start):
    return (jnp.arange(len(query)) + start)[:, None].astype(float) * query


def test_S1_a_position_of_any_name_moves_where_it_is_named():
    check_pair(places, QUERY, positions=["start"], start=3)
    check_pair(places, QUERY, positions="start", start=jnp.asarray(3))
    twice = in_chunks(in_chunks(places, 2, positions=["start"]), 4)
    testing.assert_close(twice(QUERY, start=3), places(QUERY, 3), 0.0)
    with pytest.raises(
        ValueError, match=r"positions are \['begin'\], expected arguments of places"
    ):
        in_chunks(places, 2, positions=["begin"])


def test_masks_inside_of_a_partial_function_move_with_the_block():
    inner = functools.partial(jattn.local_monotonic_attention, half_width=3, offset=1)
    params = jattn.init_local_predictive(jax.random.key(0), query_size=3, units=2)
    attend = functools.partial(
        jattn.local_predictive_attention, params, half_width=2, attention=inner
    )
    check_pair(attend, QUERY, KEY, KEY)


def loop(query):
    """Row by row, in a loop of its own that writes each row to its place."""
    write = lambda i, rows: rows.at[i].set(jnp.tanh(query[i]).sum() * query[i])
    return jax.lax.fori_loop(0, len(query), write, jnp.zeros_like(query))


BY_ROWS = {
    "sums over features": lambda query: query / jnp.sqrt((query**2).sum(-1, keepdims=True)),
    "a product of each row": lambda query: jax.vmap(lambda x: x @ x)(query),
    "entries by index": lambda query: query[jnp.arange(len(query)), 1],
    "sorted features": lambda query: jnp.sort(query, -1),
    "a map over rows": lambda query: jax.lax.map(lambda x: jnp.cumsum(x), query),
    "a loop over rows": loop,
    "a loop over keys": lambda query: jax.lax.scan(
        lambda state, key: (state + jnp.tanh(query @ key), None), query[:, 0], jnp.asarray(KEY)
    )[0],
    "a loop that carries numbers": lambda query: jax.lax.scan(
        lambda state, row: (state, jnp.tanh(state @ row)), jnp.asarray(KEY[:3]), query
    )[1],
    "a loop with an end": lambda query: jax.lax.while_loop(
        lambda state: state[0] < 3, lambda state: (state[0] + 1, state[1] * query), (0, query)
    )[1],
    "the largest of all, subtracted and added": lambda query: (query - query.max()) + query.max(),
}


@pytest.mark.parametrize("name", BY_ROWS)
def test_functions_that_are_row_by_row_are_taken(name):
    check_pair(BY_ROWS[name], QUERY)


def recurrent(query):
    step = lambda state, row: (jnp.tanh(state + row), state)
    return jax.lax.scan(step, jnp.zeros(3), query)[1]


def smoothed(query):
    return jnp.convolve(query[:, 0], np.ones(3), "same")


OTHER_ROWS = {
    "sums over queries": lambda query: query - query.mean(0, keepdims=True),
    "sums by a function": lambda query: (
        query + jax.lax.reduce(query, 0.0, lambda a, b: a + jnp.tanh(b), (0,))[None]
    ),
    "a softmax over queries": lambda query: jax.nn.softmax(query, axis=0),
    "self-attention": lambda query: jattn.dot_attention(query, query, query).context,
    "a running sum": lambda query: jnp.cumsum(query, 0),
    "a recurrence": recurrent,
    "a compiled recurrence": lambda query: jax.jit(recurrent)(query),
    "a recurrence in a branch": lambda query: jax.lax.cond(
        query[0, 0] > 0, recurrent, lambda query: query, query
    ),
    "a sum beside a branch without operands": lambda query: (
        query.sum(0, keepdims=True) * jax.lax.cond(query[0, 0] > 0, lambda: 1.0, lambda: 2.0)
        + query
    ),
    "a sum in a loop": lambda query: jax.lax.while_loop(
        lambda state: state[0] < 3,
        lambda state: (state[0] + 1, query * jnp.sum(state[1])),
        (0, query),
    )[1],
    "a convolution": smoothed,
    "sorted queries": lambda query: jnp.sort(query, 0),
}
PLACES = {
    "numbered": lambda query: query * jnp.arange(len(query), dtype=float)[:, None],
    "numbered by NumPy": lambda query: query * np.arange(float(len(query)))[:, None],
    "a mask of its own": lambda query: (
        jattn.dot_attention(query, KEY, KEY, mask=masks.causal()).context
    ),
    "a table of positions": lambda query: query + jnp.asarray(PLACE_TABLE)[jnp.arange(len(query))],
    "dropout": lambda query: jattn.dropout(jax.random.key(0), query, 0.5),
    "a position that is not named": lambda query, start=0: places(query, start),
}
PLACE_TABLE = RNG.standard_normal((200, 3))


@pytest.mark.parametrize("name", OTHER_ROWS | PLACES)
def test_functions_that_are_seen_not_to_be_row_by_row_are_refused(name):
    message = "is not row by row" if name in OTHER_ROWS else "depends on the positions of its rows"
    with pytest.raises(ValueError, match=f"^in_chunks: <?[a-z]+>? {message}"):
        in_chunks((OTHER_ROWS | PLACES)[name], C)(QUERY)


def test_decoders_and_sublayers_are_refused_where_they_are_not_row_by_row():
    draw: Any = {"words": 5, "embedding_size": 3, "value_size": 2, "summary_size": 2}
    attention = jattn.init_additive(
        jax.random.key(0), query_size=4, key_size=2, units=3, dtype="float64"
    )
    params = jattn.init_bahdanau_decoder(
        jax.random.key(0), units=4, attention=attention, dtype="float64", **draw
    )
    memory, tokens = jattn.Memory(KEY[:, :2], KEY[0, :2]), np.arange(T) % 5
    norm = lambda rows: rows
    mixing = lambda rows: (rows.sum(0, keepdims=True) + rows, None)
    for function, arguments in (
        (jattn.bahdanau_decode, (params, memory, tokens)),
        (jattn.pre_norm, (norm, mixing, QUERY)),
    ):
        with pytest.raises(ValueError, match=f"^in_chunks: {function.__name__} is not row by row"):
            in_chunks(function, C)(*arguments)
    check_pair(jattn.pre_norm, norm, lambda rows: (rows @ SQUARE, rows), QUERY)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (jattn.gru, "gru has no argument along the queries"),
        (jattn.dot_product_attention, "dot_product_attention has leading axes"),
        (lambda *arrays: arrays[0], "<lambda> has no argument along the queries"),
        (jattn.greedy_search, "greedy_search has no argument along the queries"),
        (jattn.decoder_block, r"decoder_block is not row by row: self_mask is \(t, t\)"),
        (jattn.transformer_decoder, "transformer_decoder is not row by row: self_mask"),
    ],
)
def test_a_function_that_is_not_row_wise_is_refused(function, message):
    with pytest.raises(ValueError, match=message):
        in_chunks(function, C)


def test_a_result_that_is_not_row_wise_is_refused():
    def total(query):
        return query.sum()

    with pytest.raises(
        ValueError, match=r"returns an array of shape \(\), expected an axis of t=7"
    ):
        in_chunks(total, C)(np.ones((T, 3)))
