"""Functions on a sharded batch: each device computes its own part of it.

The table is in sharding_rows.py, and sharding_worker.py runs it on four devices.
"""

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from emulated import printed_on_devices
from sharding_rows import ROWS, WORDS, D, Row, S, draw, draw_tokens, params_of
from sharding_training import train_on
from sharding_worker import KINDS, MESHES, WITH_GRADIENT, Collective, attempt, collectives, is_float

import jattn
from jattn import training

WORKER = Path(__file__).parent / "sharding_worker.py"


@pytest.fixture(scope="module")
def results():
    """Returns the results of each row on each mesh, from one process for all of them."""
    return json.loads(printed_on_devices(4, "-W", "error", str(WORKER)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mesh", MESHES)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_sharded_batch_is_computed_where_it_is(row: Row, mesh: str, kind: str, results):
    result = results["rows"][row.name][f"{mesh}-{kind}"]
    assert "raised" not in result, result["raised"]
    assert result["misplaced"] == []
    assert result["error"] <= 1e-12
    found = [Collective(*each) for each in result["collectives"]]
    if row.has_gradient and (mesh, kind) in WITH_GRADIENT:
        check_sums(row, found, len(MESHES[mesh]))
    elif row.agrees_in_loops:
        assert found == [Collective("all-reduce", 1, True)]
    else:
        assert found == []


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.is_better_in_shard_map], ids=lambda row: row.name
)
def test_T2_in_shard_map_no_loop_has_a_collective(row: Row, results):
    result = results["rows"][row.name]["shard_map"]
    assert result["error"] <= 1e-12
    found = [Collective(*each) for each in result["collectives"]]
    if row.has_gradient:
        check_sums(row._replace(adds_up_in_loops=False), found, 1)
    else:
        assert found == []


def check_sums(row: Row, found: list[Collective], mesh_axes: int) -> None:
    """Checks that devices exchange the gradient of what they share, and only that.

    Parts of it may be added up afterwards. With two mesh axes, devices may add along one after the
    other.
    """
    shared = [x for x, axes in zip(row.arguments, row.axes, strict=True) if not axes]
    most = sum(np.size(leaf) for leaf in jax.tree.leaves(shared) if is_float(leaf))
    assert {each.operation for each in found} <= {"all-reduce"}
    assert sum(each.size for each in found) <= 1.5 * most * row.uses * mesh_axes
    assert row.adds_up_in_loops == any(each.is_in_a_loop for each in found)


TRAINED = {"times compiled": 1, "resumed with the same bits": True, "misplaced": []}


def check_training(result: dict[str, Any]) -> None:
    assert result.pop("error") <= 1e-12
    assert result == TRAINED


@pytest.mark.parametrize("shards_params", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_training_keeps_shardings(kind: str, shards_params: bool, results):
    check_training(results["training"][kind][str(shards_params)])


def mesh_of_one(kind: str = "explicit") -> jax.sharding.Mesh:
    return jax.make_mesh((1,), ("x",), axis_types=(KINDS[kind],))


@pytest.mark.parametrize("kind", KINDS)
def test_training_keeps_the_shardings_of_a_mesh_of_one_device(kind: str):
    check_training(train_on(mesh_of_one(kind), True))


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_is_read_with_the_shardings_of_like(kind: str, tmp_path: Path):
    place = jax.sharding.NamedSharding(mesh_of_one(kind), jax.sharding.PartitionSpec("x"))
    tree = {"sharded": jax.device_put(draw(3, 2), place), "free": jax.numpy.zeros(2)}
    training.save_checkpoint(tmp_path / "file.safetensors", tree)
    form = jax.ShapeDtypeStruct((3, 2), "float64", sharding=place)
    for like in (tree, {**tree, "sharded": form}):
        read = training.load_checkpoint(tmp_path / "file.safetensors", like=like).tree
        assert read["sharded"].sharding == place
        assert read["sharded"].committed
        assert not read["free"].committed
        np.testing.assert_array_equal(read["sharded"], tree["sharded"])


@pytest.mark.parametrize("name", ["attentive_gru", "greedy_search"])
def test_a_mesh_of_one_device_has_shardings_too(name: str):
    """Types name mesh axes of size 1 as well, so mistakes in them are found in this process."""
    (row,) = (row for row in ROWS if row.name == name)
    expected = jax.jit(row.function)(*row.arguments)
    result = attempt(row, mesh_of_one(), expected, False)
    assert "raised" not in result, result["raised"]
    assert result["misplaced"] == []


@pytest.mark.parametrize("kind", KINDS)
def test_batches_of_a_sharded_array_are_sharded(kind: str):
    place = jax.sharding.NamedSharding(mesh_of_one(kind), jax.sharding.PartitionSpec("x"))
    whole = np.arange(12.0).reshape(6, 2)
    batch = training.shuffled_batches(jax.device_put(whole, place), 3)(1)
    assert getattr(batch, "sharding", None) == place
    np.testing.assert_array_equal(batch, training.shuffled_batches(whole, 3)(1))


X = jax.sharding.PartitionSpec("x")
SEQUENCE: Any = draw(S, D)
TOKENS: Any = draw_tokens(S)
GRU = params_of(jattn.init_gru, input_size=D, units=D)
TAGGER_SIZES = {"embedding_size": D, "units": D, "output_size": 2}
TAGGER = params_of(jattn.init_attentive_gru, words=WORDS, **TAGGER_SIZES)
HEADS_OF_QUERIES: Any = draw(S, 2, D)
REFUSED = {
    "dot_product_attention: query": lambda put: jattn.dot_product_attention(
        put(HEADS_OF_QUERIES), HEADS_OF_QUERIES, HEADS_OF_QUERIES
    ),
    "dot_product_attention: value": lambda put: jattn.dot_product_attention(
        HEADS_OF_QUERIES, HEADS_OF_QUERIES, put(HEADS_OF_QUERIES)
    ),
    "gru: inputs": lambda put: jattn.gru(GRU, put(SEQUENCE)),
    "gru: valid": lambda put: jattn.gru(GRU, SEQUENCE, valid=put(np.ones(S, bool))),
    "attentive_gru: tokens": lambda put: jattn.attentive_gru(TAGGER, put(TOKENS)),
    "dot_attention: key": lambda put: jattn.dot_attention(SEQUENCE, put(SEQUENCE), SEQUENCE),
    "dot_attention: value": lambda put: jattn.dot_attention(SEQUENCE, SEQUENCE, put(SEQUENCE)),
    "read_by: memory.values": lambda put: jattn.read_by(jattn.dot_attention)(
        None, jattn.Memory(put(SEQUENCE), SEQUENCE[0])
    ),
}


@pytest.mark.parametrize("argument", REFUSED)
def test_E1_a_sharded_sequence_is_refused_by_name(argument: str):
    message = f"^{argument} has axis [st] sharded over mesh axis x, expected a whole axis: "
    with jax.set_mesh(mesh_of_one()):
        put = lambda array: jax.device_put(array, X)
        with pytest.raises(ValueError, match=message):
            REFUSED[argument](put)


def test_sharded_queries_and_features_are_no_sharded_sequence():
    with jax.set_mesh(mesh_of_one()):
        query = jax.device_put(SEQUENCE, X)
        context = jattn.dot_attention(query, SEQUENCE, SEQUENCE).context
        assert jax.typeof(context).sharding.spec == jax.sharding.PartitionSpec("x", None)


def test_V2_collectives_are_found_in_a_program():
    program = """\
%add (a: f64[], b: f64[]) -> f64[] {
}
%body (state: (s32[], f64[3,2])) -> (s32[], f64[3,2]) {
  %all-reduce.1 = f64[3,2]{1,0} all-reduce(%x), to_apply=%add
}
ENTRY %main (x: f64[4]) -> f64[4] {
  %gathered = (f64[2]{0}, f64[8]{0}) all-gather-start(%x), dimensions={0}
  %moved = f64[] collective-permute(%all-reduce.1), channel_id=1
  ROOT %sum = f64[4]{0} add(%x, %all-gather)
}
"""
    assert collectives(program) == [
        Collective("all-reduce", 6, True),
        Collective("all-gather", 10, False),
        Collective("collective-permute", 1, False),
    ]
