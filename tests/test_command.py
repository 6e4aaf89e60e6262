"""The `jattn` command: its output, and one line with exit code 2 for each mistake."""

import errno
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jattn import __main__ as command
from jattn import descriptions, testing
from jattn.catalog import MECHANISMS, skeleton
from jattn.catalog.row import SIZES

ROOT = Path(__file__).parent.parent


def test_every_mechanism_is_listed(capsys):
    assert command.main(["list"]) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == ["name", "family", "cost", "paper"]
    assert [line.split()[:2] for line in lines] == [[row.name, row.family] for row in MECHANISMS]
    for line, row in zip(lines, MECHANISMS, strict=True):
        assert row.cost in line
        assert row.paper in line


def test_a_family_is_listed_as_json(capsys):
    assert command.main(["list", "--family", "score", "--json"]) == 0
    records = json.loads(capsys.readouterr().out)
    assert [x["name"] for x in records] == [row.name for row in MECHANISMS if row.family == "score"]
    dot = records[0]
    assert dot["function"] == "jattn.attention.dot.dot_attention"
    assert dot["arguments"]["query"] == "[t k]"
    assert dot["paper"].startswith("Luong et al. 2015")


def test_a_mechanism_is_shown_with_its_laws_and_errors(capsys):
    assert command.main(["show", "off_by_one_softmax"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("off_by_one_softmax\n")
    for part in (
        "exp(scores[s]) / (1 + Σ exp(scores))",
        "source: Miller 2023",
        "law: a softmax with one more key",
        "exception from S6: a row of weights does not sum to one",
        "errors in float64: ",
    ):
        assert part in shown
    scores = next(line.split() for line in shown.splitlines() if line.startswith("scores"))
    assert scores == ["scores", "[t", "s]"]


@pytest.mark.parametrize("sizes", [{}, {"t": 2, "s": 17}])
def test_a_mechanism_is_traced_in_the_sizes_asked_for(capsys, sizes):
    options = [part for axis, size in sizes.items() for part in (f"--{axis}", str(size))]
    assert command.main(["trace", "dot_attention", *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    t, s, v = ({**SIZES, **sizes}[axis] for axis in "tsv")
    assert lines[2].startswith(f"score   scores        [{t}, {s}]")
    assert lines[4].startswith(f"decode  context       [{t}, {v}]")


def test_a_mechanism_is_checked_in_each_of_its_cases(capsys, monkeypatch):
    def check(function, oracle, inputs, *, tolerance, **_):  # The value alone: the rest is slow.
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
    monkeypatch.setattr(descriptions, "ROUNDING", {"float32": 2.0**-24})
    assert command.main(["list", "--markdown"]) == 0
    text = capsys.readouterr().out
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| [")]
    assert [row[0] for row in rows] == ["| [`dot_attention`](../jattn/attention/dot.py)"]
    assert "[arXiv:1508.04025](https://arxiv.org/abs/1508.04025), 3.1" in rows[0][2]
    value, gradient = map(float, rows[0][-1].removesuffix(" |").split(" / "))
    assert 0.0 < value < 8.0
    assert 0.0 < gradient < 32.0
    monkeypatch.setattr(descriptions, "markdown", lambda rows: text)  # Measured once is enough.
    assert command.main(["list", "--markdown", str(tmp_path / "table.md")]) == 0
    assert (tmp_path / "table.md").read_text(encoding="utf-8") == text


WRONG = {
    "trace adittive_attention": "jattn trace: argument mechanism: no mechanism is called "
    "adittive_attention; near: additive_attention",
    "check attend": "jattn check: argument mechanism: no mechanism is called attend; near: ",
    "trace xyz": "no mechanism is called xyz; near: `jattn list` lists all",
    "trace dot_attention --t 0": "argument --t: 0 is no size, expected at least 1",
    "trace dot_attention --t two": "argument --t: two is no size, expected at least 1",
    "trace dot_attention --t 2147483648": "2147483648 is no size, expected at most 2147483647",
    "trace dot_attention --t 99999999999999999999": "is no size, expected at most 2147483647",
    "trace dot_attention --t -1": "argument --t: ",
    "trace \x1b[31m": "no mechanism is called \\x1b[31m",
    "trace dot_attention --n 11": "jattn: dot_attention has no axis n",
    "trace softmax": "jattn: trace: softmax names no intermediate",
    "list --markdown {file}/table.md": "cannot write: ",
    "list --markdown {file}/..": "cannot write: ",
    "list --mark table.md": "unrecognized arguments: --mark table.md",
    "check": "jattn check: the following arguments are required: mechanism",
    "new 3d": "jattn: 3d is no name, expected lower-case words joined by underscores",
    "new Cosine": "jattn: Cosine is no name, expected lower-case words joined by underscores",
    "new class": "jattn: class is no name",
    "new _attention": "jattn: _attention is no name",
    "new dot": "jattn: dot is taken: jattn.dot_attention exists",
    "new dot_attention": "jattn: dot_attention is taken: jattn.dot_attention exists",
    "new affine --family layer": "jattn: affine is taken: jattn.affine exists",
    "new norms --family layer": "jattn: norms is taken: jattn/layers/norms.py exists",
    "new cosine --family sort": "jattn new: argument --family: invalid choice: 'sort'",
    "new cosine --in {file}/folder": "cannot write: ",
    "": "jattn: the following arguments are required: command",
    "draw": "jattn: argument command: invalid choice: 'draw'",
}


@pytest.mark.parametrize("line", WRONG)
def test_what_is_wrong_is_one_line_and_exit_code_2(capsys, monkeypatch, tmp_path, line):
    # So that nothing is measured first: options are checked before the work.
    monkeypatch.setattr(descriptions, "markdown", lambda rows: pytest.fail("measured"))
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit) as stopped:
        command.main(line.format(file=tmp_path / "file").split())
    printed = capsys.readouterr()
    assert stopped.value.code == 2
    assert WRONG[line] in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""


def options_of(parser):
    """Yields the arguments of the parser and of its commands."""
    for action in parser._actions:
        yield action
        for command_parser in (action.choices or {}).values() if action.dest == "command" else ():
            yield from options_of(command_parser)


def test_every_option_says_what_it_is():
    options = list(options_of(command.command_line()))
    assert len(options) > 20
    assert [x.dest for x in options if not x.help and x.dest != "command"] == []


def test_output_that_cannot_be_written_is_one_line(monkeypatch, capsys):
    class Full(io.StringIO):
        def flush(self):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sys, "stdout", Full())
    with pytest.raises(SystemExit) as stopped:
        command.main(["list"])
    assert stopped.value.code == 2
    assert capsys.readouterr().err == "jattn: No space left on device\n"


@pytest.mark.parametrize("raised", [MemoryError(), RuntimeError("no\nbackend"), OverflowError("x")])
def test_what_the_machine_cannot_do_is_one_line(monkeypatch, capsys, raised):
    def fail(*_):
        raise raised

    monkeypatch.setattr(command, "trace", fail)
    with pytest.raises(SystemExit) as stopped:
        command.main(["trace", "dot_attention"])
    assert stopped.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def run_as_a_program(*arguments, **options):
    run = [sys.executable, "-W", "error", *arguments]
    return subprocess.run(run, stderr=subprocess.PIPE, cwd=ROOT, **options)


def test_a_reader_that_has_enough_ends_the_command_quietly():
    reader, writer = os.pipe()
    os.close(reader)
    done = run_as_a_program("-m", "jattn", "list", stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


# A container's user without a name or a home, and a terminal that has no letters but ASCII.
BARE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
UNKNOWN_USER = """
import os, sys
from jattn.__main__ import main  # Such a user may not be able to read the packages.
if os.getuid() == 0:
    os.setgid(54321), os.setuid(54321)
sys.exit(main(["list"]))
"""


def test_an_unknown_user_at_an_ascii_terminal_reads_the_table():
    environment = {name: x for name, x in os.environ.items() if name not in ("HOME", "LANG")}
    done = run_as_a_program(
        *("-B", "-c", UNKNOWN_USER), stdout=subprocess.PIPE, env=environment | BARE
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"h s\xb2 (e + u)" in done.stdout
    assert done.stdout.count(b"\n") == len(MECHANISMS) + 1


def test_the_module_runs():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "jattn", "trace", "dot_product"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("jattn trace: argument mechanism: no mechanism is called")


def test_a_new_mechanism_of_ones_own_is_three_files(capsys, tmp_path):
    assert command.main(["new", "ring", "--in", str(tmp_path / "mine")]) == 0
    names = ["ring.py", "ring_oracle.py", "test_ring.py"]
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == names
    assert [Path(line).name for line in capsys.readouterr().out.splitlines()[:3]] == names
    sources = {name: (tmp_path / "mine" / name).read_text("utf-8") for name in names}
    mechanism, oracle = {}, {}
    exec(compile(sources["ring_oracle.py"], "ring_oracle.py", "exec"), oracle)
    exec(compile(sources["ring.py"], "ring.py", "exec"), mechanism)
    inputs = [np.random.default_rng(0).standard_normal(shape) for shape in ((3, 7), (5, 7), (5, 2))]
    value = mechanism["ring_attention"](*inputs)
    testing.assert_close(value, oracle["ring_attention"](*inputs)[0], 1e-6)
    with pytest.raises(SystemExit):
        command.main(["new", "ring_attention", "--in", str(tmp_path / "mine")])
    assert "ring_attention is taken: " in capsys.readouterr().err
    assert sources == {name: (tmp_path / "mine" / name).read_text("utf-8") for name in names}


def test_a_new_mechanism_is_refused_where_there_is_no_repository(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(command.jattn, "__file__", str(tmp_path / "jattn/__init__.py"))
    with pytest.raises(SystemExit) as stopped:
        command.main(["new", "ring"])
    assert stopped.value.code == 2
    assert "no clone of its repository; --in FOLDER writes files for" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_files_are_written_all_or_not_at_all(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("before")
    with pytest.raises(OSError, match="cannot write"):
        skeleton.write_all({old: "after", new: "text", old / "below a file": "text"})
    assert old.read_text() == "before"
    assert not new.exists()


def test_errors_are_in_units_of_rounding():
    row = next(row for row in MECHANISMS if row.name == "dot_attention")
    value, gradient = map(float, descriptions.errors(row, "float32").split(" / "))
    assert 0.0 < value < 8.0
    assert value < gradient < 32.0
