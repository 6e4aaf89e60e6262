"""Processes of a job: whatever happens to one, all end, with one line that says why."""

import contextlib
import dataclasses
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from experiments.scaling.config import SMOKE
from experiments.scaling.processes import Processes, ProcessFailed

COMMAND = [sys.executable, "-m", "experiments.scaling", "--smoke"]


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
    words = [*COMMAND, "--start-limit", "10", "--out", str(tmp_path)]
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
    # On a machine that is busy, the other one may not be up either.
    expected = r"process (0, )?1 of 0 to 1 did not come up within 10 s; all were ended"
    assert re.fullmatch(f"experiments.scaling: {expected}\n", complaint)
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
    job = {"config": dataclasses.asdict(SMOKE), "values": os.devnull}
    limits: Any = {"start_limit": 60.0, "limit": 300.0}
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
    limits: Any = {"start_limit": 2.0, "limit": 3.0, "worker": worker}
    with Processes({}, 2, **limits) as group, pytest.raises(ProcessFailed) as raised:
        group.results_of_all()
    assert str(raised.value) == complaint
    assert all(process.returncode is not None for process in group.processes)


def test_results_are_in_the_order_of_the_processes():
    job = "job = json.loads(sys.stdin.readline())"
    code = f"{SAYS}\n{job}\n{JOINS}; say(advance=2); say(result=i + job['x'])"
    worker = [sys.executable, "-c", code]
    advanced = []
    with Processes({"x": 5}, 3, start_limit=20, limit=20, worker=worker) as group:
        assert group.results_of_all(advanced.append) == [5, 6, 7]
    assert advanced == [2]
