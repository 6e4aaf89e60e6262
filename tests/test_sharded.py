# pyright: reportArgumentType=false
"""Attention over a sharded sequence against attention on one device.

sharded_worker.py runs on eight emulated devices; what is known of a program before it is compiled
is seen here, on a mesh without devices.
"""

import json
import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from emulated import printed_on_devices
from jax.extend.core import jaxprs_in_params
from jax.sharding import AbstractMesh, AxisType, PartitionSpec
from sharded_worker import DERIVED, FEATURES, LONG, MESHES, SCHEMES, values_of

from jattn import masks, sharded
from jattn.sharded.pairs import Pair, visible

WORKER = Path(__file__).parent / "sharded_worker.py"
DEVICES = 8


@pytest.fixture(scope="module")
def results():
    """Returns all errors and programs that the worker finds, from one process."""
    return json.loads(printed_on_devices(DEVICES, "-W", "error", str(WORKER)))


@pytest.mark.parametrize("name", DERIVED)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_derivative_is_that_of_one_device(scheme: str, name: str, results):
    found = results["derivatives"][scheme][name]
    assert set(found) == {"value", "vjp", "jvp", "jvp of vjp"}
    assert max(found.values()) <= 1e-12, found


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_mask_has_the_values_of_one_device(scheme: str, results):
    found = results["values"][scheme]
    assert set(found) == set(values_of(scheme))
    assert max(found.values()) <= 1e-12, found


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_mesh_has_the_gradient_of_one_device(scheme: str, results):
    found = results["meshes"][scheme]
    assert {*MESHES[scheme], "check_vma=False"} <= set(found)
    assert max(found.values()) <= 1e-12, found


COLLECTIVES = {
    "all_gather": (["all-gather"], ["all-gather", "reduce-scatter"]),
    "ring": (["collective-permute"], ["collective-permute"]),
    "zigzag": (["collective-permute"], ["collective-permute"]),
    "ulysses": (["all-to-all"], ["all-to-all"]),
}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_programs_have_the_expected_collectives_and_no_array_of_all_pairs(scheme: str, results):
    forward, gradient = (results["programs"][f"{scheme} {x}"] for x in ("forward", "gradient"))
    assert (forward["collectives"], gradient["collectives"]) == COLLECTIVES[scheme]
    assert max(forward["largest"], gradient["largest"]) < LONG * LONG
    if scheme in ("ring", "zigzag"):  # Nor the keys of all devices, also not for the gradient.
        assert max(forward["largest"], gradient["largest"]) < LONG * 8 * FEATURES


def on_shards(scheme: str, *shapes: tuple[int, ...], axis_name: Any = "x", **options: Any) -> Any:
    """Returns the jaxpr of a scheme on eight devices, from shapes of the whole sequence."""
    mesh = AbstractMesh((DEVICES,), ("x",), axis_types=(AxisType.Auto,))
    attend = getattr(sharded, f"{scheme}_attention")
    local = lambda *arrays: attend(*arrays, axis_name=axis_name, **options)
    shard = PartitionSpec(None, "x")
    run = jax.shard_map(local, mesh=mesh, in_specs=(shard,) * 3, out_specs=shard)
    return jax.make_jaxpr(run)(*(jax.ShapeDtypeStruct(x, "float32") for x in shapes))


def equations(jaxpr: Any) -> Any:
    """Yields all equations of a jaxpr, without those inside of an attention."""
    for equation in jaxpr.eqns:
        yield equation
        if equation.primitive.name != "attention":
            for inner in jaxprs_in_params(equation.params):
                yield from equations(inner)


def pairs(jaxpr: Any) -> int:
    """Returns the number of pairs of a query and a key in the attentions of a jaxpr."""
    shapes = [
        [x.aval.shape for x in equation.invars[:2]]
        for equation in equations(jaxpr)
        if equation.primitive.name == "attention"
    ]
    return sum(query[1] * key[1] for query, key in shapes)


def branches(scheme: str, **options: Any) -> list[list[int]]:
    """Returns the number of pairs in each branch of each step of a scheme."""
    shape = (1, 16 * DEVICES, 2, 4)
    jaxpr = on_shards(scheme, shape, shape, shape, **options).jaxpr
    steps = [x for x in equations(jaxpr) if x.primitive.name == "cond"]
    return [[pairs(x.jaxpr) for x in step.params["branches"]] for step in steps]


def test_causal_work_of_a_zigzag_is_the_same_on_all_devices():
    """Pairs of a query and a key that a device computes; a ring leaves half of the devices idle."""
    assert branches("zigzag", is_causal=True) == [[16 * 8, 16 * 8]]
    assert branches("ring", is_causal=True) == [[16 * 16, 0]]


@pytest.mark.parametrize(
    ("left", "right", "sent"), [(15, 0, 1), (17, 0, 2), (0, 16, 1), (16, 16, 2), (200, 0, 7)]
)
def test_a_window_sends_keys_only_to_devices_that_need_them(left, right, sent):
    """In steps of a loop, and in those of its own; two arrays in each."""
    shape = (1, 16 * DEVICES, 2, 4)
    jaxpr = on_shards("ring", shape, shape, shape, local_window_size=(left, right)).jaxpr
    times = 0
    for equation in equations(jaxpr):
        if equation.primitive.name == "scan":
            inner = equation.params["jaxpr"].jaxpr
            each = sum(x.primitive.name == "ppermute" for x in equations(inner))
            times += each * (equation.params["length"] - 1)
        times += equation.primitive.name == "ppermute"
    assert times == 2 * sent


def test_a_pair_of_chunks_has_the_mask_of_its_positions():
    t, s, whole = 3, 4, 20
    every = {
        "window": masks.window(2, 5, offset=1),
        "open to the left": masks.window(None, 0),
        "causal": masks.causal(-2),
        "both": masks.causal(2) & ~masks.window(3, None),
        "either": masks.blocks(5) | masks.window(0, 9),
        "own": masks.Mask(near, (np.arange(whole) % 5,)),
    }
    for name, mask in every.items():
        dense, known = np.asarray(mask.dense(whole, whole)), set()
        for query, key in np.ndindex(whole - t, whole - s):
            places = np.int32(query), np.int32(key)
            shown = visible(mask, Pair(*places, (query - key, query - key), t, s))
            known.add(shown if isinstance(shown, bool) else None)
            expected = dense[query : query + t, key : key + s]
            if isinstance(shown, bool):
                assert (expected == shown).all(), name
            elif (query + 2 * key) % 11 == 0:
                np.testing.assert_array_equal(shown.dense(t, s), expected, name)
        decided = {"own": set(), "either": {True}}
        assert known == {None} | decided.get(name, {True, False}), name


def near(queries, keys, table):
    return abs(queries - keys) <= jnp.asarray(table)[queries]


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_zigzag_order_pairs_early_and_late_chunks(n: int, axis: int):
    positions = np.arange(12)
    array = positions if axis == 0 else np.stack([positions, -positions])
    order = np.asarray(sharded.zigzag_order(array, n, axis))
    np.testing.assert_array_equal(sharded.from_zigzag_order(order, n, axis), array)
    size = 12 // (2 * n)
    for device, shard in enumerate(np.split(order if axis == 0 else order[0], n)):
        first, last = np.split(shard, 2)
        np.testing.assert_array_equal(first, device * size + np.arange(size))
        np.testing.assert_array_equal(last, (2 * n - 1 - device) * size + np.arange(size))


SHAPE = (2, 32, 8, 4)
OTHER = masks.Mask(near, (masks.segments(np.zeros(4, int)),))
LENGTH = {"key_value_seq_lengths": np.array([33, 3])}
REFUSED: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "axis_name is 'y', expected one of the mesh's axes ('x',)": ((SHAPE,) * 3, {"axis_name": "y"}),
    "axis_name is None, expected one of the mesh's axes": ((SHAPE,) * 3, {"axis_name": None}),
    "key has shape (2, 8, 8, 4), expected shards of the same length t=4 (from query)": (
        (SHAPE, (2, 64, 8, 4), (2, 64, 8, 4)), {},
    ),
    "value has shape (2, 4, 2, 4), expected (*b, s, g, v) = (2, 4, 8, 4)": (
        (SHAPE, SHAPE, (2, 32, 2, 4)), {},
    ),
    "bias is unknown, expected options mask, is_causal": ((SHAPE,) * 3, {"bias": None}),
    "mask is a ndarray, expected a mask of jattn.masks": (
        (SHAPE,) * 3, {"mask": np.ones((4, 4), bool)},
    ),
    "mask has an array of pairs, or ids in the operands of array_rule, expected masks of": (
        (SHAPE,) * 3, {"mask": masks.causal() & masks.dense(np.ones((4, 4), bool))},
    ),
    "mask has an array of pairs, or ids in the operands of near, expected masks of": (
        (SHAPE,) * 3, {"mask": ~OTHER},
    ),
    "mask has t=5, expected 4": ((SHAPE,) * 3, {"mask": masks.segments(np.zeros(5, int))}),
    "masks.lengths: key_lengths is 40, expected 0 to 32 (s)": (
        (SHAPE,) * 3, {"mask": masks.lengths(40)},
    ),
    "key_value_seq_lengths is [33  3], expected 0 to 32 (s)": ((SHAPE,) * 3, LENGTH),
    "return_residual is 'no', expected True or False": ((SHAPE,) * 3, {"return_residual": "no"}),
    "dropout_rate is 0.5, but dropout_rng is None": ((SHAPE,) * 3, {"dropout_rate": 0.5}),
}  # fmt: skip


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("message", REFUSED)
def test_E1_arguments_that_no_scheme_takes_are_refused(message: str, scheme: str):
    shapes, options = REFUSED[message]
    with pytest.raises(ValueError, match=f"^{scheme}_attention: {re.escape(message)}"):
        on_shards(scheme, *shapes, **options)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_E1_a_call_outside_of_shard_map_is_refused(scheme: str):
    attend, x = getattr(sharded, f"{scheme}_attention"), np.zeros((2, 4, 2, 3))
    message = f"^{scheme}_attention: axis_name is 'x', expected a call inside jax.shard_map"
    with pytest.raises(ValueError, match=message):
        attend(x, x, x, axis_name="x")


def test_E1_sequences_and_heads_that_do_not_divide_are_refused():
    odd = (2, 3 * DEVICES, 8, 4)
    with pytest.raises(ValueError, match=r"^zigzag_attention: query has t=3, expected an even num"):
        on_shards("zigzag", odd, odd, odd)
    expected = "expected heads that divide among the 8 devices of axis 'x'"
    for name, heads in (("query", (6, 2)), ("key", (24, 6))):
        shapes = [(2, 32, number, 4) for number in (heads[0], heads[1], heads[1])]
        message = f"^ulysses_attention: {name} has {heads[name == 'key']} heads, {expected}"
        with pytest.raises(ValueError, match=message):
            on_shards("ulysses", *shapes)
    for function in (sharded.zigzag_order, sharded.from_zigzag_order):
        message = f"^{function.__name__}: array has shape .3, 10., expected a length on axis 1"
        with pytest.raises(ValueError, match=message):
            function(np.zeros((3, 10)), 4, 1)
