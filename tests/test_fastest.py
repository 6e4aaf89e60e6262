# pyright: reportArgumentType=false, reportCallIssue=false
"""`implementation="fastest"`: what is chosen and why, and that every derivative remains."""

import functools
import importlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from jax.experimental import jet

import jattn
from jattn import engine, masks, testing
from jattn.engine import fastest, kernels
from jattn.testing.trees import draw_like

B, T, S, H, G, K = 2, 6, 6, 4, 2, 8
DRAWN = draw_like(tuple(map(np.zeros, ((B, T, H, K), (B, S, G, K), (B, S, G, K)))), 0)
HIDDEN = np.random.default_rng(1).random((T, S)) < 0.6
HIDDEN[2] = False
HIDDEN[:, 4] = False
LENGTHS = np.array([0, 4])


def drawn(dtype="float32"):
    return [jnp.asarray(array, dtype) for array in DRAWN]


def by(name, *arrays, **options):
    return jattn.dot_product_attention(*arrays, implementation=name, **options)


@pytest.fixture
def runs(monkeypatch):
    """Both kernels at hand, in float32 too: JAX's own code with a backward pass by `custom_vjp`.

    Returns what was run: the name of a kernel, or `backward`, and what it was told.
    """
    jax.clear_caches()  # Or a kernel that was traced before is not called again.
    seen: list[Any] = []
    of_jax = functools.partial(jax.nn.dot_product_attention, implementation="xla")

    def kernel_of(name):
        def kernel(query, key, value, bias, mask, **options):
            told = {n: x for n, x in options.items() if x is not None and x is not False}
            told = {n: getattr(x, "shape", x) for n, x in told.items()}
            cap = options.pop("logits_soft_cap", None)
            assert cap is None

            @jax.custom_vjp
            def attend(query, key, value, bias):
                seen.append((name, told | ({} if mask is None else {"mask": mask.shape})))
                return of_jax(query, key, value, bias, mask, **options)

            def backward(arrays, cotangent):
                seen.append(("backward", {}))
                plain = lambda *arrays: of_jax(*arrays, mask, **options)
                with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
                    return jax.vjp(plain, *arrays)[1](cotangent)

            forward = lambda *arrays: (attend(*arrays), arrays)
            attend.defvjp(forward, backward)
            return attend(query, key, value, bias)

        return kernel

    monkeypatch.setattr(kernels, "_kernel", kernel_of)
    monkeypatch.setattr(fastest, "absence", lambda kernel: "")
    every = ("bfloat16", "float16", "float32")
    monkeypatch.setattr(fastest, "HALF", every)
    monkeypatch.setitem(kernels.DTYPES, "cudnn", every)
    return seen


CASES: dict[str, tuple[dict[str, Any], str, dict[str, Any]]] = {
    "plain": ({}, "cudnn", {}),
    "causal": ({"is_causal": True, "scale": 0.5}, "cudnn", {"is_causal": True, "scale": 0.5}),
    "causal mask": ({"mask": masks.causal()}, "cudnn", {"is_causal": True}),
    "window": (
        {"mask": masks.window(2, 0)},
        "cudnn",
        {"is_causal": True, "local_window_size": (2, 0)},
    ),
    "causal and lengths": (
        {"mask": masks.causal() & masks.lengths(4, 5), "key_value_seq_lengths": LENGTHS},
        "cudnn",
        {"is_causal": True, "key_value_seq_lengths": (B,)},
    ),
    "window ahead": (
        {"mask": masks.window(1, 2)},
        "tokamax",
        {"local_window_size": (1, 2)},
    ),
    "array": ({"mask": HIDDEN}, "tokamax", {"mask": (B, 1, T, S)}),
    "array and causal": (
        {"mask": HIDDEN[None, None], "is_causal": True},
        "tokamax",
        {"mask": (B, 1, T, S), "is_causal": True},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_structure_of_masks_reaches_the_kernel(runs, name):
    options, kernel, told = CASES[name]
    arrays = drawn()
    output = by("fastest", *arrays, **options)
    assert runs == [(kernel, told)]
    testing.assert_close(output, by(None, *arrays, **options), 2e-6)
    assert str(engine.plan(*arrays, implementation="fastest", **options)).startswith(f"{kernel}: ")


@pytest.mark.parametrize("name", CASES)
def test_M1_C1_rows_without_keys_are_zero_and_hidden_keys_have_no_effect(runs, name):
    options = CASES[name][0]
    arrays = drawn()
    weights = jattn.dot_product_attention(*arrays, return_weights=True, **options)[1]
    hidden = ~np.asarray(weights.reshape(B, G, -1, S).any(2)).swapaxes(1, 2)[..., None]
    arrays[1:] = [jnp.where(hidden, jnp.nan, x) for x in arrays[1:]]
    attend = functools.partial(by, **options)
    cotangent = np.ones((B, T, H, K), np.float32)
    results = [
        jax.jit(
            lambda *arrays, name=name: pulled(functools.partial(attend, name), arrays, cotangent)
        )(*arrays)
        for name in ("fastest", None)
    ]
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(results[0]))
    testing.assert_close(*results, 1e-5)


def pulled(function, arrays, cotangent):
    output, pullback = jax.vjp(function, *arrays)
    return output, pullback(cotangent)


DIRECTION = draw_like(tuple(DRAWN), 3)
DERIVATIVES = {
    "vjp": lambda f: lambda x, d: jax.vjp(f, *x)[1](f(*x)),
    "jvp": lambda f: lambda x, d: jax.jvp(f, x, d),
    "jvp of vjp": lambda f: lambda x, d: jax.jvp(jax.grad(loss_of(f), (0, 1, 2)), x, d),
    "vjp of vjp": lambda f: lambda x, d: jax.grad(slope_of(jax.grad(loss_of(f), (0, 1, 2)), d))(x),
    "vjp of jvp": lambda f: lambda x, d: jax.grad(lambda x: jax.jvp(loss_of(f), x, d)[1])(x),
    "jvp of jvp": lambda f: lambda x, d: jax.jvp(lambda *x: jax.jvp(f, x, d)[1], x, d),
    "vmap of grad": lambda f: lambda x, d: jax.vmap(jax.grad(loss_of(f), (0, 1, 2)))(*x),
    "grad of vmap": lambda f: lambda x, d: jax.grad(loss_of(jax.vmap(f)), (0, 1, 2))(*x),
    "grad of vmap, keys of all": lambda f: (
        lambda x, d: jax.grad(loss_of(jax.vmap(f, (0, None, None))), (0, 1, 2))(
            x[0], x[1][0], x[2][0]
        )
    ),
    "many cotangents": lambda f: (
        lambda x, d: jax.vmap(jax.vjp(f, *x)[1])(jnp.stack([f(*x), 2 * f(*x)]))
    ),
    "many directions": lambda f: (
        lambda x, d: jax.vmap(lambda n: jax.jvp(f, x, scaled(d, n))[1])(
            jnp.arange(3.0, dtype=x[0].dtype)
        )
    ),
    "transpose of many directions": lambda f: (
        lambda x, d: jax.grad(
            lambda d: jax.vmap(lambda n: jax.jvp(f, x, scaled(d, n))[1])(
                jnp.arange(3.0, dtype=x[0].dtype)
            ).sum()
        )(d)
    ),
    "Taylor": lambda f: lambda x, d: jet.jet(f, x, [[y, jnp.zeros_like(y)] for y in d]),
}


def scaled(tree, factor):
    return jax.tree.map(lambda x: factor * x, tree)


def loss_of(function):
    return lambda *arrays: (function(*arrays) ** 2).sum()


def slope_of(gradient, direction):
    return lambda arrays: sum(
        (g * d).sum() for g, d in zip(gradient(*arrays), direction, strict=True)
    )


# `jet` has no rule for an array of booleans, in jattn's own code either.
DERIVED = [(case, name) for case in ("causal", "array") for name in DERIVATIVES]
DERIVED.remove(("array", "Taylor"))


@pytest.mark.parametrize(("case", "name"), DERIVED)
def test_G3_every_derivative_of_a_kernel_is_that_of_the_engine(runs, name, case):
    arrays, direction = tuple(drawn()), tuple(jnp.asarray(x, "float32") for x in DIRECTION)
    results = []
    for implementation in ("fastest", None):
        attend = functools.partial(by, implementation, **CASES[case][0])
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            results.append(jax.jit(DERIVATIVES[name](attend))(arrays, direction))
    assert runs or name == "Taylor"
    testing.assert_close(*results, 2e-5)


def test_the_kernel_runs_for_the_value_and_the_gradient_alone(runs):
    arrays = drawn()
    attend = functools.partial(by, "fastest", is_causal=True)
    jax.make_jaxpr(attend)(*arrays)
    assert [name for name, _ in runs] == ["cudnn"]
    jax.clear_caches()
    runs.clear()
    jax.make_jaxpr(jax.grad(loss_of(attend), (0, 1, 2)))(*arrays)
    assert [name for name, _ in runs].count("backward") == 1
    jax.clear_caches()
    runs.clear()
    jax.make_jaxpr(lambda *x: jax.jvp(attend, x, x))(*arrays)
    assert {name for name, _ in runs} == {"cudnn"}


def test_a_kernel_alone_has_no_forward_mode(runs):
    """Guards the guard: the kernels of these tests refuse what those of other libraries refuse."""
    arrays = tuple(drawn())
    attend = functools.partial(by, "cudnn")
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jvp(attend, arrays, arrays)


def test_calls_of_the_same_shapes_compile_once(runs):
    arrays = drawn()
    for lengths in ([3, 4], [5, 6]):
        by("fastest", *arrays, key_value_seq_lengths=np.array(lengths), is_causal=True)
    assert [name for name, _ in runs] == ["cudnn"]


OWN: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "sinks": ({"sinks": np.zeros(H)}, {"cudnn": "sinks: it has none", "tokamax": "sinks: it has"}),
    "lse": ({"return_residual": True}, {"cudnn": "return_residual", "tokamax": "return_residual"}),
    "offset": ({"query_offset": 1}, {"cudnn": "query_offset", "tokamax": "query_offset"}),
    "pattern": (
        {"mask": masks.dilated(2)},
        {"cudnn": "the masks: it would need an array of all pairs", "tokamax": "the masks"},
    ),
    "segments": (
        {"mask": masks.segments(np.array([0, 0, 1, 1, 1, 2]))},
        {"cudnn": "the masks", "tokamax": "the masks"},
    ),
    "window of some keys": (
        {"local_window_size": (2, 0), "key_value_seq_lengths": LENGTHS},
        {"cudnn": "the masks", "tokamax": "the masks"},
    ),
    "cap and bias": (
        {"logits_soft_cap": 2.0, "bias": np.zeros((T, S), "float32")},
        {"cudnn": "logits_soft_cap", "tokamax": "logits_soft_cap: it caps scores after the bias"},
    ),
}


@pytest.mark.parametrize("name", OWN)
def test_what_no_kernel_does_exactly_is_computed_by_jattn(runs, name):
    options, reasons = OWN[name]
    arrays = drawn()
    output = by("fastest", *arrays, **options)
    for found, wanted in zip(
        jax.tree.leaves(output), jax.tree.leaves(by(None, *arrays, **options)), strict=True
    ):
        np.testing.assert_array_equal(found, wanted)
    assert runs == []
    printed = str(engine.plan(*arrays, implementation="fastest", **options)).splitlines()
    assert "fastest: jattn" in printed
    for kernel, why in reasons.items():
        assert any(line.startswith(f"  not {kernel}: {why}") for line in printed), printed


def test_what_cudnn_would_round_goes_to_tokamax(runs):
    arrays = drawn()
    for options, why in (
        ({"bias": np.zeros((T, S), "float32")}, "mask as an array, or bias: it adds them"),
        ({"mask": HIDDEN}, "mask as an array, or bias: it adds them"),
    ):
        notes = engine.plan(*arrays, implementation="fastest", **options).notes
        assert notes.startswith(f"fastest: tokamax\n  not cudnn: {why}")
    odd = [x[..., :7] for x in arrays]
    notes = engine.plan(*odd, implementation="fastest").notes
    assert "not cudnn: heads of 7, expected multiples of 8 up to 128" in notes


def test_sizes_and_shardings_that_a_kernel_does_not_know_stay_with_jattn(runs):
    mesh = jax.make_mesh((1,), ("x",), axis_types=(jax.sharding.AxisType.Explicit,))
    placed = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("x"))
    sharded = [jax.device_put(x, placed) for x in drawn()]
    sizes = export.symbolic_shape(f"b, {T}, {H}, {K}")
    symbolic = [jax.ShapeDtypeStruct((*sizes[:2], heads, K), "float32") for heads in (H, G, G)]
    none = [x[:, :0] for x in drawn()]
    for arrays, why in (
        (sharded, "arrays are sharded by their types"),
        (symbolic, "sizes are symbolic or zero"),
        (none, "sizes are symbolic or zero"),
    ):
        plan = engine.plan(*arrays, implementation="fastest", local_window_size=(1, 0))
        for kernel in ("cudnn", "tokamax"):
            assert f"not {kernel}: {why}" in plan.notes
    by("fastest", *sharded)
    assert runs == []


def test_float32_stays_with_jattn(runs, monkeypatch):
    monkeypatch.setattr(fastest, "HALF", ("bfloat16", "float16"))
    notes = engine.plan(*drawn(), implementation="fastest").notes
    assert notes.startswith("fastest: jattn\n")
    assert "float32: it rounds products to TF32 or bfloat16" in notes
    assert engine.plan(*drawn("bfloat16"), implementation="fastest").name == "cudnn"


def test_a_tpu_kernel_gets_causal_masks_alone(runs, monkeypatch):
    monkeypatch.setattr(fastest, "KERNELS", ("tokamax",))
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    plan = functools.partial(engine.plan, implementation="fastest")
    arrays, why = drawn("bfloat16"), "on a TPU its kernel takes bfloat16 and causal masks alone"
    assert plan(*arrays, is_causal=True).name == plan(*arrays).name == "tokamax"
    for options in ({"mask": HIDDEN}, {"local_window_size": 1}, {"key_value_seq_lengths": LENGTHS}):
        assert f"not tokamax: {why}" in plan(*arrays, **options).notes
    assert f"not tokamax: {why}" in plan(*drawn("float16")).notes


def test_a_cpu_has_no_kernel():
    arrays = drawn("bfloat16")
    notes = engine.plan(*arrays, implementation="fastest", is_causal=True).notes
    assert notes.splitlines() == [
        "fastest: jattn",
        "  not cudnn: the backend is cpu, expected an NVIDIA GPU",
        "  not tokamax: the backend is cpu, expected gpu or tpu",
    ]
    np.testing.assert_array_equal(
        by("fastest", *arrays, is_causal=True), by(None, *arrays, is_causal=True)
    )


def test_what_is_exported_from_a_cpu_is_jattns_own():
    """The choice is that of the process which traces, and runs on every platform."""
    shapes = [jax.ShapeDtypeStruct(x.shape, "bfloat16") for x in DRAWN]
    modules = [
        export.export(jax.jit(functools.partial(by, name)), platforms=["cuda"])(
            *shapes
        ).mlir_module()
        for name in ("fastest", None)
    ]
    assert "custom_call" not in modules[0]
    assert modules[0].count("dot_general") == modules[1].count("dot_general")


class Device:
    device_kind, compute_capability = "NVIDIA H100", "9.0"


def test_kernels_are_absent_by_backend_and_device(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(jax, "devices", lambda: [Device()])
    monkeypatch.setattr(fastest.importlib.util, "find_spec", lambda name: None)
    assert fastest.absence("cudnn") == ""
    assert fastest.absence("tokamax") == "it is not installed, see the extra `jattn[kernels]`"
    monkeypatch.setattr(fastest.importlib.util, "find_spec", lambda name: object())
    assert fastest.absence("tokamax") == ""
    monkeypatch.setattr(jax, "device_count", lambda: 4)
    assert fastest.absence("tokamax") == "there are 4 devices"
    monkeypatch.setattr(Device, "compute_capability", "7.5")
    assert fastest.absence("cudnn") == "the GPU has capability 7.5"
    monkeypatch.setattr(Device, "device_kind", "AMD Instinct")
    assert "expected an NVIDIA GPU" in fastest.absence("cudnn")


@pytest.mark.parametrize("name", ["vjp", "jvp", "jvp of vjp", "vmap of grad"])
def test_G3_derivatives_of_tokamax_are_those_of_the_engine(monkeypatch, name):
    """Tokamax itself, on a CPU."""
    pytest.importorskip("tokamax", reason="no tokamax: install the extra `kernels`")
    importlib.import_module("absl.flags").FLAGS.mark_as_parsed()
    monkeypatch.setattr(fastest, "absence", lambda kernel: "" if kernel == "tokamax" else "none")
    monkeypatch.setattr(fastest, "HALF", ("float32",))
    arrays, direction = tuple(drawn()), tuple(jnp.asarray(x, "float32") for x in DIRECTION)
    results = [
        jax.jit(DERIVATIVES[name](functools.partial(by, implementation, mask=HIDDEN)))(
            arrays, direction
        )
        for implementation in ("fastest", None)
    ]
    assert engine.plan(*arrays, implementation="fastest", mask=HIDDEN).name == "tokamax"
    testing.assert_close(*results, 5e-5)
