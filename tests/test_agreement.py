"""Agreement with other libraries: every entry whose library is installed, and the measurement."""

import sys

import numpy as np
import pytest

import jattn
from experiments.differences.agreement import __main__ as command
from experiments.differences.agreement.entry import BOUND, Entry, by_numpy, error, measure, normal
from jattn.catalog import MECHANISMS

NAMES = {mechanism.name for mechanism in MECHANISMS}


@pytest.mark.filterwarnings("ignore")  # Of the libraries: their own imports and old names.
@pytest.mark.parametrize("library", command.LIBRARIES)
def test_a_library_agrees_or_differs_as_stated(library):
    try:
        entries = command.entries_of(library)
    except command.NotInstalled as missing:
        pytest.skip(str(missing))
    for entry in entries:
        assert entry.mechanism in NAMES
        agreement = measure(entry)
        if entry.differs:
            assert agreement.largest > 1e-3, f"{entry.name}: {agreement}"
        else:
            assert agreement.largest <= BOUND, f"{entry.name}: {agreement}"


def softmax_entry(theirs):
    run = lambda inputs, cotangents: ([theirs(inputs[0])], None)
    return Entry("softmax", "numpy", "exp", (normal(3, 4),), jattn.softmax, run)


def test_the_measurement_sees_a_sixth_digit():
    exact = lambda scores: np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    assert measure(softmax_entry(exact)).largest < 1e-15
    assert measure(softmax_entry(lambda scores: exact(scores) * (1 + 2e-6))).largest > BOUND
    assert measure(softmax_entry(lambda scores: exact(scores) * np.nan)).largest == np.inf


def test_the_measurement_compares_gradients():
    def run(inputs, cotangents):
        weights = np.asarray(jattn.softmax(inputs[0]))
        return [weights], [2.0 * weights]

    entry = Entry("softmax", "numpy", "exp", (normal(3, 4),), jattn.softmax, run)
    agreement = measure(entry)
    assert agreement.values < 1e-15
    assert agreement.largest > 0.1


def test_outputs_of_other_shapes_and_dtypes_are_refused():
    for changed, kind in (
        (lambda scores: scores[0], ValueError),
        (lambda scores: scores.astype(np.float32), TypeError),
    ):
        with pytest.raises(kind, match="of the library"):
            measure(Entry("softmax", "numpy", "x", (normal(3, 4),), jattn.softmax,
                          by_numpy(changed)))  # fmt: skip
    assert error([np.zeros(2)], [np.zeros(2)]) == 0.0


def test_the_command_lists_a_library_that_is_not_installed(monkeypatch, capsys):
    monkeypatch.setattr(command, "version_of", lambda library: None)
    monkeypatch.setattr(sys, "argv", ["agreement", "--only", "onnx", "--markdown"])
    assert command.main() == 0
    assert "| onnx | not installed |" in capsys.readouterr().out


def test_the_command_fails_where_a_library_is_beyond_the_bound(monkeypatch, capsys):
    entries = [softmax_entry(lambda scores: np.exp(scores))]
    monkeypatch.setattr(command, "entries_of", lambda library: entries)
    monkeypatch.setattr(sys, "argv", ["agreement", "--only", "onnx"])
    assert command.main() == 1
    assert capsys.readouterr().err == "beyond 1e-06: softmax, numpy exp\n"


def test_an_unknown_library_is_one_line_and_exit_code_2(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["agreement", "--only", "nothing"])
    with pytest.raises(SystemExit) as exit_code:
        command.main()
    assert exit_code.value.code == 2
    assert "--only: nothing is none of torch, entmax" in capsys.readouterr().err.splitlines()[-1]
