"""The contract of attention with functions of the caller: corners, other results, bad input."""

import functools
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from test_flex import KEY, QUERY, VALUE, B, H, S, T, capped, gate, hidden, looked_up, slope
from test_platforms import TENSOR

import jattn
from jattn import biases, engine, masks, testing
from jattn.engine import attention, functions

flex: Any = jattn.flex_attention
SLOPES: Any = (np.linspace(0.5, 1.5, H),)
NAMES = ("lse", "max_logit", "entropy", "column_sums", "weights")
RNG: Any = np.random.default_rng(1)


def distances(scores, at, table):
    return scores + table[at.head, abs(at.query - at.key)]


@pytest.mark.parametrize("options", [{}, {"chunk_size": 2}, {"planner": engine.narrowed}])
def test_without_functions_it_is_dot_product_attention(options):
    options = {"mask": masks.causal(3), "sinks": SLOPES[0], **options}
    found = flex(QUERY, KEY, VALUE, returning=("lse",), **options)
    wanted = jattn.dot_product_attention(QUERY, KEY, VALUE, return_residual=True, **options)
    testing.assert_close(tuple(found), wanted, 1e-15)


@pytest.mark.parametrize(
    ("name", "offset", "plan"),
    [
        ("alibi", np.array([1, 4]), "at once"),
        ("relative", 3, "at once"),
        ("relative", 3, "blocks"),
        ("alibi", 3, "band"),
        ("relative", 3, "as seen"),
    ],
)
def test_a_bias_of_distances_is_one_of_pairs(plan, offset, name):
    """With gradients to its parameters, for offsets of each example, on every plan."""
    params = {"alibi": SLOPES[0], "relative": RNG.standard_normal((9, H))}[name]
    make = getattr(biases, name)
    options: dict[str, Any] = {
        "at once": {},
        "blocks": {"mask": masks.causal(3), "chunk_size": 2},
        "band": {"mask": masks.window(3, 1, 3), "chunk_size": 2, "planner": engine.banded},
        "as seen": {"key_value_seq_lengths": 6, "chunk_size": 3, "planner": engine.narrowed},
    }[plan]
    cotangent = RNG.standard_normal(VALUE.shape[:1] + QUERY.shape[1:3] + VALUE.shape[3:])

    def short(params):
        found = flex(QUERY, KEY, VALUE, bias=make(params), query_offset=offset, **options)
        return (found * cotangent).sum()

    def dense(params):
        each = [make(params).dense(T, S, offset=int(i)) for i in np.broadcast_to(offset, B)]
        found = flex(QUERY, KEY, VALUE, bias=jnp.stack(each), **options)
        return (found * cotangent).sum()

    derived = lambda f: jax.jvp(jax.value_and_grad(f), (params,), (params,))
    testing.assert_close(
        jax.jit(lambda: derived(short))(), jax.jit(lambda: derived(dense))(), 1e-12
    )


def test_a_sum_of_biases_is_that_of_both():
    table = jnp.asarray(RNG.standard_normal((32, H)))
    both = biases.alibi(SLOPES[0]) + biases.t5(table, bidirectional=False)
    found = flex(QUERY, KEY, VALUE, bias=both)
    arrays = biases.alibi(SLOPES[0]).dense(T, S), biases.t5(table, bidirectional=False).dense(T, S)
    testing.assert_close(found, flex(QUERY, KEY, VALUE, bias=arrays[0] + arrays[1]), 1e-12)
    testing.assert_close(jattn.dot_product_attention(QUERY, KEY, VALUE, both), found, 1e-15)


@pytest.mark.parametrize("normalizer", [jattn.softmax, jattn.sparsemax, jattn.sigmoid])
def test_results_are_those_of_the_weights(normalizer):
    mask = masks.causal(-1)  # The first query sees nothing.
    names = NAMES if normalizer is jattn.softmax else NAMES[1:]
    run = functools.partial(
        flex, QUERY, KEY, VALUE, score=slope, params=SLOPES, mask=mask, normalizer=normalizer
    )
    found = run(returning=names, chunk_size=3)
    weights = np.asarray(found.weights)
    terms = weights * np.log(np.where(weights > 0, weights, 1))
    testing.assert_close(found.entropy, -terms.sum(-1).swapaxes(1, 2), 1e-12)
    testing.assert_close(found.column_sums, weights.sum(-2), 1e-12)
    key = np.repeat(KEY, H // KEY.shape[2], 2)
    scores = np.einsum("bthk,bshk->bhts", QUERY, key) * QUERY.shape[-1] ** -0.5
    place = np.arange(T)[:, None], np.arange(S)
    scores -= SLOPES[0][:, None, None] * abs(place[0] - place[1])
    scores = np.where(place[1] <= place[0] - 1, scores, -np.inf)
    testing.assert_close(found.max_logit[:, 1:], scores.max(-1).swapaxes(1, 2)[:, 1:], 1e-12)
    assert (np.asarray(found.max_logit)[:, 0] == -np.inf).all()
    for name in names:
        np.testing.assert_allclose(run(returning=name)[1], getattr(found, name), 1e-12, 1e-12)
    value = np.repeat(VALUE, H // VALUE.shape[2], 2)
    testing.assert_close(found.output, np.einsum("bhts,bshv->bthv", weights, value), 1e-12)


def test_every_result_has_a_gradient():
    def total(params, query):
        found = flex(query, KEY, VALUE, score=slope, params=params, returning=NAMES)
        return sum(
            (jnp.sin(x) * jnp.linspace(0.0, 9.0, x.size).reshape(x.shape)).sum() for x in found
        )

    def dense(params, query):
        key = jnp.repeat(KEY, H // KEY.shape[2], 2)
        scores = jnp.einsum("bthk,bshk->bhts", query, key) * query.shape[-1] ** -0.5
        far = abs(np.arange(T)[:, None] - np.arange(S)).astype(float)
        scores -= params[0][None, :, None, None] * far[None, None]
        weights = jax.nn.softmax(scores)
        lse = jax.nn.logsumexp(scores, -1).swapaxes(1, 2)
        output = jnp.einsum("bhts,bshv->bthv", weights, jnp.repeat(VALUE, H // KEY.shape[2], 2))
        entropy = -(weights * jnp.log(weights)).sum(-1).swapaxes(1, 2)
        # JAX's derivative of `max` is NaN where XLA computes the scores twice, with two roundings.
        largest = jnp.take_along_axis(scores, scores.argmax(-1, keepdims=True), -1)[..., 0]
        found = output, lse, largest.swapaxes(1, 2), entropy, weights.sum(-2), weights
        return sum(
            (jnp.sin(x) * jnp.linspace(0.0, 9.0, x.size).reshape(x.shape)).sum() for x in found
        )

    found, wanted = (jax.jit(jax.grad(f, (0, 1)))(SLOPES, QUERY) for f in (total, dense))
    testing.assert_close(found, wanted, 1e-11)


def test_a_row_of_hidden_scores_is_zero():
    """As a mask makes it, also in the derivatives."""

    def of_score(query, params):
        found = flex(query, KEY, VALUE, score=nothing, params=params, returning=("lse",))
        return found.output.sum(), found

    def nothing(scores, at, params):
        return jnp.where((at.query > 2) & (at.key < 4), scores * params, -jnp.inf)

    gradients, found = jax.grad(of_score, (0, 1), has_aux=True)(QUERY, 2.0)
    assert (np.asarray(found.output)[:, :3] == 0).all()
    assert (np.asarray(found.lse)[:, :3] == -np.inf).all()
    assert (np.asarray(gradients[0])[:, :3] == 0).all()
    place = np.arange(T)[:, None], np.arange(S)
    mask = (place[0] > 2) & (place[1] < 4)
    masked = lambda query, scale: flex(query, KEY, VALUE, scale=scale, mask=mask).sum()
    scale = QUERY.shape[-1] ** -0.5
    wanted = jax.grad(masked, (0, 1))(QUERY, jnp.asarray(2.0 * scale))
    testing.assert_close(gradients, (wanted[0], wanted[1] * scale), 1e-12)


def test_keys_that_a_mask_hides_influence_nothing():
    """Not even NaN and infinities, through a score, a weight and the gradients of both."""
    spoilt = [np.array(x) for x in (KEY, VALUE)]
    for array in spoilt:
        array[:, 8:] = np.nan
        array[:, 9] = np.inf
    mask = masks.lengths(8)

    def total(params, query, key, value):
        options = {"score": looked_up, "weight": None, "params": params, "mask": mask}
        return (flex(query, key, value, **options) ** 2).sum()

    params = np.ones(B), RNG.standard_normal((H, 30))
    found = jax.value_and_grad(total, (0, 1, 2, 3))(params, QUERY, *spoilt)
    clean = jax.value_and_grad(total, (0, 1, 2, 3))(params, QUERY, KEY, VALUE)
    testing.assert_close(found, clean, 1e-12)


def test_dropout_falls_on_the_weights_of_every_plan_alike():
    drop = {"dropout_rate": 0.4, "dropout_rng": jax.random.key(3)}
    run = lambda **options: flex(
        QUERY, KEY, VALUE, weight=gate, params=(np.ones((H, S)),), **drop, **options
    )
    wanted = jattn.dot_product_attention(QUERY, KEY, VALUE, **drop)
    for options in ({}, {"chunk_size": 2}, {"normalizer": same_softmax}):
        testing.assert_close(run(**options), wanted, 1e-12)


def same_softmax(scores, mask):
    return jattn.softmax(scores, mask)


def test_integers_and_keys_among_the_parameters_have_no_derivative():
    def paged(scores, at, params):
        return scores * params["warm"] + params["table"][params["pages"][at.key]]

    def total(warm, table, pages):
        params = {"warm": warm, "table": table, "pages": pages}
        return (flex(QUERY, KEY, VALUE, score=paged, params=params) ** 2).sum()

    pages, table = np.arange(S) % 3, RNG.standard_normal(3)
    found = jax.jit(jax.grad(total, (0, 1)))(2.0, table, pages)
    bias = lambda table: table[pages][None, None, None]
    dense = lambda warm, table: (
        flex(QUERY, KEY, VALUE, bias=bias(table), scale=warm * QUERY.shape[-1] ** -0.5) ** 2
    ).sum()
    testing.assert_close(found, jax.grad(dense, (0, 1))(2.0, jnp.asarray(table)), 1e-12)


def test_vmap_maps_over_parameters():
    many = np.stack([SLOPES[0], 2 * SLOPES[0], SLOPES[0] ** 2])
    run = lambda slopes: flex(QUERY, KEY, VALUE, score=slope, params=(slopes,), chunk_size=4)
    both = lambda f: (f, jax.jacfwd(f))
    for function in both(run):
        each = jnp.stack([function(slopes) for slopes in many])
        testing.assert_close(jax.vmap(function)(many), each, 1e-12)


@pytest.mark.parametrize("platform", ["cpu", "cuda", "tpu"])
def test_no_array_has_all_pairs(platform):
    b, t, h, k = 1, 2048, 2, 16
    shapes = [jax.ShapeDtypeStruct((b, t, h, k), "float32")] * 3
    params = (jax.ShapeDtypeStruct((h,), "float32"),)

    def total(params, *arrays):
        found = flex(*arrays, score=slope, params=params, returning=("entropy", "column_sums"))
        return sum((x**2).sum() for x in found)

    jitted = jax.jit(jax.grad(total, (0, 1, 2, 3)))
    module = export.export(jitted, platforms=[platform])(params, *shapes).mlir_module()
    sizes = [np.prod([int(n) for n in shape.split("x")[:-1]]) for shape in TENSOR.findall(module)]
    assert max(sizes) < h * t * t / 2


def test_forward_mode_is_lowered_for_accelerators():
    shapes = [jax.ShapeDtypeStruct((1, 256, 2, 16), "float32")] * 3
    params = (jax.ShapeDtypeStruct((2,), "float32"),)

    def pushed(params, *arrays):
        run = lambda params: flex(*arrays, score=slope, params=params)
        return jax.jvp(run, (params,), (params,))

    for platform in ("cuda", "tpu"):
        assert export.export(jax.jit(pushed), platforms=[platform])(params, *shapes)


def wrong_shape(scores, at, params):
    return scores[:1]


def wrong_dtype(scores, at, params):
    return scores.astype("float16")


def reads_position(scores, at, params):
    return scores + at.position


def mixes(scores, at, params):
    return scores - scores.mean(-1, keepdims=True)


def past_the_end(scores, at, params):
    return scores + params[0][at.key + 1]


def not_a_number(scores, at, params):
    return scores + params[0][0] * jnp.log((at.query - at.key + 1).astype(scores.dtype))


class Unhashable:
    __hash__: Any = None

    def __call__(self, scores, at, params):
        return scores


BAD = {
    "score is 3, expected a function": {"score": 3},
    "score returns float64[1, 6] of float64[4, 6], expected the same shape": {"score": wrong_shape},
    "score returns float16[4, 6] of float64[4, 6]": {"score": wrong_dtype},
    "weight reads at.position, expected at.batch, at.head, at.query, at.key": {
        "weight": reads_position,
    },
    "score mixes pairs": {"score": mixes},
    "score reads an index that is not there": {"score": past_the_end, "params": (np.ones(S),)},
    "score is NaN at query 0 and key 5, which the mask hides": {
        "score": not_a_number, "params": (np.ones(1),), "mask": masks.causal(),
    },
    "params are given, expected score or weight": {"params": SLOPES},
    "params hold str, expected arrays or numbers": {"score": slope, "params": "slope"},
    "returning has 'sums', expected some of lse, max_logit": {"returning": ("sums",)},
    "returning has 'lse', expected the normalizer softmax": {
        "returning": "lse", "normalizer": jattn.sigmoid,
    },
    "sinks are given, expected the normalizer softmax": {
        "sinks": SLOPES[0], "normalizer": jattn.sigmoid,
    },
    "bias has 2 heads, expected 1 or h=6": {"bias": biases.alibi(jnp.ones(2))},
    "normalizer is 'softmax', expected a function": {"normalizer": "softmax"},
    "normalizer is not row by row": {"normalizer": jattn.sinkhorn},
    "normalizer is not row by row: a row": {"normalizer": jattn.over_queries()},
    "score is a Unhashable, which has no hash": {"score": Unhashable()},
    "key has shape": {"key": KEY[..., :2]},
}  # fmt: skip


@pytest.mark.parametrize("message", BAD)
def test_bad_input_is_refused_by_name(message):
    arguments = {"query": QUERY, "key": KEY, "value": VALUE, **BAD[message]}
    for call in (flex, lambda **kw: jax.eval_shape(lambda: flex(**kw))):
        with pytest.raises(ValueError, match="flex_attention: " + re.escape(message)):
            call(**arguments)


def test_a_traced_array_that_a_function_closes_over_is_refused():
    def total(slopes, kind):
        close = lambda array, at, _: array * slopes[at.head]
        return flex(QUERY, KEY, VALUE, **{kind: close}).sum()

    def normalized(slopes):
        scaled = lambda scores, mask: jattn.softmax(scores, mask) * slopes[0]
        return flex(QUERY, KEY, VALUE, normalizer=scaled).sum()

    lost = "closes over a traced array, whose derivative would be lost"
    for kind in ("score", "weight"):
        for transform in (jax.grad, jax.jacfwd, jax.jit):
            with pytest.raises(ValueError, match=f"flex_attention: {kind} {lost}"):
                transform(functools.partial(total, kind=kind))(SLOPES[0])
    with pytest.raises(ValueError, match=f"flex_attention: normalizer {lost}"):
        jax.grad(normalized)(SLOPES[0])


def test_calls_with_the_same_functions_compile_nothing_anew(monkeypatch):
    attend_all: Any = attention.attend_all
    run = lambda factor: flex(QUERY * factor, KEY, VALUE, score=capped, params=(factor,))
    run(2.0)
    before = attend_all._cache_size()
    monkeypatch.setattr(functions, "_try", lambda *_: pytest.fail("tried once more"))
    run(3.0)
    assert attend_all._cache_size() == before


def test_hidden_pairs_take_no_weight_in_half_precision():
    query, key, value = (jnp.asarray(x, "bfloat16") for x in (QUERY, KEY, VALUE))
    params = (jnp.asarray(0.5, "float32"),)
    found = flex(query, key, value, score=hidden, params=params)
    exact = flex(*(x.astype("float64") for x in (query, key, value)), score=hidden, params=params)
    assert found.dtype == "bfloat16"
    assert abs(found.astype("float64") - exact).max() < 2**-8 * abs(exact).max()
