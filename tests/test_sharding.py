"""Functions on a batch that is divided among devices: each device computes its own part.

The table is in sharding_rows.py, and sharding_worker.py runs it on four devices.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from sharding_rows import ROWS, Row
from sharding_worker import KINDS, MESHES, WITH_GRADIENT, Collective, collectives, is_float

WORKER = Path(__file__).parent / "sharding_worker.py"
FOUR_DEVICES = "--xla_force_host_platform_device_count=4"


@pytest.fixture(scope="module")
def results():
    """What each row does on each mesh, from one process for all of them."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} {FOUR_DEVICES}"
    done = subprocess.run(
        [sys.executable, "-W", "error", str(WORKER)],
        capture_output=True,
        text=True,
        env={**os.environ, "XLA_FLAGS": flags},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mesh", MESHES)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_divided_batch_is_computed_where_it_is(row: Row, mesh: str, kind: str, results):
    result = results[row.name][f"{mesh}-{kind}"]
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


def check_sums(row: Row, found: list[Collective], mesh_axes: int) -> None:
    """Checks that devices exchange the gradient of what they share, and only that.

    Parts of it may be added up afterwards. With two mesh axes, devices may add along one after the
    other.
    """
    shared = [x for x, axes in zip(row.arguments, row.axes, strict=True) if not axes]
    most = sum(np.size(leaf) for leaf in jax.tree.leaves(shared) if is_float(leaf))
    assert {each.operation for each in found} <= {"all-reduce"}
    assert sum(each.size for each in found) <= 1.25 * most * mesh_axes
    assert row.adds_up_in_loops == any(each.is_in_a_loop for each in found)


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
