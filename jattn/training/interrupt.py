"""Signals that wait until the current training step is done."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator

NOTICES = {
    signal.SIGINT: b"\nfinishing this step; Ctrl-C again stops at once\n",
    signal.SIGTERM: b"\nfinishing this step, to save before terminating\n",
}


@contextlib.contextmanager
def deferred_signals() -> Iterator[Callable[[], bool]]:
    """Yields a function that returns whether Ctrl-C or SIGTERM has arrived since.

    The first Ctrl-C is only noted, and restores the previous handler, so that the second acts at
    once. SIGTERM is only noted, however often it arrives (`timeout` sends it twice), and is raised
    again at the end, when the previous handler is back. Signals that are ignored (`nohup`) or
    handled outside Python stay so; outside the main thread nothing can be handled.
    """
    received, previous = [], {}

    def note(number, _frame):
        if number not in received:
            with contextlib.suppress(OSError):  # Standard error may be closed.
                os.write(2, NOTICES[number])  # `print` may be in the middle of another write.
        received.append(number)
        if number == signal.SIGINT:
            signal.signal(number, previous[number])

    if threading.current_thread() is threading.main_thread():
        for number in NOTICES:
            handler = signal.getsignal(number)
            if handler not in (None, signal.SIG_IGN):
                previous[number] = handler
                signal.signal(number, note)
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        if signal.SIGTERM in received:
            signal.raise_signal(signal.SIGTERM)
