"""The benchmark on tiny sizes: what it writes, that it goes on, what it refuses; nothing timed."""

import json
import subprocess
import sys

import numpy as np
import pytest

from experiments.benchmark import __main__ as command
from experiments.benchmark import checks, masks, rows, scaling, summary
from experiments.benchmark.inputs import draw
from experiments.benchmark.prepared import PEERS

COMMAND = [sys.executable, "-m", "experiments.benchmark", "--smoke"]
FEW = ["matrix-product", "dense", "additive", "scaling-dense-16"]


def run(*options):
    return subprocess.run([*COMMAND, *options], capture_output=True, text=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("benchmark")
    done = run("--rows", *FEW, "--out", str(folder))
    assert done.returncode == 0, done.stderr
    assert "dense-2x16x3x8" in done.stdout
    return folder


def read(folder):
    return json.loads((folder / "results" / "benchmark.json").read_text())


def test_it_writes_what_it_measured(folder):
    record = read(folder)
    assert list(record["rows"]) == [
        "matrix-product",
        "dense-2x16x3x8",
        "additive-2x8x16x8x5",
        "scaling-dense-16",
    ]
    for row in record["rows"].values():
        for cells in row["cells"].values():
            for peer, cell in cells.items():
                if row["kind"] == "additive" and peer == "jax.nn":
                    assert cell == {"reason": "has no function for additive attention"}
                elif row["kind"] != "product" or peer == "jax.nn":
                    assert cell["median"] > 0
                    assert cell["first"] > 0
                    assert cell["memory"] >= 0
                    assert cell["error"] < 1e-5
    page = (folder / "performance.md").read_text()
    for name in [*record["rows"]][1:3]:
        assert f"| {name} |" in page
    assert "jax.nn: has no function for additive attention (additive)" in page
    for picture in ("benchmark-time.png", "benchmark-memory.png"):
        assert f"](pictures/{picture})" in page
        assert (folder / "pictures" / picture).read_bytes().startswith(b"\x89PNG")


def test_finished_rows_stay_and_others_are_added(folder, monkeypatch):
    asked = []
    measured = {"forward": {"jattn": {"median": 1.0, "error": 0.0, "first": 2.0}}}
    monkeypatch.setattr(
        command.measure,
        "measured",
        lambda row, peers, *_rest: asked.append((row.name, peers)) or measured,
    )
    before = read(folder)
    options = ["--smoke", "--rows", "dense", "grouped", "--out", str(folder)]
    assert command.main(options) == 0
    assert asked == [("grouped-1x16x4x8", ["jattn", "jax.nn"])]
    after = read(folder)
    assert after["rows"].pop("grouped-1x16x4x8")["cells"] == measured
    assert after["rows"] == before["rows"]
    page = (folder / "performance.md").read_text()
    assert command.main(["--smoke", "--markdown", "--out", str(folder)]) == 0
    assert (folder / "performance.md").read_text() == page


def test_a_record_of_another_run_is_not_continued(folder, capsys):
    assert command.main(["--smoke", "--repeats", "3", "--out", str(folder)]) == 2
    assert "holds a run with repeats 2, here it is 3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--rows", "dense", "thick"], "--rows: thick is no row"),
        (["--peers", "numpy"], "--peers: numpy is none of jattn, jax.nn"),
        (["--budget", "0"], "--budget is 0, expected more than 0"),
        (["--markdown", "--out", "{tmp}"], "benchmark.json: No such file or directory"),
    ],
)
def test_bad_options_are_one_line_and_exit_code_2(options, complaint, tmp_path, capsys):
    assert command.main([option.format(tmp=tmp_path) for option in options]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert complaint in error


def test_the_list_has_every_row_and_peer(capsys):
    assert command.main(["--list"]) == 0
    printed = capsys.readouterr().out
    names = [row.name for row in rows.table()]
    assert len(set(names)) == len(names) > 40
    for name in [*names, *PEERS]:
        assert name in printed


ATTENTION = [row for row in rows.smoke_table() if row.kind == "attention"]


@pytest.mark.parametrize("row", ATTENTION, ids=lambda row: row.name)
def test_pairs_are_those_that_the_mask_allows(row):
    inputs = draw(row)
    allowed = masks.dense(row, inputs)
    if allowed is None:
        allowed = np.ones((1, row.shape[1], row.shape[1]), bool)
    allowed = np.broadcast_to(allowed, (row.shape[0], *allowed.shape[1:]))
    if row.padded:
        allowed = allowed & (np.arange(row.shape[1]) < inputs["lengths"][:, None])[..., None]
    assert masks.pairs(row, inputs) == allowed.sum()


def test_a_wrong_result_is_seen_and_never_the_best():
    truth = {"output": np.arange(6.0), "d_query": np.ones(3)}
    close = {"output": truth["output"] * (1 + 1e-7), "d_query": truth["d_query"]}
    assert checks.error(close, truth)[0] < 1e-6
    off = {**close, "d_query": np.array([1.0, 1.0, 1.01])}
    assert checks.error(off, truth) == (pytest.approx(0.01), "d_query")
    assert checks.error({"output": truth["output"] * np.nan}, truth)[0] == np.inf
    with pytest.raises(ValueError, match=r"output has shape \(5,\), expected \(6,\)"):
        checks.error({"output": np.arange(5.0)}, truth)

    cells = {
        "jattn": {"median": 2.0, "error": 1e-7},
        "torch": {"median": 1.0, "error": 0.01},
        "keras": {"median": 5.0, "error": 1e-7},
        "haiku": {"reason": "raises"},
    }
    line = summary.Line("dense", "forward", {"products": {"forward": 8.0}}, cells)
    assert line.best() == "keras"
    assert line.best_ratio() == 2.5
    assert line.share(16.0) == 0.25


def test_a_curve_ends_where_a_point_cannot_be():
    assert scaling.hopeless([], 120.0) is None
    assert scaling.hopeless([{"median": 2.0}], 120.0) is None
    assert scaling.hopeless([{"median": 31.0}], 120.0) == "would take about 124 s"
    assert scaling.hopeless([{"median": 20.0}, {"median": 61.0}], 190.0) is None
    ended = [{"reason": "needs more than 20 GiB"}]
    assert scaling.hopeless(ended, 120.0) == "needs more than 20 GiB, at a shorter length"
    again = [{"reason": "needs more than 20 GiB, at a shorter length"}]
    assert scaling.hopeless(again, 120.0) == "needs more than 20 GiB, at a shorter length"
