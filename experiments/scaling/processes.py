"""Processes of one job: started together, watched, and all ended as soon as one of them fails."""

import contextlib
import json
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

WORKER = (sys.executable, "-m", "experiments.scaling.worker")
LONGEST_END = 10.0  # Seconds from the end of a process's output to its own end.
NO_MESSAGE = "no message"


class ProcessFailed(Exception):
    """A process did not come up, ended early or took too long; the message is one line."""


class Processes:
    """Processes that JAX joins to one; all end with the `with` statement.

    They run `worker` with three arguments: the process's number, the number of all processes, and
    the address where they meet. Each reads `job` as a line of JSON from stdin, and ends when that
    closes, so that none outlives this process. On stdout it writes lines of JSON:
    {"state": "started"}, then {"state": "joined"}, then {"advance": n} for n finished parts of the
    job, and last {"result": value}.

    count: number of processes.
    start_limit: seconds until all have joined.
    limit: seconds until all have ended.
    flags: options of XLA, in addition to those of `XLA_FLAGS`.
    """

    def __init__(
        self,
        job: Mapping[str, Any],
        count: int,
        *,
        start_limit: float,
        limit: float,
        flags: str = "",
        worker: Sequence[str] = WORKER,
    ):
        self.job, self.count = dict(job), count
        self.start_limit, self.limit = start_limit, limit
        self.flags, self.worker = flags, worker
        self.processes: list[subprocess.Popen[bytes]] = []
        self.errors: list[Any] = []
        self.states = ["not started"] * count
        self.results: dict[int, Any] = {}

    def __enter__(self) -> "Processes":
        try:
            self.start()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self.end()

    def start(self) -> None:
        address = f"127.0.0.1:{free_port()}"
        line = json.dumps(self.job).encode() + b"\n"
        for index in range(self.count):
            self.errors.append(tempfile.TemporaryFile())  # noqa: SIM115, read when it has ended.
            process = subprocess.Popen(
                [*self.worker, str(index), str(self.count), address],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.errors[-1],
                start_new_session=True,  # Ctrl-C is for the parent, which then ends its processes.
                env=environment(self.flags),
            )
            self.processes.append(process)
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):  # It has ended: `results_of_all` says so.
                process.stdin.write(line)
                process.stdin.flush()

    def results_of_all(self, advance: Callable[[int], Any] = lambda parts: None) -> list[Any]:
        """Waits for the result of each process.

        Args:
            advance: called with the number of parts that the first process has finished.

        Raises:
            ProcessFailed: naming the process that failed first.
        """
        began = time.monotonic()
        with selectors.DefaultSelector() as selector:
            for index, process in enumerate(self.processes):
                assert process.stdout is not None
                selector.register(process.stdout, selectors.EVENT_READ, [index, b""])
            while selector.get_map():
                ended = []
                for key, _ in selector.select(timeout=0.2):
                    chunk = os.read(key.fd, 2**16)
                    if chunk:
                        *lines, key.data[1] = (key.data[1] + chunk).split(b"\n")
                        for line in lines:
                            self.read(key.data[0], json.loads(line), advance)
                    else:
                        selector.unregister(key.fileobj)
                        ended.append(key.data[0])
                self.check_ended(ended)
                self.check_time(time.monotonic() - began)
        return [self.results[index] for index in range(self.count)]

    def read(self, index: int, message: Mapping[str, Any], advance: Callable[[int], Any]) -> None:
        if "state" in message:
            self.states[index] = message["state"]
        elif "result" in message:
            self.results[index] = message["result"]
            self.states[index] = "finished"
        elif index == 0:
            advance(message["advance"])

    def check_ended(self, ended: Sequence[int]) -> None:
        """Raises ProcessFailed if one of the processes that ended has failed."""
        codes = {}
        for index in ended:
            try:
                codes[index] = self.processes[index].wait(LONGEST_END)
            except subprocess.TimeoutExpired:
                text = "closed its output and did not end"
                raise ProcessFailed(f"{self.name(index)} {text}; all were ended") from None
        # Of several at once, one that was killed is the reason why others stop.
        for index, code in sorted(codes.items(), key=lambda pair: pair[1]):
            if code < 0:
                reason = f"was killed by {signal.Signals(-code).name}"
            elif code:
                reason = f"ended with code {code}: {self.last_words(index)}"
            elif index not in self.results:
                reason = "ended without a result"
            else:
                continue
            raise ProcessFailed(f"{self.name(index)} {reason}; the others were ended")

    def check_time(self, seconds: float) -> None:
        """Raises ProcessFailed if the processes have not joined, or not ended, in time."""
        late = [i for i, state in enumerate(self.states) if state == "not started"]
        late = late or [i for i, state in enumerate(self.states) if state == "started"]
        if late and seconds > self.start_limit:
            text = f"did not come up within {self.start_limit:g} s"
            raise ProcessFailed(f"{self.name(*late)} {text}; all were ended")
        if seconds > self.limit:
            slow = [index for index in range(self.count) if self.states[index] != "finished"]
            slow = slow or list(range(self.count))
            text = f"took more than {self.limit:g} s"
            raise ProcessFailed(f"{self.name(*slow)} {text}; all were ended")

    def name(self, *indices: int) -> str:
        numbers = ", ".join(map(str, indices))
        return f"process {numbers} of 0 to {self.count - 1}"

    def last_words(self, index: int) -> str:
        """Returns the last line of a process's stderr that names an error, or the last line."""
        file = self.errors[index]
        file.seek(0)
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines()]
        lines = [line for line in lines if line]
        named = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b", line)]
        return (named or lines or [NO_MESSAGE])[-1][:200]

    def end(self) -> None:
        """Ends every process and what it has started, and waits until they have ended."""
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        for process in self.processes:
            process.wait()
            for stream in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):  # What was not sent is not needed.
                    if stream is not None:
                        stream.close()
        for file in self.errors:
            file.close()


def environment(flags: str) -> dict[str, str]:
    """Returns the variables of a process with one CPU device of its own."""
    given = os.environ.get("XLA_FLAGS", "")
    own_count = r"--xla_force_host_platform_device_count=\S*"
    flags = " ".join([*re.sub(own_count, "", given).split(), *flags.split()])
    own = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags, "TF_CPP_MIN_LOG_LEVEL": "3"}
    return {**os.environ, **own}


def free_port() -> int:
    """Returns a port of the loopback interface that nobody listens at."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
