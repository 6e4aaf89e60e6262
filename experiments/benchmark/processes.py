"""The processes that measure, one a peer, watched for time and memory."""

import contextlib
import os
import pickle
import select
import subprocess
import sys
import tempfile
import time
from typing import Any

from experiments.benchmark.prepared import TRUTH
from experiments.benchmark.worker import status

GIB = 2**30
MOST, SPARE = 20 * GIB, 0.7 * GIB  # Memory that a process may hold, and of the system.


class Refused(Exception):
    """A peer that gave no value; the message is the reason, in one line."""


class Worker:
    """A process that measures `peer`; it is started when first asked and again after it died.

    limit: seconds an answer may take.
    devices: number of devices that JAX finds.
    """

    def __init__(self, peer: str, limit: float, devices: int):
        self.peer, self.limit, self.devices = peer, limit, devices
        self.process: subprocess.Popen | None = None

    def ask(self, command: str, *arguments: Any) -> Any:
        """Returns the answer to a command of `experiments.benchmark.worker`.

        Raises:
            Refused: the peer raised, ended, or took too long or too much memory.
        """
        process = self.process or self.start()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            pickle.dump((command, arguments), process.stdin)
            process.stdin.flush()
            self.watch(process)
            succeeded, value = pickle.load(process.stdout)
        except (EOFError, BrokenPipeError, pickle.UnpicklingError) as error:
            code = process.wait()
            self.stop()
            ended = f"killed by signal {-code}" if code < 0 else f"ended with code {code}"
            raise Refused(f"{ended}: {self.last_words()}".rstrip(": ")) from error
        except BaseException:
            self.stop()
            raise
        if not succeeded:
            raise Refused(value)
        return value

    def start(self) -> subprocess.Popen:
        command = [sys.executable, "-m", "experiments.benchmark.worker", self.peer]
        env = {**os.environ, "OMP_NUM_THREADS": "2", "TF_CPP_MIN_LOG_LEVEL": "3"}
        if self.devices > 1:
            env["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={self.devices}"
        self.said = tempfile.TemporaryFile()  # noqa: SIM115, as long as the process lives.
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.said,
            start_new_session=True,  # Ctrl-C is for the parent, which then ends its workers.
            env=env,
        )
        return self.process

    def watch(self, process: subprocess.Popen) -> None:
        """Waits for an answer within the limits of time and memory.

        Raises:
            Refused: it took too long, or the process grew too large.
        """
        assert process.stdout is not None
        began = time.monotonic()
        while not select.select([process.stdout], [], [], 0.1)[0]:
            if time.monotonic() - began > self.limit:
                raise Refused(f"takes more than {self.limit:g} s")
            held = held_by(process.pid)
            if held > MOST:
                raise Refused(f"needs more than {MOST / GIB:.3g} GiB")
            if available() < SPARE:
                raise Refused(f"needs more memory than is free, {held / GIB:.1f} GiB so far")

    def last_words(self) -> str:
        self.said.seek(0, os.SEEK_END)
        self.said.seek(max(0, self.said.tell() - 2000))
        lines = self.said.read().decode(errors="replace").split("\n")
        return next((line.strip()[:200] for line in reversed(lines) if line.strip()), "")

    def stop(self) -> None:
        if self.process is None:
            return
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):  # What was not sent is not needed.
                    stream.close()
        self.process = None


class Workers:
    """Workers by peer and number of devices; all end with the `with` statement."""

    def __init__(self, limit: float):
        self.limit = limit
        self.kept: dict[tuple[str, int], Worker] = {}

    def of(self, peer: str, devices: int = 1) -> Worker:
        """Returns the worker, a new one when first asked for."""
        if (peer, devices) not in self.kept:
            self.kept[peer, devices] = self.another(peer, devices)
        return self.kept[peer, devices]

    def another(self, peer: str, devices: int = 1) -> Worker:
        """Returns a new worker that is not kept."""
        longer = 10 if peer == TRUTH else 1  # float64 is slow, and without it a row has no errors.
        return Worker(peer, longer * self.limit, devices)

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_error: object) -> None:
        for worker in self.kept.values():
            worker.stop()


def held_by(process: int) -> int:
    try:
        return status("VmRSS", process)
    except (OSError, StopIteration):  # It has just ended.
        return 0


def available() -> float:
    with open("/proc/meminfo") as file:
        line = next(line for line in file if line.startswith("MemAvailable:"))
    return int(line.split()[1]) * 1024.0
