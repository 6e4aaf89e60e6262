"""Lowered modules of each platform: loops, the largest array, and the dtypes of products."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

import jattn
from jattn import engine
from jattn.engine.schedule import Loops

B, T, H, G, K = 3, 1024, 4, 2, 32
SHAPES = [jax.ShapeDtypeStruct((B, T, heads, K), "float32") for heads in (H, G, G)]
OPTIONS = {"plain": {}, "causal": {"is_causal": True}, "window": {"local_window_size": (100, 0)}}
WHILE = re.compile(r"stablehlo\.while")
TENSOR = re.compile(r"tensor<((?:\d+x)+)[fb]")
PRODUCT = re.compile(r"stablehlo\.dot_general.*?-> tensor<[\dx]*x?(\w+)>")


def looped(problem):
    """Small blocks, and loops over all heads where a plan may have any."""
    plan = engine.grouped(problem._replace(chunk_size=128))
    loops = Loops(problem.may_loop, problem.may_loop)
    return engine.Plan(plan.name, plan.problem, plan.runs, loops)


def attend(*arrays, **options):
    return jattn.dot_product_attention(*arrays, planner=looped, **options)


def loss(*arrays, **options):
    return (attend(*arrays, **options) ** 2).sum()


FUNCTIONS = {"forward": attend, "gradient": jax.grad(loss, (0, 1, 2))}


def lowered(platform, function, **options):
    """The module of a function for one platform, as text."""
    jitted = jax.jit(functools.partial(function, **options))
    return export.export(jitted, platforms=[platform])(*SHAPES).mlir_module()


def loops_over_blocks(options):
    """The runs of more than one block, which are loops on every platform."""
    elsewhere = lambda problem: looped(problem._replace(may_loop=False))
    plan = engine.plan(*SHAPES, planner=elsewhere, **options)
    return sum(run.count > 1 for run in plan.runs)


@pytest.mark.parametrize("kind", FUNCTIONS)
@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_accelerators_loop_over_blocks_of_queries_alone(platform, name, kind):
    module = lowered(platform, FUNCTIONS[kind], **OPTIONS[name])
    found, wanted = len(WHILE.findall(module)), loops_over_blocks(OPTIONS[name])
    print(f"{platform}, {name}, {kind}: {found} loops, all over blocks of queries")
    passes = {"forward": 1, "gradient": 3}[kind]  # Forward, what the way back keeps, and that.
    assert wanted <= found <= passes * wanted
    sizes = [np.prod([int(n) for n in shape.split("x")[:-1]]) for shape in TENSOR.findall(module)]
    assert max(sizes) < B * H * T * T / 2
    assert set(PRODUCT.findall(module)) == {"f32"}


def test_one_cpu_device_loops_over_heads_too():
    assert jax.device_count() == 1
    module = lowered("cpu", attend)
    assert len(WHILE.findall(module)) == loops_over_blocks({}) + 2


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_products_of_half_precision_are_in_float32(dtype):
    shapes = [jax.ShapeDtypeStruct(shape.shape, dtype) for shape in SHAPES]
    module = export.export(jax.jit(attend), platforms=["cuda"])(*shapes).mlir_module()
    assert set(PRODUCT.findall(module)) == {"f32"}


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_a_precision_that_is_asked_for_holds_for_every_product(kind):
    precise = lowered("cuda", FUNCTIONS[kind], is_causal=True, precision="BF16_BF16_F32")
    products = [line for line in precise.splitlines() if "stablehlo.dot_general" in line]
    assert products
    assert all("lhs_precision_type = bf16" in line for line in products)
    assert "lhs_precision_type" not in lowered("cuda", FUNCTIONS[kind], is_causal=True)


@pytest.mark.parametrize("precision", ["fast", 3, ["highest"]])
def test_a_precision_that_jax_does_not_know_is_refused(precision):
    with pytest.raises(ValueError, match=r"dot_product_attention: precision is .*expected one of"):
        attend(*[jnp.zeros(shape.shape) for shape in SHAPES], precision=precision)


@pytest.mark.parametrize("name", OPTIONS)
def test_the_way_changes_no_value(name):
    """Rounding apart: what one CPU device runs, and what all else does, on this one."""
    rng = np.random.default_rng(0)
    arrays = [jnp.asarray(rng.standard_normal((2, 37, heads, 5))) for heads in (H, G, G)]

    def value_and_gradient(may_loop):
        def planner(problem):
            plan = engine.grouped(problem._replace(chunk_size=8, may_loop=may_loop))
            return engine.Plan(plan.name, problem, plan.runs, Loops(may_loop, may_loop))

        def loss(*arrays):
            output = jattn.dot_product_attention(*arrays, planner=planner, **OPTIONS[name])
            return (output**2).sum()

        return jax.value_and_grad(loss, (0, 1, 2))(*arrays)

    jattn.testing.assert_close(value_and_gradient(True), value_and_gradient(False), 1e-13)


def test_lengths_of_jax_that_a_compiled_function_closes_over_are_known():
    arrays = [jnp.asarray(np.random.default_rng(1).standard_normal((2, 6, 2, 3)))] * 3
    lengths = jnp.array([2, 5], "int32")
    attend = functools.partial(jattn.dot_product_attention, key_value_seq_lengths=lengths)
    jattn.testing.assert_close(jax.jit(attend)(*arrays), attend(*arrays), 1e-13)
