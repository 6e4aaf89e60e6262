"""LoRA: no change at first; merged weights equal the product run beside the weights."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jattn import training
from jattn.testing import assert_close

SHAPES = {"matrix": (7, 5), "gates": (3, 7, 5), "query": (2, 3, 5), "output": (7, 2, 3)}
FORMS = {"matrix": "n i", "gates": "3 n i", "query": "(h e) q", "output": "d (h u)"}
# Of a vector x of the columns: the product of the weight, of `down`, and of `up` with the latter.
BESIDE = {
    "matrix": ("oi,i->o", "ri,i->r", "or,r->o"),
    "gates": ("goi,i->go", "gri,i->gr", "gor,gr->go"),
    "query": ("heq,q->he", "rq,q->r", "her,r->he"),
    "output": ("dhu,hu->d", "rhu,hu->r", "dr,r->d"),
}


def weights(dtype=np.float32):
    rng = np.random.default_rng(0)
    matrices = {name: rng.normal(size=shape).astype(dtype) for name, shape in SHAPES.items()}
    return {**matrices, "bias": rng.normal(size=11).astype(dtype)}


def trained(lora):
    """Returns other values than the initial zeros."""
    leaves, structure = jax.tree.flatten(lora)
    rng = np.random.default_rng(1)
    factors = [jnp.asarray(rng.normal(size=leaf.shape), leaf.dtype) for leaf in leaves]
    return jax.tree.unflatten(structure, factors)


def test_it_starts_as_nothing_and_has_few_weights():
    params = weights()
    lora = training.init_lora(jax.random.key(0), params, FORMS, rank=2)
    assert lora["bias"] is None
    assert training.parameter_count(lora) == 2 * (12 + 3 * 12 + (6 + 5) + (7 + 6))
    merged = training.apply_lora(params, lora, 3.0)
    for name, weight in params.items():
        assert np.array_equal(merged[name], weight)
    spread = [float(jnp.std(lora[name].down)) * 5**0.5 for name in ("gates", "query")]
    assert 0.5 < min(spread) <= max(spread) < 1.5


@pytest.mark.parametrize("name", SHAPES)
def test_merged_is_what_runs_beside_the_weight(name):
    params = weights()
    lora = trained(training.init_lora(jax.random.key(0), params, FORMS, rank=2))
    merged = training.apply_lora(params, lora, 0.5)
    x = np.random.default_rng(2).normal(size=(2, 3) if name == "output" else 5)
    x = x.astype(np.float32)
    whole, down, up = BESIDE[name]
    beside = jnp.einsum(whole, params[name], x) + 0.5 * jnp.einsum(
        up, lora[name].up, jnp.einsum(down, lora[name].down, x)
    )
    assert_close(jnp.einsum(whole, merged[name], x), beside, tolerance=1e-6)
    assert not np.array_equal(merged[name], params[name])


def test_gradients_reach_the_factors_alone_and_half_precision_is_rounded_once():
    params = weights()
    lora = trained(training.init_lora(jax.random.key(0), params, ["matrix"], rank=2))
    slopes = jax.grad(lambda lora: training.apply_lora(params, lora, 0.5)["matrix"].sum())(lora)
    assert_close(
        slopes["matrix"].up, 0.5 * jnp.ones((7, 5), jnp.float32) @ lora["matrix"].down.T, 1e-6
    )

    half = jax.tree.map(lambda array: jnp.asarray(array, jnp.bfloat16), (params, lora))
    merged = training.apply_lora(half[0], half[1], 0.5)["matrix"]
    weight, (up, down) = (tree["matrix"] for tree in half)
    exact = weight.astype(float) + 0.5 * (up.astype(float) @ down.astype(float))
    assert merged.dtype == jnp.bfloat16
    assert (merged == exact.astype(jnp.float32).astype(jnp.bfloat16)).all()


def test_what_does_not_fit_is_refused_by_name():
    params, rng = weights(), jax.random.key(0)
    for select, rank, complaint in (
        ({"query": "h e"}, 1, r"query has shape \(2, 3, 5\), expected the axes 'h e'"),
        ({"query": "(h e q)"}, 1, r"query has shape \(2, 3, 5\), expected the axes"),
        (["bias"], 1, r"bias has shape \(11,\), expected at least two axes"),
        (["matrix"], 6, "rank is 6, expected 1 to 5 for matrix"),
        (["matrix"], 0, "rank is 0, expected 1 to 5 for matrix"),
    ):
        with pytest.raises(ValueError, match=complaint):
            training.init_lora(rng, params, select, rank)
    wrong: tuple[Any, ...] = (2.0, True, None)
    for rank in wrong:
        with pytest.raises(ValueError, match=r"init_lora: rank is .*, expected an integer"):
            training.init_lora(rng, params, ["matrix"], rank)
    lora = training.init_lora(rng, params, ["matrix"], 2)
    other = {**params, "matrix": params["matrix"].T}
    with pytest.raises(ValueError, match=r"matrix has shape \(5, 7\), up \(7, 2\)"):
        training.apply_lora(other, lora, 1.0)


@pytest.mark.parametrize("dtype", [jnp.int8, jnp.int32, jnp.bool_, jnp.float8_e4m3fn])
def test_weights_that_would_round_the_product_away_are_refused(dtype):
    params = {"w": jnp.ones((4, 4), dtype)}
    with pytest.raises(ValueError, match=r"init_lora: w is of dtype .*, expected a floating-point"):
        training.init_lora(jax.random.key(0), params, ["w"], 1)
    lora = {"w": training.LowRank(jnp.full((4, 1), 0.3), jnp.ones((1, 4)))}
    with pytest.raises(ValueError, match=r"apply_lora: w is of dtype .*, expected a floating"):
        training.apply_lora(params, lora, 1.0)
    with pytest.raises(ValueError, match="apply_lora: w is a float, expected a floating-point"):
        training.apply_lora({"w": 1.0}, lora, 1.0)
    assert training.apply_lora(params, {"w": None}, 1.0) == params


@pytest.mark.parametrize("scale", [float("inf"), float("nan"), jnp.nan, True, None, "1"])
def test_a_scale_is_a_finite_number(scale):
    params = {"w": jnp.ones((4, 4))}
    with pytest.raises(ValueError, match=r"apply_lora: scale is .*, expected a finite number"):
        training.apply_lora(params, {"w": None}, scale)


def test_a_traced_scale_is_differentiated():
    params = {"w": jnp.ones((2, 2))}
    lora = {"w": training.LowRank(jnp.ones((2, 1)), jnp.full((1, 2), 3.0))}
    slope = jax.grad(lambda scale: training.apply_lora(params, lora, scale)["w"].sum())(2.0)
    assert slope == 12
    merged = jax.jit(lambda lora: training.apply_lora(params, lora, 2.0))(lora)
    assert (merged["w"] == 7).all()
