"""The `jattn` command: what it prints, and one clear line with exit code 2 for what is wrong."""

import subprocess
import sys
from pathlib import Path

import pytest

from jattn import __main__ as command
from jattn import testing
from jattn.catalog import MECHANISMS, SIZES

ROOT = Path(__file__).parent.parent


def test_every_mechanism_is_listed(capsys):
    assert command.main(["mechanisms"]) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == ["name", "family", "cost", "paper"]
    assert [line.split()[:2] for line in lines] == [[row.name, row.family] for row in MECHANISMS]
    for line, row in zip(lines, MECHANISMS, strict=True):
        assert row.cost in line
        assert row.paper in line


@pytest.mark.parametrize("sizes", [{}, {"t": 2, "s": 17}])
def test_a_mechanism_is_traced_in_the_sizes_asked_for(capsys, sizes):
    options = [part for axis, size in sizes.items() for part in (f"--{axis}", str(size))]
    assert command.main(["trace", "dot_attention", *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    t, s, v = ({**SIZES, **sizes}[axis] for axis in "tsv")
    assert lines[2].startswith(f"score   scores        [{t}, {s}]")
    assert lines[4].startswith(f"decode  context       [{t}, {v}]")


def test_a_mechanism_is_checked_in_each_of_its_cases(capsys, monkeypatch):
    def check(function, oracle, inputs, *, tolerance):  # The value alone: the rest is dear.
        findings = testing.compare("value", function(*inputs), oracle(*inputs)[0], tolerance)
        return testing.Report(function.__name__, findings)

    monkeypatch.setattr(command, "check", check)
    assert command.main(["check", "softmax"]) == 0
    printed = capsys.readouterr().out
    row = next(row for row in MECHANISMS if row.name == "softmax")
    assert printed.count("against its oracle") == printed.count("value") == len(row.cases)
    assert all(call.name in printed for call in row.calls())
    assert "FAILED" not in printed


def test_a_mechanism_that_fails_its_check_has_exit_code_1(capsys, monkeypatch):
    def failing(function, *_, **__):
        raise AssertionError(f"{function.__name__}: value FAILED")

    monkeypatch.setattr(command, "check", failing)
    assert command.main(["check", "dot_attention"]) == 1
    assert capsys.readouterr().out == "dot_attention: value FAILED\n"


def test_markdown_has_each_row_and_its_errors(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(
        command, "MECHANISMS", [row for row in MECHANISMS if row.name == "dot_attention"]
    )
    monkeypatch.setattr(command, "ROUNDING", {"float32": 2.0**-24})
    assert command.main(["mechanisms", "--markdown"]) == 0
    text = capsys.readouterr().out
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| [")]
    assert [row[0] for row in rows] == ["| [`dot_attention`](../jattn/attention/dot.py)"]
    assert "[arXiv:1508.04025](https://arxiv.org/abs/1508.04025), 3.1" in rows[0][2]
    value, gradient = map(float, rows[0][-1].removesuffix(" |").split(" / "))
    assert 0.0 < value < 8.0
    assert 0.0 < gradient < 32.0
    monkeypatch.setattr(command, "markdown", lambda: text)  # Measured once is enough.
    assert command.main(["mechanisms", "--markdown", str(tmp_path / "table.md")]) == 0
    assert (tmp_path / "table.md").read_text(encoding="utf-8") == text


WRONG = {
    "trace adittive_attention": "jattn trace: argument mechanism: no mechanism is called "
    "adittive_attention; near: additive_attention",
    "check attend": "jattn check: argument mechanism: no mechanism is called attend; near: ",
    "trace xyz": "no mechanism is called xyz; near: `jattn mechanisms` lists all",
    "trace dot_attention --t 0": "argument --t: 0 is no size, expected at least 1",
    "trace dot_attention --t two": "argument --t: two is no size, expected at least 1",
    "trace dot_attention --n 11": "jattn: dot_attention has no axis n",
    "trace softmax": "jattn: trace: softmax names no intermediate",
    "mechanisms --markdown {file}/table.md": "cannot write: ",
    "": "jattn: the following arguments are required: command",
    "draw": "jattn: argument command: invalid choice: 'draw'",
}


@pytest.mark.parametrize("line", WRONG)
def test_what_is_wrong_is_one_line_and_exit_code_2(capsys, monkeypatch, tmp_path, line):
    monkeypatch.setattr(command, "ROUNDING", {})  # So that no error is measured first.
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit) as stopped:
        command.main(line.format(file=tmp_path / "file").split())
    printed = capsys.readouterr()
    assert stopped.value.code == 2
    assert WRONG[line] in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""


def test_the_module_runs():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "jattn", "trace", "dot_product"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("jattn trace: argument mechanism: no mechanism is called")
