"""The benchmark on tiny sizes: its record and page, continued runs, refusals; nothing is timed."""

import importlib.metadata
import json
import subprocess
import sys

import numpy as np
import pytest

from experiments.benchmark import __main__ as command
from experiments.benchmark import checks, delta_rule, page, rows, summary, tables, worker
from experiments.benchmark.inputs import causal_or_dense, draw
from experiments.benchmark.prepared import PEERS
from experiments.benchmark.record import newest_first

COMMAND = [sys.executable, "-m", "experiments.benchmark", "--smoke"]
FEW = ["dense", "sharded", "additive", "transformer"]
FILE = f"benchmark-jax-{importlib.metadata.version('jax')}.json"


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
    return json.loads((folder / "results" / FILE).read_text())


def test_it_writes_what_it_measured(folder):
    record = read(folder)
    assert list(record["rows"]) == [
        "dense-2x16x3x8",
        "sharded-4x16x3x8",
        "additive-2x8x16x8x5",
        "transformer-2x16x2x3x8",
    ]
    for row in record["rows"].values():
        for direction, cells in row["cells"].items():
            for peer, cell in cells.items():
                if row["kind"] == "additive" and peer == "jax.nn":
                    assert cell == {"reason": "has no such function"}
                    continue
                assert cell["median"] > 0
                assert cell["first"] > 0
                assert cell["memory"] >= 0
                assert cell["error"] < 1e-5
                assert ("gradient_error" in cell) == (direction == "gradient")
                assert cell.get("gradient_error", 0.0) < 1e-5
                assert cell.get("collectives") == (0 if row["family"] == "sharded" else None)
    text = (folder / "performance.md").read_text()
    for name in record["rows"]:
        assert f"| {name} |" in text
    assert "jax.nn: has no such function (additive)" in text
    assert "0 collectives" in text


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
        (["--markdown", "--out", "{tmp}"], "results holds no benchmark-jax-*.json"),
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
    assert len(set(names)) == len(names) > 25
    for name in [*names, *PEERS]:
        assert name in printed


def test_masks_are_those_of_the_options():
    by_name = {row.family: row for row in rows.smoke_table()}
    query, key = np.arange(16)[:, None], np.arange(16)
    is_causal, mask = causal_or_dense(by_name["grouped"], {})
    assert not is_causal
    np.testing.assert_array_equal(mask, [[(key <= query) & (query - key <= 3)]])
    inputs = draw(by_name["padded"])
    is_causal, mask = causal_or_dense(by_name["padded"], inputs)
    assert not is_causal
    assert mask is not None
    for example, length in zip(mask, inputs["lengths"], strict=True):
        np.testing.assert_array_equal(example, [(key <= query) & (key < length)])
    assert causal_or_dense(by_name["dense"], {}) == (False, None)
    causal = next(row for row in rows.table() if row.family == "causal")
    assert causal_or_dense(causal, {}) == (True, None)


def test_collectives_of_a_program_are_counted():
    program = """
      %all-gather = f32[8]{0} all-gather(%a), replica_groups=[1,4]<=[4]
      %start = f32[8]{0} all-reduce-start(%b), to_apply=%add
      %done = f32[8]{0} all-reduce-done(%start)
      ROOT %fusion = f32[8]{0} fusion(%all-gather, %done)
    """
    assert len(worker.COLLECTIVE.findall(program)) == 2


def test_errors_are_relative_to_a_row_and_to_a_gradient():
    truth = {"output": np.array([[4.0, 1.0], [0.01, 0.0], [0.0, 0.0]]), "d_query": np.ones(3)}
    close = {"output": truth["output"].copy(), "d_query": np.array([1.0, 1.0, 1.01])}
    close["output"][1, 1] = 1e-4
    assert checks.errors(close, truth) == {
        "error": pytest.approx(0.01),
        "gradient_error": pytest.approx(0.01),
        "gradient_error_in": "d_query",
    }
    assert checks.errors({"output": np.array(1.0)}, {"output": np.array(2.0)}) == {"error": 0.5}
    lost = {"output": truth["output"] * np.nan}
    assert checks.errors(lost, truth)["error"] == np.inf
    with pytest.raises(ValueError, match=r"output has shape \(5,\), expected \(3, 2\)"):
        checks.errors({"output": np.arange(5.0)}, truth)


def test_a_wrong_result_is_never_the_best():
    cells = {
        "jattn": {"median": 2.0, "error": 1e-7},
        "torch": {"median": 1.0, "error": 0.01},
        "tokamax": {"median": 1.0, "error": 1e-7, "gradient_error": np.nan},
        "keras": {"median": 5.0, "error": 1e-7},
        "flax-nnx": {"reason": "raises"},
    }
    line = summary.Line("dense", "forward", {}, cells)
    assert line.best() == "keras"
    assert line.best_ratio() == 2.5
    assert tables.ratio_of(line, "torch") == "0.50 (wrong)"
    assert tables.error_of(line, "tokamax") == "1.0e-07 / nan"


def test_the_page_compares_the_records_of_its_folder(folder, tmp_path):
    """The newest JAX comes first, by number: 0.10 is older than 0.12 and newer than 0.9."""
    record = read(folder)
    (tmp_path / "results").mkdir()
    for version, seconds in (("0.9", 4.0), ("0.12.0.1", 1.0), ("0.10.2", 2.0)):
        record["versions"]["jax"] = version
        for cells in record["rows"]["dense-2x16x3x8"]["cells"].values():
            cells["jattn"]["median"], cells["jax.nn"]["median"] = seconds, 3.0
        path = tmp_path / "results" / f"benchmark-jax-{version}.json"
        path.write_text(json.dumps(record))
    records = newest_first(tmp_path)
    assert [each["versions"]["jax"] for _, each in records] == ["0.12.0.1", "0.10.2", "0.9"]
    text = page.write(records, tmp_path).read_text()
    assert "**Every row, jax 0.12.0.1**" in text
    assert "| dense-2x16x3x8 | forward | 1 s | 2 s | 4 s | 3.00 | 1.50 | 0.75 |" in text


def test_the_forms_of_the_delta_rule_are_listed(capsys):
    small = ["--steps", "40", "--heads", "1", "--size", "2", "--repeats", "1"]
    assert delta_rule.main(small) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0].strip() for line in lines[1:4]] == [
        "step by step",
        "in chunks",
        "ratio",
    ]
    assert len(lines) == 8
