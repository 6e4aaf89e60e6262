"""Ctrl-C that lets the step in hand finish."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator

NOTICE = b"\nfinishing this step; Ctrl-C again stops at once\n"


@contextlib.contextmanager
def deferred_interrupt() -> Iterator[Callable[[], bool]]:
    """Yields a function that says whether Ctrl-C has been pressed since.

    The first one is only noted, and gives the old handler its place back, so that the second
    acts at once. Where signals cannot be handled (outside the main thread) or are ignored
    (`nohup`), nothing changes.
    """
    requests = []
    previous = signal.getsignal(signal.SIGINT)

    def note(_number, _frame):
        requests.append(True)
        signal.signal(signal.SIGINT, previous)
        os.write(2, NOTICE)  # `print` may be in the middle of a write that the signal interrupted.

    handles = previous not in (None, signal.SIG_IGN)
    if not handles or threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(requests)
    finally:
        signal.signal(signal.SIGINT, previous)
