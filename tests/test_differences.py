"""The table of what other libraries do: jattn's rows, JAX's, and that the measurements can see."""

import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

import jattn
from experiments.differences import attention, conversion, normalizers, recurrent
from experiments.differences.__main__ import main
from experiments.differences.measures import by_jax, of_scores, rows_of
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
    assert [row["library"] for row in tables["normalizers"]][-2:] == [
        "jax.nn.softmax",
        "jax.nn.log_softmax",
    ]
    for kind, columns in (
        ("attention", attention.COLUMNS),
        ("normalizers", normalizers.COLUMNS),
        ("gru", recurrent.COLUMNS),
    ):
        for row in tables[kind]:
            assert list(row) == ["library", "version", *columns]
            assert all(row.values())


def test_jattn_keeps_its_contract(tables):
    for kind, expected in (
        ("attention", ["zeros, gradient 0", "right", "nothing", "nothing", "runs"]),
        ("gru", ["the initial state", "zeros", "nothing", "yes"]),
    ):
        _library, _version, error, *rest = tables[kind][0].values()
        value, gradient = error.split(", gradient ")
        assert float(value) < 1e-14
        assert float(gradient) < 1e-14
        assert rest == expected
    for row in tables["normalizers"]:
        if row["library"].startswith("jattn"):
            assert list(row.values())[2:] == ["none", "none", "zeros"]


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
    assert attention.large_scores(runner) == "NaN"
    assert attention.nan_in_masked_key(runner) == "gradients"
    assert attention.nan_in_masked_value(runner) == "output and gradients"


def test_the_measurements_see_normalizers_that_give_nan():
    from_infinity = of_scores(lambda scores: jnp.exp(scores) / jnp.exp(scores).sum(-1)[:, None])
    assert normalizers.float32_scores(from_infinity) == "17 of 17 rows"
    assert normalizers.empty_row(from_infinity) == "NaN"


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


def test_bad_arguments_are_one_line_and_exit_code_2(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    out = str(tmp_path / "file" / "tables.json")
    for options, expected in (
        (("--only", "numpy"), "--only: numpy is none of jattn, jax"),
        (("--only", "haiku", "--out", out), "--out: "),
    ):
        monkeypatch.setattr(sys, "argv", ["experiments.differences", *options])
        with pytest.raises(SystemExit) as exit_code:
            main()
        assert exit_code.value.code == 2
        assert expected in capsys.readouterr().err.splitlines()[-1]
