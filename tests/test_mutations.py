"""The suite notices mistakes: each planted one is caught by the test that is there for it.

A mutant is the package with one text replaced. It is imported afresh beside the original, with
the tests themselves, and the named test is run on it: `python -m pytest tests/test_mutations.py -s`
prints what caught each.
"""

import contextlib
import dataclasses
import importlib
import importlib.machinery
import inspect
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import conftest
import pytest
from mutants import MUTANTS, Mutant
from mutants.mutant import LAW

import jattn

PACKAGE = Path(jattn.__file__).parent
SHARDING = {"sharding_rows", "sharding_training", "sharding_worker"}
TESTS = {mutant.test.partition(".")[0] for mutant in MUTANTS} | {"attending", "compiled"} | SHARDING


class Replaced(importlib.machinery.SourceFileLoader):
    """Loads a module with one text, which must occur exactly once, replaced by another."""

    def __init__(self, name: str, path: str, old: str, new: str):
        super().__init__(name, path)
        self.old, self.new = old, new

    def get_code(self, fullname):
        source = self.get_source(fullname) or ""
        count = source.count(self.old)
        if count != 1:
            raise RuntimeError(f"{fullname} holds {count} times: {self.old}")
        return compile(source.replace(self.old, self.new), self.path, "exec")


@dataclasses.dataclass
class Finder:
    """Finds the one module that is replaced; everything else is found as usual."""

    module: str
    old: str
    new: str

    def find_spec(self, name, path, target=None):
        if name != self.module:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        assert spec is not None
        assert spec.origin is not None
        spec.loader = Replaced(name, spec.origin, self.old, self.new)
        return spec


def belongs(name: str) -> bool:
    return name.partition(".")[0] in ("jattn", "experiments") or name in TESTS


@contextlib.contextmanager
def planted(finder: Finder | None) -> Iterator[None]:
    """Makes imports of jattn and of the tests fresh ones, with a text replaced in one module."""
    kept = {name: module for name, module in sys.modules.items() if belongs(name)}
    for name in kept:
        del sys.modules[name]
    finders = [] if finder is None else [finder]
    sys.meta_path[:0] = finders
    try:
        yield
    finally:
        for one in finders:
            sys.meta_path.remove(one)
        for name in [name for name in sys.modules if belongs(name)]:
            del sys.modules[name]
        sys.modules.update(kept)


def module_of_law(name: str) -> str:
    """Returns the module that states a law; to import all of them takes seconds."""
    files = (PACKAGE / "testing/laws").glob("*.py")
    (found,) = [file.stem for file in files if f"\ndef {name}(" in file.read_text("utf-8")]
    return found


def run(mutant: Mutant, request: pytest.FixtureRequest) -> None:
    """Runs the mutant's test, for its row or its law, with pytest's own fixtures."""
    module, _, name = mutant.test.partition(".")
    function = getattr(importlib.import_module(module), name)
    compiled = importlib.import_module("compiled")
    # No mistake is planted in an oracle, so its thousands of complex steps are not taken anew.
    if module != "test_checks":
        properties: Any = importlib.import_module("jattn.testing.properties")
        properties.complex_step = lambda oracle, inputs, given: oracle(*inputs)[1](given)
    arguments: dict[str, Any] = dict(mutant.given)
    if mutant.test == LAW:
        module = importlib.import_module(f"jattn.testing.laws.{module_of_law(mutant.row)}")
        arguments["law"] = getattr(module, mutant.row)
    for row in compiled.MECHANISMS:
        if row.name == mutant.row:
            arguments |= {"row": row, "mechanism": row, "call": row.calls()[mutant.call]}
            if compiled.takes(row, "mask"):
                arguments["case"] = compiled.masked(row)
    for name in inspect.signature(function).parameters:
        if name not in arguments:
            arguments[name] = request.getfixturevalue(name)
    function(**{name: arguments[name] for name in inspect.signature(function).parameters})


def is_by_the_code(error: BaseException) -> bool:
    """Whether an assertion in jattn failed, and none in a test or a comparison of jattn.testing."""
    if not isinstance(error, AssertionError):
        return False
    raised_in = Path(traceback.extract_tb(error.__traceback__)[-1].filename)
    return PACKAGE in raised_in.parents and PACKAGE / "testing" not in raised_in.parents


def test_V2_an_assertion_of_the_code_is_told_from_one_of_a_test():
    for name, by_the_code in (("merge.py", True), ("testing/compare.py", False)):
        scope = {}
        exec(compile("def fail():\n    assert False", str(PACKAGE / name), "exec"), scope)
        with pytest.raises(AssertionError) as raised:
            scope["fail"]()
        assert is_by_the_code(raised.value) is by_the_code


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.what)
def test_V2_the_suite_catches(mutant: Mutant, request: pytest.FixtureRequest):
    with planted(Finder(mutant.module, mutant.old, mutant.new)):
        try:
            run(mutant, request)
        except (AssertionError, FloatingPointError, pytest.fail.Exception) as error:
            if is_by_the_code(error):
                pytest.fail(f"{mutant.what}: an assertion of jattn, not of a test")
        else:
            pytest.fail(f"{mutant.what} survives {mutant.test} {mutant.row}")
    print(f"\n{mutant.what:42} {mutant.row or '-':30} {mutant.test.partition('.')[2]}", end="")


# One of each file shows that the fresh import alone makes no test fail.
ONCE = {mutant.test.partition(".")[0]: mutant for mutant in reversed(MUTANTS)}


@pytest.mark.parametrize("mutant", ONCE.values(), ids=ONCE)
def test_V2_and_lets_the_original_pass(mutant: Mutant, request: pytest.FixtureRequest):
    with planted(None):
        run(mutant, request)


def test_V2_a_text_that_is_not_there_is_an_error():
    finder = Finder("jattn.attention.dot", "no such text", "")
    with planted(finder), pytest.raises(RuntimeError, match="holds 0 times"):
        importlib.import_module("jattn")


def test_the_files_and_pages_that_run_once_exist():
    assert conftest.ONCE.keys() <= {path.stem for path in Path(__file__).parent.rglob("*.py")}
    assert all((PACKAGE.parent / page).exists() for page in conftest.PAGES_OF_EVERY_VERSION)
