"""Other libraries' kernels get what they can do, are refused the rest, and keep the contract."""

import functools
import importlib
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jattn
from jattn import testing
from jattn.testing.properties import ROUNDING
from jattn.testing.trees import draw_like


def hand_over(implementation: str, *arrays: Any, **options: Any) -> Any:
    return jattn.dot_product_attention(*arrays, implementation=implementation, **options)


B, T, S, H, G, K = 2, 7, 5, 6, 2, 4
DRAWN = draw_like(tuple(map(np.zeros, ((B, T, H, K), (B, S, G, K), (B, S, G, K)))), 0)
BIAS = np.where(np.arange(S) == 2, -np.inf, np.random.default_rng(1).standard_normal((B, H, T, S)))
HIDDEN = np.random.default_rng(2).random((B, H, T, S)) < 0.7
HIDDEN[:, :, 3] = False
QUERY_LENGTHS, KEY_LENGTHS = np.array([4, 7]), np.array([0, 2])
ROWS, COLUMNS = np.arange(T)[:, None], np.arange(S)
VALID = [(queries > ROWS) & (keys > COLUMNS) for queries, keys in ((4, 0), (7, 2))]

# Options that all three take, and the pairs that they allow; windows need t = s in tokamax.
CASES: dict[str, tuple[dict[str, Any], Any]] = {
    "plain": ({}, COLUMNS >= 0),
    "causal": ({"is_causal": True, "scale": 0.7}, COLUMNS <= ROWS),
    "causal mask": ({"mask": jattn.masks.causal()}, COLUMNS <= ROWS),
    "pattern": ({"mask": jattn.masks.causal(-2)}, COLUMNS <= ROWS - 2),
    "mask and bias": ({"mask": HIDDEN, "bias": BIAS}, HIDDEN & (COLUMNS != 2)),
    "bias of all": ({"bias": BIAS[0, 0]}, COLUMNS != 2),
    "lengths": (
        {"query_seq_lengths": QUERY_LENGTHS, "key_value_seq_lengths": KEY_LENGTHS},
        np.stack(VALID)[:, None],
    ),
}
WINDOWED = {
    "window": ({"local_window_size": (1, 0)}, (COLUMNS >= ROWS - 1) & (COLUMNS <= ROWS)),
    "causal window": (
        {"local_window_size": 1, "is_causal": True},
        (COLUMNS >= ROWS - 1) & (COLUMNS <= ROWS),
    ),
}


def drawn(dtype, size=T):
    return [jnp.asarray(array[:, :size], dtype) for array in DRAWN]


def dense(arrays, allowed, bias=None, scale=K**-0.5, logits_soft_cap=None, **_):
    query, *rest = (np.asarray(array, "float64") for array in arrays)
    key, value = (np.repeat(array, H // G, axis=2) for array in rest)
    scores = np.einsum("bthk,bshk->bhts", query, key) * scale
    cap = logits_soft_cap
    scores = scores if cap is None else np.tanh(scores / cap) * cap
    scores = scores if bias is None else scores + np.where(bias == -np.inf, 0.0, bias)
    exponentials = np.where(allowed, np.exp(scores), 0.0)
    total = exponentials.sum(-1, keepdims=True)
    return np.einsum("bhts,bshv->bthv", exponentials / np.where(total == 0, 1, total), value)


@pytest.fixture
def kernels(monkeypatch):
    """The list of what jax.nn's kernels were given; its XLA stands in for cuDNN, never run."""
    given: list[Any] = []
    of_jax: Any = jax.nn.dot_product_attention

    def kernel(*arrays, implementation, **options):
        given.append((implementation, {**options, "mask": arrays[4]}))
        wide = [array.astype("float32") for array in arrays[:3]]
        output = of_jax(*wide, *arrays[3:], **options, implementation="xla")
        return output.astype(arrays[0].dtype)

    monkeypatch.setattr(jax.nn, "dot_product_attention", kernel)
    return given


@pytest.fixture
def tokamax():
    """Tokamax itself, which runs on a CPU too; it reads absl's flags, and pytest's are none."""
    pytest.importorskip("tokamax", reason="no tokamax: install the extra `kernels`")
    importlib.import_module("absl.flags").FLAGS.mark_as_parsed()


DTYPE = {"xla": "float32", "cudnn": "bfloat16", "tokamax": "float32"}


def check(implementation, name):
    """Empty rows give zero, and NaN that nobody reads stays where it is."""
    dtype, (options, allowed) = DTYPE[implementation], {**CASES, **WINDOWED, **CAPPED}[name]
    allowed = np.broadcast_to(allowed, (B, H, T, S))
    arrays = drawn(dtype)
    wanted = dense(arrays, allowed, **options)
    unread = ~np.asarray(allowed.any((1, 2)))[:, :, None, None]
    arrays[1:] = [jnp.where(unread, jnp.nan, x) for x in arrays[1:]]
    output = hand_over(implementation, *arrays, **options)
    assert output.dtype == dtype
    units = {"xla": 8, "cudnn": 1, "tokamax": 16}[implementation]
    testing.assert_close(np.asarray(output, "float64"), wanted, units * ROUNDING[dtype])


@pytest.mark.parametrize("name", [*CASES, *WINDOWED])
def test_M1_C1_what_is_handed_to_xla_keeps_the_contract(name):
    check("xla", name)


@pytest.mark.parametrize("name", [*CASES, *WINDOWED])
def test_M1_C1_what_would_be_handed_to_cudnn_keeps_the_contract(kernels, name):
    check("cudnn", name)
    assert [called for called, _ in kernels] == ["cudnn"]


CAPPED = {"soft cap": ({"logits_soft_cap": 0.5, "is_causal": True}, COLUMNS <= ROWS)}


@pytest.mark.parametrize("name", [*CASES, *CAPPED])
def test_M1_C1_what_is_handed_to_tokamax_keeps_the_contract(tokamax, name):
    check("tokamax", name)


def test_G2_gradients_through_tokamax_are_those_of_the_engine(tokamax):
    arrays = drawn("float32")
    cotangent = np.random.default_rng(3).standard_normal((B, T, H, K)).astype("float32")
    for options in ({"is_causal": True}, {"mask": HIDDEN, "bias": BIAS.astype("float32")}):
        attend = functools.partial(jattn.dot_product_attention, **options)
        pullbacks = [
            jax.vjp(functools.partial(attend, implementation=name), *arrays)[1]
            for name in ("tokamax", None)
        ]
        actual, wanted = (pullback(cotangent) for pullback in pullbacks)
        testing.assert_close(actual, wanted, 1e-5)


def test_tokamax_takes_values_of_another_size(tokamax):
    query, key, value = drawn("float32")
    wanted = dense((query, key, value), COLUMNS >= 0)[..., :3]
    output = hand_over("tokamax", query, key, value[..., :3])
    testing.assert_close(np.asarray(output, "float64"), wanted, 16 * ROUNDING["float32"])


def test_what_the_kernels_skip_is_said_to_them(kernels):
    """Causal masks, lengths and windows go as such, so that a kernel can leave work out."""
    arrays = drawn("bfloat16")
    for options, told in (
        ({"mask": jattn.masks.causal()}, {"is_causal": True}),
        ({"local_window_size": (2, 0)}, {"is_causal": True, "local_window_size": (2, 0)}),
        ({"local_window_size": 2, "is_causal": True}, {"local_window_size": (2, 0)}),
        ({"scale": 0.5}, {"scale": 0.5, "is_causal": False}),
    ):
        hand_over("cudnn", *arrays, **options)
        given = kernels.pop()[1]
        assert given["mask"] is None
        assert {name: given[name] for name in told} == told
    hand_over("cudnn", *arrays, key_value_seq_lengths=KEY_LENGTHS)
    # A row without keys reads one in the kernel, and is zeroed after it.
    assert kernels.pop()[1]["key_value_seq_lengths"].tolist() == [1, 2]


def test_leading_axes(kernels):
    query, key, value = drawn("float32")
    for shape in ((), (B, 1)):
        index = 0 if shape == () else slice(None)
        reshape = lambda x, index=index, shape=shape: x[index].reshape(*shape, *x.shape[1:])
        bias = reshape(BIAS.astype("float32"))
        run = jax.jit(functools.partial(hand_over, "xla"))
        output = run(*map(reshape, (query, key, value)), bias=bias)
        assert output.shape == (*shape, T, H, K)
        wanted = dense((query, key, value), COLUMNS != 2, BIAS)
        testing.assert_close(output, reshape(wanted), 8 * ROUNDING["float32"])


REFUSED = [
    ("cudnn", {"sinks": np.zeros(H)}, "cannot do sinks"),
    ("xla", {"return_residual": True}, "return_residual: the log-sum-exp"),
    ("xla", {"query_offset": 3}, "cannot do query_offset"),
    ("tokamax", {"query_offset": np.array([0, 0])}, "cannot do query_offset"),
    ("tokamax", {"dropout_rate": 0.1, "dropout_rng": jax.random.key(0)}, "cannot do dropout_rate"),
    ("xla", {"return_weights": True}, "cannot do return_weights"),
    ("cudnn", {"chunk_size": 128}, "cannot do chunk_size"),
    (
        "xla",
        {"bias": jattn.biases.alibi(jax.numpy.ones(H))},
        "cannot do bias as a function",
    ),
    ("xla", {"logits_soft_cap": 5.0}, "cannot do logits_soft_cap: it has none"),
    ("cudnn", {"logits_soft_cap": 5.0}, "cannot do logits_soft_cap: it has none"),
    ("tokamax", {"logits_soft_cap": 5.0, "bias": BIAS}, "it caps scores after the bias"),
    ("cudnn", {"scale": jnp.float32(2.0)}, "scale as an array"),
    ("tokamax", {"scale": jnp.float32(2.0)}, "scale as an array"),
    ("cudnn", {"local_window_size": 2}, "its windows end at the token itself"),
    ("tokamax", {"local_window_size": 2}, "as many queries as keys"),
    ("pallas", {}, "expected 'xla', 'cudnn', 'tokamax', 'fastest' or None"),
]


@pytest.mark.parametrize(("implementation", "options", "message"), REFUSED)
def test_what_a_kernel_cannot_do_is_refused_by_name(kernels, implementation, options, message):
    arrays = drawn(DTYPE.get(implementation, "float32"))
    with pytest.raises(ValueError, match=message):
        hand_over(implementation, *arrays, **options)
    assert kernels == []


def test_dtypes_and_sizes_that_a_kernel_does_not_have_are_refused(kernels):
    query, key, value = drawn("float32")
    for implementation, arrays, message in (
        ("xla", drawn("float64"), "float64, expected one of bfloat16, float16, float32"),
        ("tokamax", drawn("float64"), "float64"),
        ("cudnn", (query, key, value), "float32, expected one of bfloat16, float16"),
        ("xla", (query, key.astype("bfloat16"), value), "bfloat16 and float32"),
        ("xla", (query, key, value[..., :3]), "values of 3 features with keys of 4"),
    ):
        with pytest.raises(ValueError, match=message):
            hand_over(implementation, *arrays)
    assert kernels == []


def test_tokamax_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokamax", None)
    with pytest.raises(ValueError, match=r"needs the extra `jattn\[kernels\]`"):
        hand_over("tokamax", *drawn("float32"))


def test_gradients_go_through(kernels):
    arrays = drawn("float32")
    loss = lambda *arrays: (hand_over("xla", *arrays, mask=HIDDEN) ** 2).sum()
    gradient = jax.jit(jax.grad(loss, (0, 1, 2)))(*arrays)
    assert not np.asarray(gradient[0])[:, 3].any()
    assert all(np.isfinite(leaf).all() and leaf.any() for leaf in gradient)
