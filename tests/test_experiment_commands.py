"""Commands of experiments: options are checked before work begins, and ends are what users expect.

Each experiment's own test has its own mistakes; here is what all of them share.
"""

import argparse
import dataclasses
import io
import os
import signal
import subprocess
import sys
import time

import pytest

from experiments import archive, browser, command, flex, results
from experiments.article import __main__ as article
from experiments.benchmark import __main__ as benchmark
from experiments.benchmark import options as benchmark_options
from experiments.captions import __main__ as captions
from experiments.choosing import __main__ as choosing
from experiments.emoji import __main__ as emoji
from experiments.fine_tuning import __main__ as fine_tuning
from experiments.language import __main__ as language
from experiments.pronunciation import __main__ as pronunciation
from experiments.scaling import __main__ as scaling
from experiments.speech import __main__ as speech
from experiments.translation import __main__ as translation
from experiments.vision import __main__ as vision

COMMANDS = {
    "article": (article.main, article.parser, []),
    "benchmark": (benchmark.main, benchmark_options.parser, []),
    "captions": (captions.main, captions.parser, []),
    "choosing": (choosing.main, choosing.parser, []),
    "emoji": (emoji.main, emoji.parser, []),
    "fine_tuning sentences": (fine_tuning.main, fine_tuning.parser, ["sentences"]),
    "fine_tuning pronunciation": (fine_tuning.main, fine_tuning.parser, ["pronunciation"]),
    "language": (language.main, language.parser, []),
    "pronunciation": (pronunciation.main, pronunciation.parser, []),
    "scaling": (scaling.main, scaling.parser, []),
    "speech languages": (speech.main, speech.parser, ["languages"]),
    "speech prompts": (speech.main, speech.parser, ["prompts"]),
    "speech vowels": (speech.main, speech.parser, ["vowels"]),
    "translation": (translation.main, translation.parser, []),
    "vision": (vision.main, vision.parser, []),
}


def parsers(parser):
    """The parser and those of its subcommands."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name in action.choices:
                yield from parsers(action.choices[name])


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_help(name):
    for parser in parsers(COMMANDS[name][1]()):
        assert "--help" in parser.format_help()
        for action in parser._actions:
            is_list = isinstance(action, argparse._SubParsersAction)
            assert is_list or action.help, action.option_strings


@pytest.mark.parametrize("name", COMMANDS)
def test_numbers_out_of_range_are_refused_by_name(name, capsys):
    _, parser, part = COMMANDS[name]
    whole, own = parser(), parser()
    if part:
        own = next(parser for parser in parsers(whole) if parser.prog.endswith(f" {part[0]}"))
    options = [action.option_strings[0] for action in own._actions if action.metavar == "N"]
    assert len(options) >= 3
    shares = ("--warmup", "--dropout", "--label-smoothing", "--erased")
    for option in options:
        for text in ("nan", "inf", "-1", "many", "1e400", *(["3"] if option in shares else [])):
            with pytest.raises(SystemExit, match="2"):
                whole.parse_args([*part, f"{option}={text}"])
            complaint = capsys.readouterr().err
            assert complaint.count("\n") == 1
            assert f": {option} is " in complaint
            assert "expected" in complaint


def made(work):
    """Runs a command whose work is the function."""
    parser = command.Parser(prog="python -m experiments.made")
    parser.set_defaults(work=work)
    return command.run(parser, [])


def test_options_of_a_dataclass_are_read_within_their_bounds(capsys):
    @dataclasses.dataclass(frozen=True)
    class Config:
        rate: float = command.option(0.5, "of 100 %", above=0, most=2)
        steps: int = command.option(3, "steps", least=0)
        kind: str = command.option("new", "kind", choices=("new",), renamed={"old": "new"})
        sizes: tuple[int, ...] = command.option((2, 4), "sizes")

    parser = command.Parser(prog="python -m experiments.made")
    parser.add_config(Config)
    read = lambda *words: command.configured(Config(), parser.parse_args(words))
    assert read() == Config()
    assert read("--steps", "0", "--rate", "2", "--kind", "old") == Config(2.0, 0, "new")
    assert read("--sizes", "3", "5") == Config(sizes=(3, 5))
    assert "of 100 % (default: 0.5)" in parser.format_help()
    assert "sizes (default: 2 4)" in parser.format_help()
    for words, complaint in (
        (("--rate", "0"), "--rate is 0, expected at most 2 and more than 0"),
        (("--rate", "2.1"), "--rate is 2.1, expected at most 2 and more than 0"),
        (("--steps", "1.5"), "--steps is '1.5', expected a whole number"),
        (("--steps", "3000000000"), "--steps is 3000000000, expected at most 2,147,483,647"),
        (("--kind", "x"), "invalid choice: 'x'"),
    ):
        with pytest.raises(SystemExit, match="2"):
            parser.parse_args(words)
        assert complaint in capsys.readouterr().err


def test_options_of_the_command_reach_a_subcommand_or_are_refused(tmp_path, capsys):
    """--out before or after the subcommand is the same; what it does not read is an error."""
    place = str(tmp_path / "somewhere")
    for main, words in ((pronunciation.main, ["say", "hello"]), (translation.main, ["report"])):
        for arguments in (["--out", place, *words], [*words, "--out", place]):
            assert main(arguments) == 2
            assert f"{place}/weights.safetensors" in capsys.readouterr().err
        assert main(["--steps", "5", *words]) == 2
        assert f"--steps has no effect on {words[0]}" in capsys.readouterr().err
    parser = translation.parser()
    assert parser.parse_args(["--tested", "7", "report"]).tested == 7
    assert parser.parse_args(["report", "--tested", "5"]).tested == 5
    assert parser.parse_args(["compare", "x"]).out == translation.RUNS


def test_mistakes_and_interrupts_have_a_line_and_a_code(capsys):
    def fail(error):
        def work(options):
            raise error

        return work

    for error, code, line in (
        (ValueError("steps is 0,\nexpected 1"), 2, "experiments.made: steps is 0, expected 1\n"),
        (archive.DataError("x.whl: lost"), 2, "experiments.made: x.whl: lost\n"),
        (OSError(28, "No space left", "a.json"), 2, "experiments.made: a.json: No space left\n"),
        (KeyboardInterrupt(), 130, "stopped\n"),
        (BrokenPipeError(32, "Broken pipe"), 141, ""),
    ):
        assert made(fail(error)) == code
        assert capsys.readouterr().err == line
    assert made(lambda options: None) == 0
    assert made(lambda options: 1) == 1


def test_sigterm_is_ctrl_c_whoever_handles_that():
    handled = []

    def note(number, frame):
        handled.append(number)

    def work(options):
        previous = signal.signal(signal.SIGINT, note)  # As `training.fit` does.
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            signal.signal(signal.SIGINT, previous)
        assert handled == [signal.SIGINT]
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)

    before = signal.getsignal(signal.SIGTERM)
    assert made(work) == 143
    assert signal.getsignal(signal.SIGTERM) is before
    ignored = signal.signal(signal.SIGINT, signal.SIG_IGN)  # As a job of a script's background.
    try:
        assert made(lambda options: os.kill(os.getpid(), signal.SIGTERM)) == 143
    finally:
        signal.signal(signal.SIGINT, ignored)


def test_lines_appear_at_once_in_any_encoding(monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    seen = []

    def work(options):
        print("± 3 %")
        seen.append(written.getvalue())

    assert made(work) == 0
    assert seen == [b"? 3 %\n"]


def test_a_reader_that_has_enough_gets_no_complaint():
    reader, writer = os.pipe()
    os.close(reader)
    words = [sys.executable, "-m", "experiments.benchmark", "--list"]
    done = subprocess.run(words, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


def test_output_that_cannot_be_written_is_a_line(monkeypatch, capsys):
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert made(lambda options: print("figures")) == 2
        full.flush()  # What could not be written is dropped, or Python would complain at its end.
    assert capsys.readouterr().err == "experiments.made: output: No space left on device\n"


def test_a_user_without_a_home_is_told_of_the_variable(monkeypatch, tmp_path, capsys):
    monkeypatch.delenv("JATTN_DATA", raising=False)

    def expanduser(path):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(archive.Path, "expanduser", expanduser)
    out = tmp_path / "out"
    for main, words in (
        (pronunciation.main, []),
        (translation.main, []),
        (fine_tuning.main, ["pronunciation"]),
        (choosing.main, ["--tasks", "pronunciation"]),
    ):
        assert main([*words, "--out", str(out)]) == 2
        complaint = capsys.readouterr().err
        assert "JATTN_DATA" in complaint
        assert complaint.count("\n") == 1
        assert not out.exists()
    monkeypatch.setattr(browser, "find", lambda: None)
    assert browser.main([]) == 2
    assert "JATTN_DATA" in capsys.readouterr().err


def test_the_page_of_results_needs_records(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(results, "DOCS", tmp_path)
    assert results.main([]) == 2
    assert "holds no records" in capsys.readouterr().err
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "broken.json").write_text("{")
    assert results.main([]) == 2
    assert "broken.json: is no JSON" in capsys.readouterr().err
    assert not (tmp_path / "results.md").exists()


def test_flex_compares_every_form_with_the_fixed_one(capsys):
    assert flex.main(["--length", "16", "--repeats", "1"]) == 0
    printed = capsys.readouterr().out
    for name in flex.FORMS:
        (line,) = [line for line in printed.splitlines() if line.startswith(name)]
        assert line.count("ms,") == 2
    assert flex.main(["--length", "0"]) == 2
    assert "--length is 0, expected at least 1" in capsys.readouterr().err
