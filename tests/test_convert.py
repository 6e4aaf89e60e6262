"""Weights of other libraries: their own equations on what is exported, round trips, refusals."""

import re
from typing import Any

import jax
import numpy as np
import pytest

import jattn
from jattn import BidirectionalGRUParams, GRUParams, LSTMParams, MultiHeadParams, convert
from jattn.testing import assert_close

INPUTS, N = 3, 5
AFTER, BEFORE = jattn.gru_cell, jattn.reset_before_gru_cell


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def torch_step(w, x, h, _cell):
    from_x = w["weight_ih_l0"] @ x + w["bias_ih_l0"]
    from_h = w["weight_hh_l0"] @ h + w["bias_hh_l0"]
    r, z = sigmoid(from_x[:N] + from_h[:N]), sigmoid(from_x[N : 2 * N] + from_h[N : 2 * N])
    return (1 - z) * np.tanh(from_x[2 * N :] + r * from_h[2 * N :]) + z * h


def keras_step(w, x, h, cell):
    if cell is AFTER:
        z_x, r_x, n_x = np.split(x @ w["kernel"] + w["bias"][0], 3)
        z_h, r_h, n_h = np.split(h @ w["recurrent_kernel"] + w["bias"][1], 3)
        z, r = sigmoid(z_x + z_h), sigmoid(r_x + r_h)
        return z * h + (1 - z) * np.tanh(n_x + r * n_h)
    z_x, r_x, n_x = np.split(x @ w["kernel"] + w["bias"], 3)
    z_u, r_u, n_u = np.split(w["recurrent_kernel"], 3, axis=1)
    z, r = sigmoid(z_x + h @ z_u), sigmoid(r_x + h @ r_u)
    return z * h + (1 - z) * np.tanh(n_x + (r * h) @ n_u)


def linen_step(w, x, h, _cell):
    from_x = {gate: x @ w[f"i{gate}"]["kernel"] + w[f"i{gate}"]["bias"] for gate in "rzn"}
    from_h = {gate: h @ w[f"h{gate}"]["kernel"] for gate in "rzn"}
    r, z = (sigmoid(from_x[gate] + from_h[gate]) for gate in "rz")
    return (1 - z) * np.tanh(from_x["n"] + r * (from_h["n"] + w["hn"]["bias"])) + z * h


def nnx_step(w, x, h, _cell):
    r_x, z_x, n_x = np.split(x @ w["dense_i"]["kernel"] + w["dense_i"]["bias"], 3)
    r_h, z_h, n_h = np.split(h @ w["dense_h"]["kernel"], 3)
    r, z = sigmoid(r_x + r_h), sigmoid(z_x + z_h)
    return (1 - z) * np.tanh(n_x + r * n_h) + z * h


def equinox_step(w, x, h, _cell):
    r_x, z_x, n_x = np.split(w["weight_ih"] @ x + w["bias"], 3)
    r_h, z_h, n_h = np.split(w["weight_hh"] @ h, 3)
    r, z = sigmoid(r_x + r_h), sigmoid(z_x + z_h)
    new = np.tanh(n_x + r * (n_h + w["bias_n"]))
    return new + z * (h - new)


def haiku_step(w, x, h, _cell):
    z_x, r_x, a_x = np.split(x @ w["w_i"] + w["b"], 3)
    z_h, r_h, a_h = np.split(w["w_h"], 3, axis=1)
    z, r = sigmoid(z_x + h @ z_h), sigmoid(r_x + h @ r_h)
    return (1 - z) * h + z * np.tanh(a_x + (r * h) @ a_h)


def onnx_step(w, x, h, cell):
    (z_w, r_w, n_w), (z_r, r_r, n_r) = np.split(w["W"][0], 3), np.split(w["R"][0], 3)
    z_b, r_b, n_b, z_c, r_c, n_c = np.split(w["B"][0], 6)
    z, r = sigmoid(z_w @ x + z_r @ h + z_b + z_c), sigmoid(r_w @ x + r_r @ h + r_b + r_c)
    from_h = r * (n_r @ h + n_c) if cell is AFTER else n_r @ (r * h) + n_c
    return (1 - z) * np.tanh(n_w @ x + from_h + n_b) + z * h


# Each library, the cells that it computes, and whether it has both biases then.
GRUS = [
    ("torch", torch_step, AFTER, True),
    ("keras", keras_step, AFTER, True),
    ("keras", keras_step, BEFORE, False),
    ("linen", linen_step, AFTER, False),
    ("nnx", nnx_step, AFTER, False),
    ("equinox", equinox_step, AFTER, False),
    ("haiku", haiku_step, BEFORE, False),
    ("onnx", onnx_step, AFTER, True),
    ("onnx", onnx_step, BEFORE, True),
]
BOTH_WAYS = ["torch", "keras", "linen", "nnx", "onnx"]


def named(what, way, library):
    return getattr(convert, f"{what}_{way}_{library}")


def draw_gru(library="", inputs=INPUTS, seed=0):
    normal: Any = np.random.default_rng(seed).standard_normal
    params = GRUParams(*map(normal, ((3, N, inputs), (3, N, N), (3, N), (3, N))))
    if library == "nnx":
        params.hidden_bias[2] = 0
    return params


def same_bits(actual, expected):
    """Names, shapes, dtypes and bits, -0.0 included."""
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for got, wanted in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert (got.shape, got.dtype) == (wanted.shape, wanted.dtype)
        assert got.tobytes() == wanted.tobytes()


def redrawn(weights):
    rng = np.random.default_rng(7)
    return jax.tree.map(lambda array: rng.standard_normal(array.shape), weights)


@pytest.mark.parametrize(("library", "step", "cell", "both"), GRUS)
def test_a_gru_computes_the_same_in_the_equations_of_its_library(library, step, cell, both):
    params = draw_gru(library)
    x, h = np.random.default_rng(1).standard_normal((2, N))
    x = x[:INPUTS]
    weights = named("gru", "to", library)(params, cell=cell)
    assert_close(step(weights, x, h, cell), cell(params, h, x), 1e-14, library)
    theirs = redrawn(weights)
    read = named("gru", "from", library)(theirs, cell=cell)
    assert_close(cell(read, h, x), step(theirs, x, h, cell), 1e-14, library)
    same_bits(named("gru", "to", library)(read, cell=cell), theirs)
    if both:
        same_bits(named("gru", "from", library)(weights, cell=cell), params)
    other = (BEFORE if cell is AFTER else AFTER)(params, h, x)
    with pytest.raises(AssertionError):  # The wrong reset is seen.
        assert_close(step(weights, x, h, cell), other, 1e-3)


@pytest.mark.parametrize("library", BOTH_WAYS)
def test_both_directions_are_two_grus(library):
    params = BidirectionalGRUParams(draw_gru(library), draw_gru(library, seed=2))
    weights = named("bidirectional_gru", "to", library)(params)
    theirs = redrawn(weights)
    read = named("bidirectional_gru", "from", library)(theirs)
    same_bits(named("bidirectional_gru", "to", library)(read), theirs)
    one = [named("gru", "to", library)(way) for way in params]
    if library == "torch":
        one[1] = {f"{name}_reverse": array for name, array in one[1].items()}
        same_bits(weights, one[0] | one[1])
    elif library == "onnx":
        same_bits(weights, {name: np.concatenate([way[name] for way in one]) for name in "WRB"})
    elif library == "keras":
        same_bits(weights, dict(zip(("forward_layer", "backward_layer"), one, strict=True)))
    else:
        same_bits(weights, {"forward_rnn": {"cell": one[0]}, "backward_rnn": {"cell": one[1]}})


@pytest.mark.parametrize("both", [False, True])
def test_layers_of_torch(both):
    sizes = (INPUTS, 2 * N, 2 * N) if both else (INPUTS, N, N)
    layers: Any = tuple(
        BidirectionalGRUParams(draw_gru("", size, 2 * k), draw_gru("", size, 2 * k + 1))
        if both
        else draw_gru("", size, k)
        for k, size in enumerate(sizes)
    )
    weights = convert.stacked_gru_to_torch(layers)
    assert len(weights) == (24 if both else 12)
    same_bits(convert.stacked_gru_from_torch(weights), layers)
    last: Any = convert.bidirectional_gru_to_torch if both else convert.gru_to_torch
    for name, array in last(layers[2]).items():
        same_bits(weights[name.replace("_l0", "_l2")], array)


def lstm_gates(sums, order, c, forget_bias=0.0):
    """The next output from the gates' arguments, which stand in the order of the letters."""
    gates = dict(zip(order, np.split(sums, 4), strict=True))
    forget = sigmoid(gates["f"] + forget_bias)
    c = forget * c + sigmoid(gates["i"]) * np.tanh(gates["g"])
    return sigmoid(gates["o"]) * np.tanh(c), c


def flax_lstm_sums(forget):
    def sums(w, x, h):
        names = [("ii", "hi"), (forget, "hf"), ("ig", "hg"), ("io", "ho")]
        parts = [x @ w[i]["kernel"] + h @ w[j]["kernel"] + w[j]["bias"] for i, j in names]
        return np.concatenate(parts)

    return sums


def onnx_lstm_sums(w, x, h):
    return w["W"][0] @ x + w["R"][0] @ h + sum(np.split(w["B"][0], 2))


# The gates' arguments in the names of each library, their order, and what is added to forget.
LSTMS = {
    "torch": (
        lambda w, x, h: (
            (w["weight_ih_l0"] @ x + w["bias_ih_l0"]) + (w["weight_hh_l0"] @ h + w["bias_hh_l0"])
        ),
        "ifgo",
        0,
    ),
    "keras": (
        lambda w, x, h: x @ w["kernel"] + h @ w["recurrent_kernel"] + w["bias"],
        "ifgo",
        0,
    ),
    "linen": (flax_lstm_sums("if"), "ifgo", 0),
    "nnx": (flax_lstm_sums("if_"), "ifgo", 0),
    "equinox": (lambda w, x, h: w["weight_ih"] @ x + w["weight_hh"] @ h + w["bias"], "ifgo", 0),
    "haiku": (
        lambda w, x, h: np.concatenate([x, h]) @ w["linear"]["w"] + w["linear"]["b"],
        "igfo",
        1,
    ),
    "onnx": (onnx_lstm_sums, "iofg", 0),
}


def draw_lstm(inputs=INPUTS, seed=0):
    normal: Any = np.random.default_rng(seed).standard_normal
    return LSTMParams(*map(normal, ((4, N, inputs), (4, N, N), (4, N), (4, N))))


@pytest.mark.parametrize("library", LSTMS)
def test_an_lstm_computes_the_same_in_the_equations_of_its_library(library):
    sums, order, forget_bias = LSTMS[library]
    step = lambda w, x, state: lstm_gates(sums(w, x, state[0]), order, state[1], forget_bias)
    x, h, c = np.random.default_rng(1).standard_normal((3, N))
    x, state = x[:INPUTS], jattn.LSTMState(h, c)
    to, read = named("lstm", "to", library), named("lstm", "from", library)
    params = draw_lstm()
    weights = to(params)
    assert_close(step(weights, x, state), tuple(jattn.lstm_cell(params, state, x)), 1e-14)
    theirs = redrawn(weights)
    of_theirs = tuple(jattn.lstm_cell(read(theirs), state, x))
    assert_close(of_theirs, step(theirs, x, state), 1e-14)
    if library == "haiku":  # Adding 1 to a bias rounds.
        assert_close(to(read(theirs)), theirs, 1e-15)
    else:
        same_bits(to(read(theirs)), theirs)
    if library in ("torch", "onnx"):
        same_bits(read(weights), params)


def test_layers_and_directions_of_an_lstm_of_torch():
    layers = tuple(
        jattn.BidirectionalParams(draw_lstm(size, 2 * k), draw_lstm(size, 2 * k + 1))
        for k, size in enumerate((INPUTS, 2 * N))
    )
    weights = convert.stacked_lstm_to_torch(layers)
    assert len(weights) == 16
    same_bits(convert.stacked_lstm_from_torch(weights), layers)
    first = convert.bidirectional_lstm_to_torch(layers[0])
    same_bits({name: weights[name] for name in first}, first)
    same_bits(convert.bidirectional_lstm_from_torch(first), layers[0])
    cell = {f"a.{name}": x for name, x in convert.lstm_cell_to_torch(layers[0].forward).items()}
    same_bits(convert.lstm_cell_from_torch(cell, prefix="a."), layers[0].forward)
    stack = (draw_lstm(), draw_lstm(N, 1))
    same_bits(convert.stacked_lstm_from_torch(convert.stacked_lstm_to_torch(stack)), stack)


def test_biases_that_an_lstm_lacks_are_zero():
    for library, bias in (("torch", "bias_ih_l0"), ("keras", "bias"), ("equinox", "bias")):
        weights = named("lstm", "to", library)(draw_lstm())
        del weights[bias]
        assert not named("lstm", "from", library)(weights).input_bias.any()
    weights = convert.lstm_to_onnx(draw_lstm())
    del weights["B"]
    assert not convert.lstm_from_onnx(weights).hidden_bias.any()


def an_lstm_step():
    """Parameters, a state, inputs and the next state, in float32."""
    x, h, c = np.random.default_rng(2).standard_normal((3, N)).astype("float32")
    x, params = x[:INPUTS], jax.tree.map(np.float32, draw_lstm())
    state: Any = (h, c)
    return params, state, x, tuple(jattn.lstm_cell(params, jattn.LSTMState(*state), x))


def test_a_real_lstm_of_flax_has_its_memory_cell_first():
    linen = pytest.importorskip("flax.linen")
    params, (h, c), x, expected = an_lstm_step()
    weights = {"params": convert.lstm_to_linen(params)}
    (cell, hidden), _ = linen.LSTMCell(N).apply(weights, (c, h), x)
    assert_close((hidden, cell), expected, 1e-6)


def test_a_real_lstm_of_torch_has_its_output_first():
    torch = pytest.importorskip("torch")
    params, state, x, expected = an_lstm_step()
    module = torch.nn.LSTMCell(INPUTS, N)
    weights = convert.lstm_cell_to_torch(params)
    module.load_state_dict({name: torch.tensor(array) for name, array in weights.items()})
    found = module(torch.tensor(x), tuple(map(torch.tensor, state)))
    assert_close(tuple(part.detach().numpy() for part in found), expected, 1e-6)


H, E, D, K = 2, 3, 6, 5  # Sizes that every library can hold; D is H * E.
T, S = 7, 4


def draw_heads(bias=True, h=H, g=H, e=E, u=E, q=D, k=K, v=K, d=D):
    normal: Any = np.random.default_rng(3).standard_normal
    weights = map(normal, ((h, e, q), (g, e, k), (g, u, v), (d, h, u)))
    return MultiHeadParams(
        *weights, *(map(normal, ((h, e), (g, e), (g, u), d)) if bias else [None] * 4)
    )


def attend(query, key, value):
    """Arrays of `s h e`, scaled and attended to head by head."""
    scores = np.einsum("the,she->hts", query, key) / np.sqrt(query.shape[-1])
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    return np.einsum("hts,she->the", weights, value)


def torch_attention(w, query, key):
    q_b, k_b, v_b = np.split(w["in_proj_bias"], 3)
    projections = (w[f"{part}_proj_weight"].T for part in "qkv")
    q, k, v = (
        (x @ projection + bias).reshape(-1, H, E)
        for x, projection, bias in zip((query, key, key), projections, (q_b, k_b, v_b), strict=True)
    )
    return attend(q, k, v).reshape(-1, D) @ w["out_proj.weight"].T + w["out_proj.bias"]


def kernels_attention(out):
    def attention(w, query, key):
        project = lambda x, part: np.einsum("sf,fhe->she", x, part["kernel"]) + part["bias"]
        attended = attend(*(project(x, w[p]) for x, p in
                            ((query, "query"), (key, "key"), (key, "value"))))  # fmt: skip
        return np.einsum("the,hed->td", attended, w[out]["kernel"]) + w[out]["bias"]

    return attention


def equinox_attention(w, query, key):
    linear = lambda x, part: x @ w[f"{part}_proj"]["weight"].T + w[f"{part}_proj"]["bias"]
    heads = (linear(x, part) for x, part in ((query, "query"), (key, "key"), (key, "value")))
    return linear(attend(*(x.reshape(-1, H, E) for x in heads)).reshape(-1, D), "output")


def haiku_attention(w, query, key):
    linear = lambda x, part: x @ w[part]["w"] + w[part]["b"]
    heads = (linear(x, part) for x, part in ((query, "query"), (key, "key"), (key, "value")))
    return linear(attend(*(x.reshape(-1, H, E) for x in heads)).reshape(-1, D), "linear")


def onnx_attention(w, query, key):
    linear = lambda x, part: x @ w[f"{part}_weight"] + w[f"{part}_bias"]
    heads = (linear(x, part) for x, part in ((query, "query"), (key, "key"), (key, "value")))
    return linear(attend(*(x.reshape(-1, H, E) for x in heads)).reshape(-1, D), "output")


ATTENTIONS = {  # With what reading needs to be told, since matrices do not show it.
    "torch": (torch_attention, {"heads": H}),
    "keras": (kernels_attention("attention_output"), {}),
    "linen": (kernels_attention("out"), {}),
    "nnx": (kernels_attention("out"), {}),
    "equinox": (equinox_attention, {"heads": H}),
    "haiku": (haiku_attention, {"heads": H}),
    "onnx": (onnx_attention, {"heads": H}),
}
attention = jax.jit(
    lambda params, query, key: jattn.multi_head_attention(params, query, key, key)[0]
)


@pytest.mark.parametrize("library", ATTENTIONS)
def test_heads_compute_the_same_in_the_equations_of_their_library(library):
    of_library, told = ATTENTIONS[library]
    normal = np.random.default_rng(4).standard_normal
    params, query, key = draw_heads(), normal((T, D)), normal((S, K))
    weights = named("multi_head", "to", library)(params)
    read = lambda weights: named("multi_head", "from", library)(weights, **told)
    assert_close(of_library(weights, query, key), attention(params, query, key), 1e-13, library)
    same_bits(read(weights), params)
    theirs = redrawn(weights)
    assert_close(attention(read(theirs), query, key), of_library(theirs, query, key), 1e-13)
    same_bits(named("multi_head", "to", library)(read(theirs)), theirs)
    bare = draw_heads(bias=False)
    same_bits(read(named("multi_head", "to", library)(bare)), bare)


@pytest.mark.parametrize(
    ("library", "sizes", "told"),
    [
        ("torch", {"k": D, "v": D}, {"heads": H}),
        ("keras", {"u": 11, "q": 7, "v": 13, "d": 17}, {}),
        ("keras", {"h": 6, "g": 3}, {}),
        ("linen", {"e": 7, "u": 7, "q": 11, "v": 13, "d": 17}, {}),
        ("nnx", {"h": 6, "g": 3, "q": 7, "d": 17}, {}),
        ("equinox", {"u": 11, "q": 7, "v": 13, "d": 17}, {"heads": H}),
        ("haiku", {"u": 11, "q": 7, "v": 13, "d": 17}, {"heads": H}),
        ("onnx", {"h": 6, "g": 3, "u": 11, "v": 13}, {"heads": 6, "key_value_heads": 3}),
    ],
)
def test_other_sizes_come_back(library, sizes, told):
    params = draw_heads(**sizes)
    weights = named("multi_head", "to", library)(params)
    same_bits(named("multi_head", "from", library)(weights, **told), params)


def test_bits_survive_and_nothing_is_shared():
    """A sum with zero keeps -0.0; arrays of JAX become arrays of NumPy that can be written to."""
    params = jax.tree.map(lambda x: np.full_like(x, -0.0, np.float32), draw_gru())
    params.hidden_bias[:2] = 0.0
    weights = convert.gru_to_linen(params)
    assert np.signbit(weights["ir"]["bias"]).all()
    assert weights["ir"]["bias"].dtype == np.float32
    half = jax.tree.map(lambda x: jax.numpy.asarray(x, "bfloat16"), draw_gru())
    weights = convert.gru_to_torch(half)
    assert weights["weight_ih_l0"].dtype == half.input_weight.dtype
    weights["weight_ih_l0"][:] = 0


def test_biases_that_a_library_has_together_are_zero_where_missing():
    params = draw_heads()._replace(key_bias=None)
    weights = convert.multi_head_to_linen(params)
    assert not weights["key"]["bias"].any()
    assert "bias" not in convert.multi_head_to_equinox(params)["key_proj"]
    without = {"weight_ih_l0": np.ones((3 * N, INPUTS)), "weight_hh_l0": np.ones((3 * N, N))}
    assert not convert.gru_from_torch(without).hidden_bias.any()


BOTH = BidirectionalGRUParams(draw_gru(), draw_gru())
REFUSALS = {
    "gru_to_haiku: cell is gru_cell, which resets after the product; haiku.GRU resets before": (
        lambda: convert.gru_to_haiku(draw_gru())
    ),
    "gru_from_torch: cell is reset_before_gru_cell, which resets before the product; torch.nn.G": (
        lambda: convert.gru_from_torch({}, cell=BEFORE)
    ),
    "gru_to_keras: cell is sigmoid, expected gru_cell or reset_before_gru_cell": (
        lambda: convert.gru_to_keras(draw_gru(), cell=sigmoid)  # type: ignore[arg-type]
    ),
    "gru_to_nnx: hidden_bias[2] is not zero; flax.nnx.GRUCell has no bias inside": (
        lambda: convert.gru_to_nnx(draw_gru())
    ),
    "bidirectional_gru_to_nnx: hidden_bias[2] is not zero": (
        lambda: convert.bidirectional_gru_to_nnx(BOTH)
    ),
    "gru_from_keras: bias has shape (2, 15), expected (3*n) with n=5": (
        lambda: convert.gru_from_keras(convert.gru_to_keras(draw_gru()), cell=BEFORE)
    ),
    "gru_to_onnx: params is a BidirectionalGRUParams, expected GRUParams": (
        lambda: convert.gru_to_onnx(BOTH)  # type: ignore[arg-type]
    ),
    "bidirectional_gru_to_torch: params is a GRUParams, expected BidirectionalGRUParams": (
        lambda: convert.bidirectional_gru_to_torch(draw_gru())  # type: ignore[arg-type]
    ),
    "bidirectional_gru_to_keras: input_weight has shape (3, 5, 4), expected (3, n, i) with n=5": (
        lambda: convert.bidirectional_gru_to_keras(BOTH._replace(backward=draw_gru("", 4)))
    ),
    "lstm_to_keras: params is a GRUParams, expected LSTMParams": (
        lambda: convert.lstm_to_keras(draw_gru())  # type: ignore[arg-type]
    ),
    "lstm_from_haiku: linear/w has shape (3, 20), expected rows of 5 units too": (
        lambda: convert.lstm_from_haiku({"linear": {"w": np.ones((3, 20)), "b": np.ones(20)}})
    ),
    "bidirectional_lstm_to_torch: params is a BidirectionalGRUParams, expected Bidirectional": (
        lambda: convert.bidirectional_lstm_to_torch(BOTH)  # type: ignore[arg-type]
    ),
    "bidirectional_gru_from_linen: has forward_rnn, expected forward_rnn/cell, backward_rnn/cell": (
        lambda: convert.bidirectional_gru_from_linen({"forward_rnn": {"cell": {}}})
    ),
    "stacked_gru_to_torch: layers[1] is a BidirectionalGRUParams and layers[0] a GRUParams": (
        lambda: convert.stacked_gru_to_torch([draw_gru(), BOTH])
    ),
    "stacked_gru_to_torch: weight_ih_l1 has shape (15, 4), expected (3*n, 1*n) with n=5": (
        lambda: convert.stacked_gru_to_torch([draw_gru(), draw_gru("", 4)])
    ),
    "gru_from_torch: weight_ih_l1 is unknown": (
        lambda: convert.gru_from_torch(
            convert.stacked_gru_to_torch([draw_gru(), draw_gru("", N)])
        )
    ),
    "gru_from_equinox: weight_hh is missing": (
        lambda: convert.gru_from_equinox({"weight_ih": np.ones((3 * N, INPUTS))})
    ),
    "multi_head_to_torch: heads of queries and of keys are 6 and 3; torch.nn.MultiheadAttention": (
        lambda: convert.multi_head_to_torch(draw_heads(h=6, g=3, q=18, d=18))
    ),
    "multi_head_to_torch: features of all heads together and of queries are 6 and 7": (
        lambda: convert.multi_head_to_torch(draw_heads(q=7, d=7))
    ),
    "multi_head_to_linen: features of a head's keys and values are 3 and 5": (
        lambda: convert.multi_head_to_linen(draw_heads(u=5))
    ),
    "multi_head_to_nnx: features of keys and values are 5 and 7": (
        lambda: convert.multi_head_to_nnx(draw_heads(v=7))
    ),
    "multi_head_to_keras: features of a head's keys and values are 3 and 5; keras.layers.GroupQ": (
        lambda: convert.multi_head_to_keras(draw_heads(h=6, g=3, u=5))
    ),
    "multi_head_from_torch: bias_k is unknown": (
        lambda: convert.multi_head_from_torch(
            convert.multi_head_to_torch(draw_heads()) | {"bias_k": np.ones((1, 1, D))}, heads=H
        )
    ),
    "multi_head_from_haiku: query/w has shape (6, 6), expected (q, h*e) with h=4": (
        lambda: convert.multi_head_from_haiku(convert.multi_head_to_haiku(draw_heads()), heads=4)
    ),
    "gru_from_haiku: weights is a list, expected a dict": (
        lambda: convert.gru_from_haiku([], cell=BEFORE)  # type: ignore[arg-type]
    ),
}  # fmt: skip


@pytest.mark.parametrize("message", REFUSALS)
def test_what_cannot_be_held_is_refused_by_name(message):
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        REFUSALS[message]()


HEADS = convert.multi_head_to_torch(jattn.init_multi_head(jax.random.key(0), heads=2, query_size=6))
wrong: Any = convert  # Of the type checker it asks nothing.
WHOLE = {name: np.ones((6, 6), int) for name in ("weight_ih_l0", "weight_hh_l0")}
NO_WEIGHTS = {
    "multi_head_from_torch: heads is 0, expected an integer of at least 1": (
        lambda: convert.multi_head_from_torch(HEADS, heads=0)
    ),
    "multi_head_from_torch: heads is '2', expected an integer of at least 1": (
        lambda: wrong.multi_head_from_torch(HEADS, heads="2")
    ),
    "multi_head_from_torch: weights is a NoneType, expected a dict": (
        lambda: wrong.multi_head_from_torch(None, heads=2)
    ),
    "stacked_gru_from_torch: weights is a int, expected a dict": (
        lambda: wrong.stacked_gru_from_torch(3)
    ),
    "bidirectional_gru_from_keras: weights is a list, expected a dict": (
        lambda: wrong.bidirectional_gru_from_keras([])
    ),
    "stacked_gru_to_torch: layers is [], expected at least one layer": (
        lambda: convert.stacked_gru_to_torch([])
    ),
    "gru_from_torch: weight_ih_l0 has dtype int64, expected a floating-point dtype": (
        lambda: convert.gru_from_torch(WHOLE)
    ),
    "gru_from_torch: weight_ih_l0 has dtype |V2, expected a floating-point dtype": (
        lambda: convert.gru_from_torch({name: x.astype("V2") for name, x in WHOLE.items()})
    ),
    "gru_from_torch: weight_ih_l0 has dtype int4, expected a floating-point dtype": (
        lambda: convert.gru_from_torch({name: x.astype("int4") for name, x in WHOLE.items()})
    ),
    "gru_from_torch: weight_ih_l0 has dtype float8_e4m3fn, expected a floating-point dtype of at": (
        lambda: convert.gru_from_torch(
            {name: x.astype("float8_e4m3fn") for name, x in WHOLE.items()}
        )
    ),
    "gru_from_torch: weight_ih_l0 has dtype complex64, expected a floating-point dtype": (
        lambda: convert.gru_from_torch({name: x.astype("complex64") for name, x in WHOLE.items()})
    ),
    "gru_from_torch: weight_ih_l0 is a list, expected an array": (
        lambda: convert.gru_from_torch({"weight_ih_l0": [[1.0], [1.0, 2.0]]})
    ),
    "gru_from_torch: no name begins with 'rnn.' (prefix), weights has weight_ih_l0, weight_hh_l0": (
        lambda: convert.gru_from_torch(WHOLE, prefix="rnn.")
    ),
    "gru_from_torch: prefix is 3, expected a string": (
        lambda: wrong.gru_from_torch(WHOLE, prefix=3)
    ),
    "stacked_gru_from_keras: weights is a dict, expected a dict for each layer": (
        lambda: wrong.stacked_gru_from_keras({})
    ),
    "stacked_gru_to_onnx: layers[1] has input size 3, expected 5, the size of the outputs of": (
        lambda: convert.stacked_gru_to_onnx([draw_gru(), draw_gru()])
    ),
}


@pytest.mark.parametrize("message", NO_WEIGHTS)
def test_what_holds_no_weights_is_refused_by_name(message):
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        NO_WEIGHTS[message]()


def test_the_update_gate_of_haiku_is_the_complement():
    params = draw_gru()
    weights = convert.gru_to_haiku(params, cell=BEFORE)
    update = weights["w_i"][:, :N].T  # Haiku stacks update, reset, candidate.
    same_bits(update, -params.input_weight[1])
    same_bits(weights["w_i"][:, N : 2 * N].T, params.input_weight[0])


def test_a_cell_of_torch_has_names_without_a_layer():
    params = draw_gru()
    weights = convert.gru_cell_to_torch(params)
    assert list(weights) == ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]
    same_bits(convert.gru_cell_from_torch(weights), params)
    same_bits(weights, {name[:-3]: array for name, array in convert.gru_to_torch(params).items()})


def test_a_prefix_selects_a_module_of_a_state_dict():
    gru, heads = draw_gru(), draw_heads()
    state = {f"encoder.rnn.{name}": x for name, x in convert.gru_to_torch(gru).items()}
    state |= {f"encoder.attn.{name}": x for name, x in convert.multi_head_to_torch(heads).items()}
    state["decoder.weight"] = np.ones((2, 2), int)
    same_bits(convert.gru_from_torch(state, prefix="encoder.rnn."), gru)
    same_bits(convert.stacked_gru_from_torch(state, prefix="encoder.rnn."), (gru,))
    same_bits(convert.multi_head_from_torch(state, heads=H, prefix="encoder.attn."), heads)
    cell = {f"cell.{name}": x for name, x in convert.gru_cell_to_torch(gru).items()}
    same_bits(convert.gru_cell_from_torch(cell, prefix="cell."), gru)


@pytest.mark.parametrize("library", ["keras", "onnx"])
@pytest.mark.parametrize("both", [False, True])
def test_layers_of_keras_and_onnx_are_a_dict_each(library, both):
    sizes = (INPUTS, 2 * N if both else N)
    layers: Any = tuple(
        BidirectionalGRUParams(draw_gru("", size, 2 * k), draw_gru("", size, 2 * k + 1))
        if both
        else draw_gru("", size, k)
        for k, size in enumerate(sizes)
    )
    weights = named("stacked_gru", "to", library)(layers)
    one = named("bidirectional_gru" if both else "gru", "to", library)
    for layer, actual in zip(layers, weights, strict=True):
        same_bits(actual, one(layer))
    same_bits(named("stacked_gru", "from", library)(weights), layers)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", ">f4"])
def test_dtypes_of_floating_point_are_read(dtype):
    weights = convert.gru_to_torch(draw_gru())
    half = {name: array.astype(dtype) for name, array in weights.items()}
    read = convert.gru_from_torch(half)
    assert read.input_weight.dtype == np.dtype(dtype).newbyteorder("=")
    assert_close(
        np.float64(read.input_bias), np.float64(half["bias_ih_l0"].reshape(3, N)), 0.0, dtype
    )


class Tensor:
    """A tensor as PyTorch has it: no array protocol for bfloat16, and a graph to leave."""

    __module__ = "torch"

    def __init__(self, array, dtype, attached=True):
        self.array, self.dtype, self.attached = array, dtype, attached

    def detach(self):
        return Tensor(self.array, self.dtype, attached=False)

    def cpu(self):
        return self

    def float(self):
        return Tensor(self.array.astype("float32"), "torch.float32", attached=False)

    def numpy(self):
        if self.attached or self.dtype == "torch.bfloat16":
            raise TypeError("Got unsupported ScalarType BFloat16")
        return self.array


def test_tensors_of_torch_are_read_in_bfloat16_too():
    weights = convert.gru_to_torch(draw_gru())
    half = {name: array.astype("bfloat16") for name, array in weights.items()}
    tensors = {name: Tensor(array, "torch.bfloat16") for name, array in half.items()}
    same_bits(convert.gru_from_torch(tensors), convert.gru_from_torch(half))
    tensors = {name: Tensor(array, "torch.float64") for name, array in weights.items()}
    same_bits(convert.gru_from_torch(tensors), draw_gru())


def test_real_modules_of_torch_are_read():
    torch = pytest.importorskip("torch")
    for dtype in (torch.float32, torch.bfloat16):
        module = torch.nn.GRUCell(INPUTS, N).to(dtype)
        x, h = torch.randn(1, INPUTS, dtype=dtype), torch.randn(1, N, dtype=dtype)
        params = convert.gru_cell_from_torch(module.state_dict())
        expected = module(x, h)[0].detach().float().numpy()
        state, inputs = (
            jax.numpy.asarray(tensor[0].float().numpy(), params.input_weight.dtype)
            for tensor in (h, x)
        )
        actual = jattn.gru_cell(params, state, inputs)
        bound = 1e-6 if dtype is torch.float32 else 2e-2
        assert_close(np.asarray(actual, "float32"), expected, bound, str(dtype))
