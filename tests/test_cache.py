"""Decoding a token or a chunk at a time gives what one pass over the whole sequence gives."""

import dataclasses
import functools
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiled import assert_same_bits
from jax.experimental import checkify

import jattn
from jattn import testing
from jattn.masks import causal, window
from jattn.testing.properties import ROUNDING
from jattn.testing.trees import draw_like

B, T, H, G, K, V = 2, 11, 6, 2, 7, 5
extend_cache: Any = jattn.extend_cache
attend_to_cache: Any = jattn.attend_to_cache
SINKS: Any = np.array([0.5, -1.0, 2.0, 0.0, -3.0, 1.0])


def drawn(seed=0, dtype="float64") -> Any:
    shapes = ((B, T, H, K), (B, T, G, K), (B, T, G, V))
    arrays = draw_like(tuple(map(np.zeros, shapes)), seed)
    return tuple(jnp.asarray(array, dtype) for array in arrays)


def full_pass(arrays, allowed, *, scale=K**-0.5, logits_soft_cap=None, sinks=None, bias=None):
    """The formula with every weight, where each query may see some key; `allowed` is (b, h, t, s).

    Written for dtypes of NumPy and JAX, so that float32 is judged by float64.
    """
    query, *rest = arrays
    key, value = (jnp.repeat(x, H // G, axis=2) for x in rest)
    scores = jnp.einsum("bthk,bshk->bhts", query, key) * scale
    if logits_soft_cap is not None:
        scores = logits_soft_cap * jnp.tanh(scores / logits_soft_cap)
    scores = scores if bias is None else scores + bias
    scores = jnp.where(allowed, scores, -jnp.inf)
    if sinks is not None:
        column = jnp.broadcast_to(jnp.asarray(sinks)[None, :, None, None], (*scores.shape[:3], 1))
        scores = jnp.concatenate([scores, column], -1)
    weights = jax.nn.softmax(scores, axis=-1)[..., : key.shape[1]]
    return jnp.einsum("bhts,bshv->bthv", weights, value)


def seen_by(mask):
    return jnp.broadcast_to(mask.dense(T, T), (B, H, T, T))


def empty(dtype="float64", capacity=13):
    return jattn.init_cache(
        B, capacity=capacity, key_value_heads=G, key_size=K, value_size=V, dtype=dtype
    )


def rolling(chunk=1, dtype="float64", size=4, first=2):
    return jattn.init_rolling_cache(
        B,
        window=size,
        first_tokens=first,
        longest_chunk=chunk,
        key_value_heads=G,
        key_size=K,
        value_size=V,
        dtype=dtype,
    )


MAKERS = {"all slots": empty, "a ring": functools.partial(rolling, chunk=5, size=20, first=2)}


def in_steps(cache, query, key, value, **options):
    """A scan over single tokens."""

    def step(cache, token):
        query, key, value = (x[:, None] for x in token)
        cache = extend_cache(cache, key, value)
        return cache, attend_to_cache(query, cache, **options)[:, 0]

    tokens = jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), (query, key, value))
    cache, outputs = jax.lax.scan(step, cache, tokens)
    return cache, jnp.swapaxes(outputs, 0, 1)


def in_chunks_of(sizes, cache, query, key, value, **options):
    outputs, start = [], 0
    for size in sizes:
        part = slice(start, start + size)
        cache = extend_cache(cache, key[:, part], value[:, part])
        outputs.append(attend_to_cache(query[:, part], cache, **options))
        start += size
    return jnp.concatenate(outputs, 1)


OPTIONS = (
    {},
    {"chunk_size": 4, "logits_soft_cap": 1.5, "sinks": SINKS, "scale": 0.3},
)


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(options) or "plain")
def test_S1_S3_steps_give_the_full_causal_pass(options):
    arrays = drawn()
    asked = {name: value for name, value in options.items() if name != "chunk_size"}
    wanted = full_pass(arrays, seen_by(causal()), **asked)
    steps = jax.jit(functools.partial(in_steps, **options))
    cache, outputs = steps(empty(), *arrays)
    testing.assert_close(outputs, wanted, 1e-12)
    assert cache.length.tolist() == [T, T]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_S1_N1_rounding_of_steps(dtype):
    arrays = drawn(1, dtype)
    exact = jax.tree.map(lambda x: x.astype("float64"), arrays)
    outputs = jax.jit(in_steps)(empty(dtype), *arrays)[1]
    assert outputs.dtype == dtype
    wanted = np.asarray(full_pass(exact, seen_by(causal())))
    units = 4 if dtype == "float32" else 1
    testing.assert_close(np.asarray(outputs, "float64"), wanted, units * ROUNDING[dtype])


@pytest.mark.parametrize("blocks", [None, 5])
def test_S4_chunks_of_any_size_give_the_full_pass(blocks):
    arrays = drawn(2)
    wanted = full_pass(arrays, seen_by(causal()))
    for sizes in ((4, 7), (4, 1, 1, 4, 1)):
        run = jax.jit(functools.partial(in_chunks_of, sizes, chunk_size=blocks))
        outputs = run(empty(), *arrays)
        testing.assert_close(outputs, wanted, 1e-12, f"{sizes}")


def rows_of_window(size, first):
    """Each token sees itself, the tokens of its window before it, and the first ones up to it."""
    near = np.triu(np.ones((T, T), bool), 1 - size)
    return jnp.asarray(np.tril(near | (np.arange(T) < first)))[None, None]


@pytest.mark.parametrize(("size", "first"), [(1, 0), (4, 3), (20, 3)])
def test_S2_a_rolling_cache_gives_the_windowed_pass(size, first):
    arrays = drawn(3)
    wanted = full_pass(arrays, rows_of_window(size, first))
    cache = rolling(size=size, first=first)
    assert cache.slots == first + size
    testing.assert_close(jax.jit(in_steps)(cache, *arrays)[1], wanted, 1e-12)


@pytest.mark.parametrize(("first", "sizes"), [(3, (2, 3, 2, 3, 1)), (0, (5, 5, 1))])
def test_S2_S4_a_rolling_cache_takes_chunks(first, sizes):
    arrays = drawn(3)
    wanted = full_pass(arrays, rows_of_window(4, first))
    cache = rolling(max(sizes), first=first)
    run = jax.jit(functools.partial(in_chunks_of, sizes, chunk_size=3 if first else None))
    testing.assert_close(run(cache, *arrays), wanted, 1e-12)


@pytest.mark.parametrize("place", [int, lambda n: np.full(B, n, np.int32)])
def test_I2_a_rolling_cache_is_asked_about_positions_past_two_to_the_thirty(place):
    """What it finds there is what it finds at the beginning."""
    query, key, value = drawn()
    found = []
    for start in (0, 2**30 + 12):
        cache = jattn.init_rolling_cache(
            B, window=4, key_value_heads=G, key_size=K, value_size=V, dtype="float64"
        )
        cache = dataclasses.replace(cache, length=jnp.full(B, start, jnp.int32))
        for i in range(6):
            cache = extend_cache(cache, key[:, i : i + 1], value[:, i : i + 1])
        found.append(attend_to_cache(query[:, :1], cache, query_offset=place(start + 5)))
    testing.assert_close(found[1], found[0], 1e-14)


def test_positions_of_a_rolling_cache():
    cache = rolling(chunk=2, size=3, first=2)
    extend, shown = jax.jit(extend_cache), []
    for token in range(9):
        shown.append(jattn.slot_positions(cache)[0].tolist())
        cache = extend(cache, *(x[:, token : token + 1] for x in drawn()[1:]))
    assert shown == [
        [-1, -1, -1, -1, -1, -1],
        [0, -1, -1, -1, -1, -1],
        [0, 1, -1, -1, -1, -1],
        [0, 1, 2, -1, -1, -1],
        [0, 1, 2, 3, -1, -1],
        [0, 1, 2, 3, 4, -1],
        [0, 1, 2, 3, 4, 5],
        [0, 1, 6, 3, 4, 5],
        [0, 1, 6, 7, 4, 5],
    ]


@pytest.mark.parametrize("kind", ["all slots", "a ring"])
def test_R1_sequences_of_different_lengths(kind):
    """A prompt with padding, then steps: each sequence as it would be alone; padding gives zero."""
    query, key, value = drawn(4)
    prompt = np.array([5, 2])

    @jax.jit
    def run(cache, query, key, value, prompt):
        head = [x[:, :5] for x in (query, key, value)]
        padded = jnp.arange(5)[None] >= prompt[:, None]
        poisoned = [jnp.where(padded[..., None, None], jnp.nan, x) for x in head]
        extended = extend_cache(cache, *poisoned[1:], lengths=prompt)
        outputs = attend_to_cache(poisoned[0], extended, query_offset=cache.length)
        # The next token of a sequence stands where its prompt ends.
        step = lambda x: jnp.take_along_axis(x, prompt[:, None, None, None], 1)
        extended = extend_cache(extended, step(key), step(value))
        return outputs, attend_to_cache(step(query), extended), extended.length

    outputs, following, length = run(MAKERS[kind](), query, key, value, prompt)
    wanted = np.asarray(full_pass((query, key, value), seen_by(causal())))
    assert length.tolist() == [6, 3]
    assert not np.asarray(outputs)[1, 2:].any()
    testing.assert_close(outputs[0], wanted[0, :5], 1e-12)
    testing.assert_close(outputs[1, :2], wanted[1, :2], 1e-12)
    testing.assert_close(following[:, 0], wanted[[0, 1], prompt], 1e-12)


@pytest.mark.parametrize("kind", MAKERS)
def test_R1_queries_of_a_padded_chunk_are_placed_by_the_cache(kind):
    """Without `query_offset`: those of the chunk where it has as many, else of the last tokens."""
    query, key, value = drawn(4)
    wanted = np.array(full_pass((query, key, value), seen_by(causal())))

    @jax.jit
    def run(cache, lengths):
        cache = extend_cache(cache, key[:, :3], value[:, :3])
        chunk = [x[:, 3:8] for x in (query, key, value)]
        cache = extend_cache(cache, *chunk[1:], lengths=lengths)
        last = jnp.take_along_axis(query, cache.length[:, None, None, None] - 1, 1)
        return attend_to_cache(chunk[0], cache), attend_to_cache(last, cache)

    for lengths in ([5, 2], [0, 5]):
        outputs, last = run(MAKERS[kind](), np.array(lengths))
        for example, length in enumerate(lengths):
            rows = wanted[example, 3 : 3 + length]
            testing.assert_close(outputs[example, :length], rows, 1e-12)
            assert not np.asarray(outputs)[example, length:].any()
            testing.assert_close(last[example, 0], wanted[example, 2 + length], 1e-12)


def test_V3_a_cache_in_order_alarms_no_debugging_mode():
    query, key, value = (x[:, :5] for x in drawn(dtype="float32"))

    def run(make, size, lengths):
        cache = extend_cache(make(dtype="float32"), key, value, lengths=lengths)
        return attend_to_cache(query, cache, chunk_size=size)

    lengths = jnp.array([5, 2])
    for make, size in ((empty, None), (functools.partial(rolling, chunk=5), 4)):
        with jax.disable_jit(), jax.debug_nans(True):
            run(make, size, lengths)
        checked = checkify.checkify(
            functools.partial(run, make, size), errors=checkify.float_checks
        )
        assert jax.jit(checked)(lengths)[0].get() is None


def test_V3_a_cache_of_one_sequence_alarms_no_check_of_indices():
    """The check of JAX knows no writes of a batch: it fails for `jax.vmap` of `x.at[i].set(y)`."""
    query, key, value = (x[0, :5] for x in drawn(dtype="float32"))
    sizes: Any = {"key_value_heads": G, "key_size": K, "value_size": V, "dtype": "float32"}

    def run(cache, lengths):
        cache = extend_cache(cache, key, value, lengths=lengths)
        return attend_to_cache(query, cache, chunk_size=4)

    for cache in (
        jattn.init_cache(capacity=13, **sizes),
        jattn.init_rolling_cache(window=4, first_tokens=2, longest_chunk=5, **sizes),
    ):
        checked = jax.jit(checkify.checkify(run, errors=checkify.index_checks))
        assert checked(cache, jnp.array(2))[0].get() is None


def test_masks_windows_and_biases_are_those_of_a_full_pass():
    arrays = drawn(5)
    bias = draw_like(np.zeros((B, H, T, 13)), 6)
    bias[:, :, :, 1] = -np.inf
    bias[..., 0] = 0.25
    hidden = np.ones((H, T, 13), bool)
    hidden[1, :, 2] = False
    cache = extend_cache(empty(), *arrays[1:])
    seen = (causal() & window(6, 0)).dense(T, T) & (np.arange(T) % 2 == np.arange(T)[:, None] % 2)
    allowed = np.asarray(seen) & hidden[..., :T] & (bias[..., :T] != -np.inf)
    row = allowed.any(-1)
    assert row.any()
    assert not row.all()
    finite = np.where(allowed, bias[..., :T], 0.0)
    wanted = full_pass(arrays, allowed | ~row[..., None], bias=finite)
    wanted = jnp.where(jnp.swapaxes(row, 1, 2)[..., None], wanted, 0.0)
    attend: Any = functools.partial(attend_to_cache, chunk_size=4)
    pattern = jattn.masks.dilated(2)
    for mask, more in (
        (hidden & np.asarray((pattern & window(6, None)).dense(T, 13)), {}),
        (hidden & np.asarray(pattern.dense(T, 13)), {"local_window_size": (6, 0)}),
    ):
        run: Any = jax.jit(functools.partial(attend, mask=mask, bias=bias, **more))
        output = run(arrays[0], cache)
        testing.assert_close(output, wanted, 1e-12)
    run = jax.jit(functools.partial(attend, local_window_size=5))
    by_position = run(arrays[0], cache)
    testing.assert_close(by_position, full_pass(arrays, seen_by(causal() & window(5, 0))), 1e-12)


def test_C1_what_no_query_may_read_reaches_nothing():
    """Unwritten slots, and a token that a mask hides, in values and gradients, bit for bit."""
    query, key, value = drawn(7)
    cache = extend_cache(empty(), key, value)
    hides_one = ~jattn.masks.prefix(1)
    cotangent = draw_like(np.zeros((B, T, H, V)), 8)

    @jax.jit
    def run(query, keys, values):
        def attend(query, keys, values):
            read = dataclasses.replace(cache, key=keys, value=values)
            return attend_to_cache(query, read, mask=hides_one, chunk_size=4)

        output, pullback = jax.vjp(attend, query, keys, values)
        return output, pullback(cotangent)

    clean = run(query, cache.key, cache.value)
    for poison in (np.nan, np.inf, 1e300):
        spoil = lambda x, poison=poison: x.at[:, :, T:].set(poison).at[:, :, 0].set(poison)
        spoiled = spoil(cache.key), spoil(cache.value)
        assert_same_bits(run(query.at[:, 0].set(poison), *spoiled), clean)
    assert not np.asarray(clean[0])[:, 0].any()  # The first query saw the first token alone.
    for gradient in clean[1][1:]:
        assert not np.asarray(gradient)[:, :, T:].any()


@pytest.mark.parametrize("hidden", [False, True])
def test_C1_S4_a_cache_that_is_read_whole_is_read_like_its_blocks(hidden):
    slots, heads, size = 1031, 8, 131
    shapes = (1, 1, heads, size), (1, slots, heads, size), (1, slots, heads, size)
    query, key, value = draw_like(tuple(map(np.zeros, shapes)), 3)
    mask = np.ones(slots, bool)
    if hidden:  # Then blocks are read, and what is hidden is zeroed.
        mask[17], key[:, 17], value[:, 17] = False, np.nan, np.nan
    cache = jattn.init_cache(
        1, capacity=slots, key_value_heads=heads, key_size=size, value_size=size, dtype="float64"
    )
    cache = extend_cache(cache, key, value)
    found = attend_to_cache(query, cache, mask=mask)
    expected = jattn.dot_product_attention(query, key[:, mask], value[:, mask])
    testing.assert_close(found, expected, 1e-12)


def test_M1_an_empty_cache_gives_zero_and_no_gradient():
    query = drawn()[0][:, :1]
    for cache in (empty(), rolling()):
        function = lambda query, cache=cache: attend_to_cache(query, cache).sum()
        value, gradient = jax.jit(jax.value_and_grad(function))(query)
        assert value == 0.0
        assert not np.asarray(gradient).any()


def test_G2_G3_derivatives_through_steps_are_those_of_the_full_pass():
    arrays = drawn(9)
    cotangent = draw_like(np.zeros((B, T, H, V)), 10)
    direction = draw_like(arrays, 11)
    steps = lambda *arrays: in_steps(empty(), *arrays, sinks=SINKS, chunk_size=4)[1]
    whole = lambda *arrays: full_pass(arrays, seen_by(causal()), sinks=SINKS)

    def derivatives(function):
        gradient = jax.grad(lambda arrays: (function(*arrays) * cotangent).sum())
        return jax.jit(lambda arrays: jax.jvp(gradient, (arrays,), (direction,)))(arrays)

    testing.assert_close(derivatives(steps), derivatives(whole), 1e-11)


def test_G2_gradients_through_a_rolling_cache():
    arrays = drawn(9)
    steps = lambda *arrays: in_steps(rolling(), *arrays, sinks=SINKS)[1]
    whole = lambda *arrays: full_pass(arrays, rows_of_window(4, 2), sinks=SINKS)
    gradient = lambda function: jax.jit(
        lambda arrays: jax.grad(lambda arrays: (function(*arrays) ** 2).sum())(arrays)
    )(arrays)
    testing.assert_close(gradient(steps), gradient(whole), 1e-12)


def test_G2_gradient_of_sinks_and_of_the_scale():
    query, key, value = drawn(12)
    cache = extend_cache(empty(), key, value)

    def by_cache(sinks, scale, bias):
        options = {"sinks": sinks, "scale": scale, "bias": bias, "chunk_size": 4}
        return (attend_to_cache(query, cache, **options) ** 2).sum()

    def dense(sinks, scale, bias):
        options = {"sinks": sinks, "scale": scale, "bias": bias[..., :T]}
        return (full_pass((query, key, value), seen_by(causal()), **options) ** 2).sum()

    given = (jnp.asarray(SINKS), jnp.asarray(0.4), draw_like(np.zeros((B, H, T, 13)), 13))
    gradient = lambda function: jax.jit(jax.grad(function, (0, 1, 2)))(*given)
    testing.assert_close(gradient(by_cache), gradient(dense), 1e-12)


def test_T2_vmap_is_the_batch_axis():
    unit = ROUNDING["float64"]
    query, key, value = drawn(14)
    run = jax.jit(functools.partial(in_chunks_of, (4, 7), chunk_size=4))
    batched = run(empty(), query, key, value)
    alone = jattn.init_cache(
        capacity=13, key_value_heads=G, key_size=K, value_size=V, dtype="float64"
    )

    def one(query, key, value):
        cache, outputs = alone, []
        for part in (slice(0, 4), slice(4, 11)):
            cache = extend_cache(cache, key[part], value[part])
            outputs.append(attend_to_cache(query[part], cache, chunk_size=4))
        return jnp.concatenate(outputs)

    testing.assert_close(
        jax.jit(jax.vmap(one))(query, key, value), batched, 4 * ROUNDING["float64"]
    )
    grid = jattn.init_cache(1, B, capacity=13, key_value_heads=G, key_size=K, value_size=V)
    step = jax.jit(lambda *arrays: attend_to_cache(arrays[0], extend_cache(grid, *arrays[1:])))
    found = step(query[None], key[None], value[None])
    testing.assert_close(found[0], batched, 4 * unit)


def test_a_donated_cache_is_written_in_place():
    cache = empty("float32")
    token = [x[:, :1] for x in drawn(dtype="float32")[1:]]
    extend = jax.jit(extend_cache, donate_argnums=0)
    before = cache.key.unsafe_buffer_pointer()
    after = extend(cache, *token)
    assert cache.key.is_deleted()
    assert after.key.unsafe_buffer_pointer() == before
    text = extend.lower(after, *token).compile().as_text()
    assert text
    assert not re.search(r"f32\[2,2,13,\d\]\S* copy\(", text)


def test_tokens_that_do_not_fit_are_never_lost_in_silence():
    query, key, value = drawn()
    full = extend_cache(empty(capacity=11), key, value)
    with pytest.raises(ValueError, match="extend_cache: 12 tokens, expected at most 11"):
        extend_cache(full, key[:, :1], value[:, :1])
    extend = jax.jit(extend_cache)
    lengths = np.array([1, 0])
    over = extend(full, key[:, :1], value[:, :1], lengths=lengths)
    assert_same_bits(over.key, full.key)
    output = np.asarray(attend_to_cache(query[:, :1], over))
    assert np.isnan(output[0]).all()
    assert np.isfinite(output[1]).all()
    # A rolling cache cannot say what a token of the past would see.
    old = rolling(chunk=2)
    for token in range(T):
        old = extend(old, key[:, token : token + 1], value[:, token : token + 1])
    offsets = np.array([T - 2, T - 3])
    output = np.asarray(attend_to_cache(query[:, :1], old, query_offset=offsets))
    assert np.isfinite(output[0]).all()
    assert np.isnan(output[1]).all()


def wrong_calls():
    query, key, value = drawn()
    cache = extend_cache(empty(), key, value)
    extend, attend = extend_cache, attend_to_cache
    yield "key has shape", lambda: extend(cache, key[:1], value)
    yield "value has shape", lambda: extend(cache, key[:, :1], value)
    yield "value has shape", lambda: extend(cache, key[:, :1], value[:, :1, :, :2])
    yield (
        "key has dtype float32, expected float64",
        lambda: extend(cache, key[:, :1].astype("float32"), value[:, :1]),
    )
    yield (
        "2 tokens at once, expected at most 1",
        lambda: extend(rolling(), key[:, :2], value[:, :2]),
    )
    yield (
        "lengths is 2, expected 0 to 1",
        lambda: extend(empty(), key[:, :1], value[:, :1], lengths=2),
    )
    yield "lengths has shape", lambda: extend(empty(), key, value, lengths=np.ones(3, int))
    yield "2 queries, expected at most 1", lambda: attend(query[:, :2], rolling())
    yield "query has shape", lambda: attend(query[0], cache)
    yield "query has shape", lambda: attend(query[..., :3], cache)
    yield "5 heads do not divide among 2", lambda: attend(query[:, :, :5], cache)
    yield "sinks has shape", lambda: attend(query, cache, sinks=SINKS[:2])
    yield "query_offset has shape", lambda: attend(query, cache, query_offset=np.zeros(3, int))
    expected = re.escape(f"expected one that broadcasts to (*b, h, t, s) = {(B, H, T, 13)}")
    yield f"bias has shape .*, {expected}$", lambda: attend(query, cache, bias=np.zeros((T, T)))
    yield "mask has shape", lambda: attend(query, cache, mask=np.ones((3, H, T, 13), bool))
    yield (
        "expected bool; it holds only 0 and 1, so pass mask.astype",
        lambda: attend(query, cache, mask=np.ones((T, 13))),
    )
    yield "bias has dtype bool", lambda: attend(query, cache, bias=np.ones((T, 13), bool))
    yield (
        "expected a pattern of positions",
        lambda: attend(query, cache, mask=jattn.masks.dense(jnp.ones((T, 13), bool))),
    )
    yield "chunk_size is 0, expected more than 0", lambda: attend(query, cache, chunk_size=0)
    yield "logits_soft_cap is inf", lambda: attend(query, cache, logits_soft_cap=np.inf)
    yield "scale is nan", lambda: attend(query, cache, scale=float("nan"))
    yield "of at least 16 bits", lambda: empty(jnp.float8_e4m3fn)
    yield "window is 0, expected at least 1", lambda: rolling(size=0)
    yield "first_tokens is -1, expected at least 0", lambda: rolling(first=-1)


def test_wrong_arguments_raise():
    for message, wrong in wrong_calls():
        with pytest.raises(ValueError, match=message):
            wrong()
