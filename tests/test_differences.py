"""The table of what other libraries do: jattn's rows, JAX's, and that the measurements can see."""

import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

import jattn
from experiments.differences import attention, conversion, recurrent
from experiments.differences.measures import by_jax, rows_of
from experiments.differences.table import as_markdown

COMMAND = [sys.executable, "-W", "error", "-m", "experiments.differences"]


def run(*options):
    return subprocess.run([*COMMAND, *options], capture_output=True, text=True)


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    out = tmp_path_factory.mktemp("differences") / "tables.json"
    done = run("--only", "jattn", "jax", "--markdown", "--out", str(out))
    assert done.returncode == 0, done.stderr
    tables = json.loads(out.read_text())
    for kind in ("attention", "gru"):
        columns = list(tables[kind][0])
        assert as_markdown(columns, tables[kind]) in done.stdout
    return tables


def test_every_cell_is_filled(tables):
    assert [row["library"] for row in tables["attention"]] == [
        "jattn.scaled_dot_product_attention",
        "jax.nn.dot_product_attention",
    ]
    assert [row["library"] for row in tables["gru"]] == ["jattn.gru"]
    for kind, columns in (("attention", attention.COLUMNS), ("gru", recurrent.COLUMNS)):
        for row in tables[kind]:
            assert list(row) == ["library", "version", *columns]
            assert all(row.values())


def test_jattn_keeps_its_contract(tables):
    for kind, expected in (
        ("attention", ["zeros, gradient 0", "nothing", "nothing", "runs"]),
        ("gru", ["the initial state", "zeros", "nothing", "yes"]),
    ):
        _library, _version, error, *rest = tables[kind][0].values()
        value, gradient = error.split(", gradient ")
        assert float(value) < 1e-14
        assert float(gradient) < 1e-14
        assert rest == expected


def test_the_measurements_can_see():
    """Attention as it is often written: float32 inside, and a large negative number for a mask."""

    def careless(query, key, value, mask):
        scores = jnp.where(mask, query @ key.T / query.shape[-1] ** 0.5, -1e30)
        weights = jax.nn.softmax(scores.astype(jnp.float32))
        return weights.astype(value.dtype) @ value

    runner = by_jax(careless)
    value, gradient = attention.float64_error(runner).split(", gradient ")
    assert 1e-9 < float(value) < 1e-5
    assert 1e-9 < float(gradient) < 1e-5
    assert attention.empty_row(runner).startswith("mean of all values, gradient 0.")
    assert attention.nan_in_masked_key(runner) == "gradients"
    assert attention.nan_in_masked_value(runner) == "output and gradients"


def test_the_measurements_see_weights_that_were_not_converted():
    """Weights of ONNX as jattn reads them, and as if their gates stood in jattn's order."""

    def right(weights, inputs):
        return jattn.gru(jattn.convert.gru_from_onnx(weights), inputs).outputs

    def wrong(weights, inputs):
        return right(weights | {"W": jnp.roll(weights["W"], 5, axis=1)}, inputs)

    cells = [
        [column(conversion.Converted("gru", "onnx", run)) for column in conversion.COLUMNS.values()]
        for run in (right, wrong)
    ]
    assert cells[0] == ["0e+00", "0e+00", "bit for bit"]
    assert [float(cell) > 0.1 for cell in cells[1][:2]] == [True, True]


def test_a_library_that_is_not_installed_is_listed(monkeypatch):
    monkeypatch.setitem(sys.modules, "haiku", None)
    monkeypatch.delitem(
        sys.modules, "experiments.differences.libraries.haiku_functions", raising=False
    )
    assert rows_of("haiku", "ATTENTION", attention.COLUMNS) == [
        {"library": "haiku", "version": "not installed"}
    ]


def test_bad_arguments_are_one_line_and_exit_code_2(tmp_path):
    (tmp_path / "file").touch()
    unknown = run("--only", "numpy")
    assert unknown.returncode == 2
    assert "--only: numpy is none of jattn, jax" in unknown.stderr.splitlines()[-1]
    unwritable = run("--only", "haiku", "--out", str(tmp_path / "file" / "tables.json"))
    assert unwritable.returncode == 2
    assert "--out: " in unwritable.stderr.splitlines()[-1]
