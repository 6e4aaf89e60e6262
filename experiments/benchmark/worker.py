"""A process that measures one peer: reads commands, answers each with a value or with a reason."""

import contextlib
import ctypes
import gc
import os
import pickle
import re
import sys
import time
from typing import Any

THREADS = 2
COLLECTIVE = re.compile(
    r" (?:all-gather|all-reduce|all-to-all|reduce-scatter|collective-[a-z]+)(?:-start)?\("
)


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("experiments.benchmark.worker: expected one peer; the benchmark starts it")
    peer = sys.argv[1]
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # Libraries print, and that is no answer.
    if hasattr(os, "sched_setaffinity"):  # XLA has as many threads as there are processors.
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])
    measuring = Measuring(peer)
    while True:
        try:
            command, arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer = True, getattr(measuring, command)(*arguments)
        except Exception as error:  # Each library has exceptions of its own.
            answer = False, reason(error)
        pickle.dump(answer, answers)
        answers.flush()


def reason(error: Exception) -> str:
    """Returns the library's message, or the reason not to ask it, in one line."""
    if isinstance(error, ModuleNotFoundError):
        return "not installed"
    text = " ".join(str(error).split())
    text = text if len(text) < 200 else text[:199] + "…"
    is_own = type(error).__name__ == "Unsupported"
    return text if is_own else f"raises {type(error).__name__}: {text}"


class Measuring:
    """The row that is asked about, prepared."""

    def __init__(self, peer: str):
        self.peer = peer
        self.row: Any = None
        self.inputs: Any = None
        self.prepared: Any = None

    def prepare(self, row: Any, direction: str) -> float:
        """Takes up a row; returns the seconds that compiling takes."""
        from experiments.benchmark.inputs import draw
        from experiments.benchmark.prepared import offered

        self.prepared = None
        gc.collect()
        function = offered(self.peer, row)
        if row != self.row:
            self.row, self.inputs = row, draw(row)
        self.prepared = function(row, self.inputs, direction)
        began = time.perf_counter()
        self.prepared.compile()
        return time.perf_counter() - began

    def forget(self) -> None:
        self.row = self.inputs = self.prepared = None
        gc.collect()

    def check(self) -> tuple[float, dict]:
        """Returns the seconds of the first call, and the part of its result that is compared."""
        from experiments.benchmark.checks import checked

        began = time.perf_counter()
        returned = self.prepared.call()
        seconds = time.perf_counter() - began
        return seconds, checked(self.row, self.inputs, self.prepared.result(returned))

    def collectives(self) -> int:
        """Returns the number of operations of the program that exchange data between devices."""
        return len(COLLECTIVE.findall(self.prepared.program()))

    def operations(self) -> tuple[float, float]:
        """Returns the operations of the row's products, and how many a second large ones take."""
        import jax.numpy as jnp

        from experiments.benchmark.inputs import operations

        large = jnp.ones((2048, 2048), jnp.float32)
        durations = []
        for _ in range(7):
            began = time.perf_counter()
            (large @ large).block_until_ready()
            durations.append(time.perf_counter() - began)
        return operations(self.row, self.inputs), 2 * 2048**3 / sorted(durations)[3]

    def time(self, seconds: float, calls: int) -> list[float]:
        """Returns durations of single calls: as many as fit into `seconds`, from one to `calls`."""
        durations: list[float] = []
        gc.disable()
        while not durations or (sum(durations) < seconds and len(durations) < calls):
            began = time.perf_counter()
            returned = self.prepared.call()
            durations.append(time.perf_counter() - began)
            del returned
        gc.enable()
        # The first one after a rest wakes threads and fills caches.
        return durations[1:] if len(durations) > 4 else durations

    def peak(self) -> tuple[float, int]:
        """Returns the seconds of a call and its peak bytes, without inputs and compiled code."""
        gc.collect()
        release_free_memory()
        before = start_high_water()
        began = time.perf_counter()
        returned = self.prepared.call()
        seconds = time.perf_counter() - began
        peak = status("VmHWM") - before + self.prepared.held
        del returned
        return seconds, max(peak, 0)


def release_free_memory() -> None:
    """Returns freed memory to the system, so that it is counted when it is used again."""
    with contextlib.suppress(AttributeError):  # Another C library.
        ctypes.CDLL(None).malloc_trim(0)


def start_high_water() -> int:
    """Resets the largest size of the process; returns its size in bytes."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")  # proc(5): resets the high-water mark to the present size.
    except OSError:
        return status("VmHWM")
    return status("VmRSS")


def status(name: str, process: int | str = "self") -> int:
    """Returns a size of a process, in bytes."""
    with open(f"/proc/{process}/status") as file:
        line = next(line for line in file if line.startswith(name + ":"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()
