"""Training in several processes: its values, what ends it, its formulas, and its page."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from experiments import results
from experiments.scaling import collectives, cost_model, page, predictions, report, schemes, values
from experiments.scaling.__main__ import main
from experiments.scaling.collectives import Traffic
from experiments.scaling.config import SMOKE, Config
from experiments.scaling.cost_model import Constants, Costs
from experiments.scaling.processes import ProcessFailed, Processes

COMMAND = [sys.executable, "-m", "experiments.scaling", "--smoke"]
LAYER = schemes.Layer(heads=4, key_value_heads=2, head_size=8)


def test_a_small_run_has_the_values_of_one_device_and_the_traffic_of_the_formulas(tmp_path, capsys):
    """The command checks both and returns 1 if one of them is wrong."""
    assert main(["--smoke", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    record = json.loads((tmp_path / "results.json").read_text())
    compared, data_parallel, *_ = record["tables"]
    assert [row[:2] for row in compared["rows"]] == [
        [name, "2"] for name in ("data parallel", *schemes.SCHEMES)
    ]
    assert all(float(row[3]) < 1e-12 for row in compared["rows"])
    assert float(data_parallel["rows"][1][1]) > 0
    assert {row["devices"] for row in record["measured"]} == {1, 2}
    assert all(row["sent"] == row["costs"][1:] for row in record["measured"])
    assert (tmp_path / "scaling.png").read_bytes().startswith(b"\x89PNG")


def children(process):
    """Returns the ids of the processes that a process has started and that have not ended."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
            if int(parent) == process and state != "Z":
                found.append(int(path.parent.name))
    return found


def is_alive(process):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def until(found, seconds=60.0):
    began = time.monotonic()
    while not (value := found()):
        assert time.monotonic() - began < seconds
        time.sleep(0.05)
    return value


@pytest.fixture
def command(tmp_path):
    """Starts the command; yields it and the two processes of its second job."""
    words = [*COMMAND, "--start-limit", "20", "--out", str(tmp_path)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    both = []
    try:
        both += until(lambda: pair if len(pair := children(process.pid)) == 2 else [])
        yield process, both
    finally:
        process.kill()
        process.communicate()
        assert until(lambda: not any(map(is_alive, both)), 10.0)


def test_a_process_that_is_killed_ends_the_others_with_one_line(command):
    process, both = command
    os.kill(both[1], signal.SIGKILL)
    _, complaint = process.communicate(timeout=30)
    assert process.returncode == 1
    expected = "process 1 of 0 to 1 was killed by SIGKILL; the others were ended"
    assert complaint == f"experiments.scaling: {expected}\n"
    assert not any(map(is_alive, both))


def test_a_process_that_does_not_come_up_ends_the_others_with_one_line(command):
    process, both = command
    os.kill(both[1], signal.SIGSTOP)
    _, complaint = process.communicate(timeout=50)
    assert process.returncode == 1
    expected = "process 1 of 0 to 1 did not come up within 20 s; all were ended"
    assert complaint == f"experiments.scaling: {expected}\n"
    assert not any(map(is_alive, both))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_no_process_outlives_the_command(command, number, code):
    process, both = command
    process.send_signal(number)
    _, complaint = process.communicate(timeout=30)
    assert process.returncode == code
    assert complaint == ("stopped\n" if code == 143 else "")
    assert until(lambda: not any(map(is_alive, both)))


def test_a_process_that_is_killed_in_a_collective_is_named_and_the_other_ends():
    job = {"config": SMOKE.__dict__}
    limits = {"start_limit": 60.0, "limit": 300.0}
    expected = "^process 1 of 0 to 1 was killed by SIGKILL; the others were ended$"
    with Processes(job, 2, **limits) as group, pytest.raises(ProcessFailed, match=expected):
        group.results_of_all(lambda parts: group.processes[1].kill())
    assert all(process.returncode == -signal.SIGKILL for process in group.processes)


# Stand-ins for the worker: what each does once it has read its job.
SAYS = "import json, sys; i = int(sys.argv[1]); say = lambda **x: print(json.dumps(x), flush=True)"
JOINS = "say(state='started'); say(state='joined')"
STANDS_IN = {
    "process 1 of 0 to 1 ended with code 1: ValueError: no; the others were ended": (
        f"{JOINS}; i or sys.stdin.read()\nif i: raise ValueError('no')"
    ),
    "process 0 of 0 to 1 ended with code 3: no message; the others were ended": (
        "sys.exit(3) if i == 0 else sys.stdin.read()"
    ),
    "process 1 of 0 to 1 ended without a result; the others were ended": (
        f"{JOINS}; i or sys.stdin.read()"
    ),
    "process 1 of 0 to 1 did not come up within 2 s; all were ended": (
        "say(state='started'); i == 0 and say(state='joined'); sys.stdin.read()"
    ),
    "process 0 of 0 to 1 took more than 3 s; all were ended": (
        f"{JOINS}; say(result=i) if i else sys.stdin.read()"
    ),
}


@pytest.mark.parametrize("complaint", STANDS_IN)
def test_what_a_process_does_wrong_is_one_line(complaint):
    worker = [sys.executable, "-c", f"{SAYS}\nsys.stdin.readline()\n{STANDS_IN[complaint]}"]
    limits = {"start_limit": 2.0, "limit": 3.0, "worker": worker}
    with Processes({}, 2, **limits) as group, pytest.raises(ProcessFailed) as raised:
        group.results_of_all()
    assert str(raised.value) == complaint
    assert all(process.returncode is not None for process in group.processes)


def test_results_are_in_the_order_of_the_processes():
    code = f"{SAYS}\njob = json.loads(sys.stdin.readline())\n{JOINS}; say(advance=2); say(result=i + job['x'])"
    advanced = []
    with Processes({"x": 5}, 3, start_limit=9, limit=9, worker=[sys.executable, "-c", code]) as all3:
        assert all3.results_of_all(advanced.append) == [5, 6, 7]
    assert advanced == [2]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--processes", "1"], "--processes is 1, expected at least 2"),
        (["--processes", "3"], "--batch-size is 32, expected a multiple of 3 for 3 processes"),
        (["--tokens", "1024", "12"], "--tokens is 12, expected a multiple of 8 for 4 processes"),
        (["--heads", "6"], "--heads is 6, expected a multiple of --key-value-heads=4"),
        (["--head-size", "3"], "--head-size is 3, expected an even number"),
    ],
)
def test_sizes_that_do_not_divide_are_refused(words, complaint, tmp_path, capsys):
    assert main([*words, "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"experiments.scaling: {complaint}\n"


def test_values_that_differ_are_found():
    ones = {kind: [1.0, -4.0] for kind in values.TOLERANCES}
    run = {"data_parallel": ones, "compared": {"one device": ones}}
    other = {"data_parallel": ones, "compared": {"ring": {**ones, "gradient": [1.0, -4.0004]}}}
    same, differs = values.compared({2: other, 1: run}, "one device")
    assert (same.is_within, differs.is_within) == (True, False)
    assert differs.differences["gradient"] == pytest.approx(1e-4)
    assert values.difference([np.nan], [1.0]) == values.difference([1.0, 1.0], [1.0]) == np.inf


PROGRAM = """\
HloModule jit_f, entry_computation_layout={(f32[4]{0})->f32[4]{0}}

%add (a: f32[], b: f32[]) -> f32[] {
  ROOT %sum = f32[] add(%a, %b)
}
%body.1 (state: (s32[], f32[3,2])) -> (s32[], f32[3,2]) {
  %moved.1 = bf16[3,2]{1,0} collective-permute(%x), source_target_pairs={{0,1},{1,0}}
}
%less (state: (s32[], f32[3,2])) -> pred[] {
}
%left (x: f32[2]) -> f32[2] {
  %all = f32[8]{0} all-gather(%x), dimensions={0}
}
%right (x: f32[2]) -> f32[2] {
}
%inner (x: f32[4]) -> f32[4] {
  %parts.1 = (f32[2]{0}, f32[2]{0}) all-to-all(%x, %y), replica_groups={{0,1,2,3}}
}
ENTRY %main.3 (x: f32[4]) -> f32[4] {
  %loop = (s32[], f32[3,2]) while(%start), condition=%less, body=%body.1, backend_config={"known_trip_count":{"n":"5"}}
  %chosen = f32[2] conditional(%p, %x, %x), branch_computations={%left, %right}
  %called = f32[4] call(%x), to_apply=%inner
  %total = f64[5]{0} all-reduce(%y), to_apply=%add
  ROOT %part = f32[2]{0} reduce-scatter(%z), dimensions={0}, to_apply=%add
}
"""


def test_traffic_is_counted_with_loops_and_calls():
    by_part = [(5 * 12, 5), (32 * 3 / 4, 3), (16 * 3 / 4, 3), (2 * 40 * 3 / 4, 6), (8 * 3, 3)]
    expected = tuple(map(sum, zip(*by_part, strict=True)))
    assert collectives.traffic(PROGRAM, 4) == expected
    assert collectives.traffic(PROGRAM, 1) == Traffic()
    for old, new, complaint in (
        (', backend_config={"known_trip_count":{"n":"5"}}', "", "no known trip count"),
        ("all-to-all(", "ragged-all-to-all(", "ragged-all-to-all"),
        ("all-gather(", "all-gather-start(", "asynchronous"),
    ):
        with pytest.raises(ValueError, match=complaint):
            collectives.traffic(PROGRAM.replace(old, new), 4)


def test_pairs_are_those_under_the_causal_mask():
    under_the_mask = np.tri(24)
    devices = 4
    rows = under_the_mask.sum(1)
    parts = rows.reshape(devices, -1).sum(1)
    np.testing.assert_array_equal(schemes.contiguous_pairs(devices, 24), parts)
    chunks = rows.reshape(2 * devices, -1).sum(1)
    np.testing.assert_array_equal(schemes.zigzag_pairs(devices, 24), (chunks + chunks[::-1])[:4])
    np.testing.assert_array_equal(schemes.equal_pairs(devices, 24), np.full(4, rows.sum() / 4))


def test_the_cost_model_finds_constants_that_made_the_times():
    constants = Constants(rate=3e10, bandwidth=2e9, latency=5e-4)
    rng = np.random.default_rng(0)
    steps = [Costs(*row) for row in rng.random((9, 3)) * [1e10, 1e8, 30]]
    times = [row[0] / 3e10 + row[1] / 2e9 + row[2] * 5e-4 for row in steps]
    assert [cost_model.seconds(step, constants) for step in steps] == pytest.approx(times)
    assert cost_model.fit(steps, times) == pytest.approx(constants)
    free = cost_model.fit(steps, [row.operations / 3e10 for row in steps])
    assert free.rate == pytest.approx(3e10)
    assert free.latency == pytest.approx(0, abs=1e-12)
    with pytest.raises(ValueError, match="fit: 2 steps have 2 times"):
        cost_model.fit(steps[:2], times[:2])


def test_without_communication_efficiency_is_that_of_the_balance():
    free = Constants(1e12, np.inf, 0.0)
    for each in predictions.predict(free):
        pairs = schemes.SCHEMES[each.scheme].pairs(each.devices, predictions.TOKENS)
        assert each.efficiency == pytest.approx(pairs.mean() / pairs.max(), rel=1e-6)
        assert each.efficiency * each.devices * each.seconds == pytest.approx(
            schemes.needed(predictions.TOKENS, predictions.LAYER) / 1e12
        )


def test_predictions_for_another_machine(capsys):
    words = ["predict", "--rate", "1e14", "--bandwidth", "1e10", "--latency", "1e-5"]
    assert main([*words, "--devices", "16", "--length", "65536"]) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[0] == "Predictions for 65,536 tokens"
    assert len(table) == 3 + len(schemes.SCHEMES)
    assert main(["--steps", "2", *words]) == 2
    assert "--steps has no effect on predict" in capsys.readouterr().err


def test_the_page_has_the_tables_of_its_record():
    text = page.PAGE.read_text("utf-8")
    record = json.loads(page.RECORD.read_text("utf-8"))
    assert page.filled(text, record) == text
    assert [match[1] for match in page.BLOCK.findall(text)] == [x["title"] for x in record["tables"]]
    with pytest.raises(ValueError, match="is no table of the record"):
        page.filled(text, {"tables": []})
    assert Config(**record["config"]).steps == Config().steps
    assert results.markdown(record["tables"][0]) in text
