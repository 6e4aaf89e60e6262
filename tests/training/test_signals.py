"""Ctrl-C and SIGTERM wait for the step, and act as before once it is done."""

import signal

import pytest

from jattn.training.interrupt import deferred_signals


@pytest.fixture(params=[signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def handled(request):
    """A signal, and the list of its calls by the program's own handler."""
    calls = []
    previous = signal.signal(request.param, lambda number, _frame: calls.append(number))
    yield request.param, calls
    signal.signal(request.param, previous)


def test_the_first_signal_is_noted_and_only_sigterm_is_raised_again(handled):
    number, calls = handled
    handler = signal.getsignal(number)
    with deferred_signals() as interrupted:
        assert not interrupted()
        signal.raise_signal(number)
        assert interrupted()
        assert calls == []
    assert calls == [number] * (number == signal.SIGTERM)
    assert signal.getsignal(number) is handler


def test_sigterm_is_raised_again_at_the_end():
    calls = []
    previous = signal.signal(signal.SIGTERM, lambda number, _frame: calls.append(number))
    try:
        with deferred_signals():
            signal.raise_signal(signal.SIGTERM)
            assert calls == []
        assert calls == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, previous)


def test_a_second_ctrl_c_acts_at_once_and_a_second_sigterm_does_not(handled):
    number, calls = handled
    with deferred_signals():
        signal.raise_signal(number)
        signal.raise_signal(number)
        assert calls == [number] * (number == signal.SIGINT)
    assert calls == [number]


def test_without_a_signal_nothing_happens(handled):
    number, calls = handled
    handler = signal.getsignal(number)
    with deferred_signals():
        assert signal.getsignal(number) is not handler
    assert signal.getsignal(number) is handler
    assert calls == []


def test_a_signal_that_is_ignored_stays_ignored(handled):
    number, _ = handled
    signal.signal(number, signal.SIG_IGN)
    with deferred_signals() as interrupted:
        signal.raise_signal(number)
        assert not interrupted()
    assert signal.getsignal(number) is signal.SIG_IGN
