"""The documents: their code runs and prints the output below it, and no link is broken."""

import ast
import doctest
import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from places import code_of_pages

import jattn

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = {str(page.relative_to(ROOT)): page.read_text("utf-8") for page in PAGES}
FENCE = re.compile(r"^```(\w*)(.*)\n((?:.*\n)*?)```$", re.MULTILINE)

# Fences marked `no-run`, by page, with the reason.
NOT_RUN = {
    "docs/article.md": "the article's own listing: it needs PyTorch, and stops",
    "docs/article.zh.md": "the same",
}

# Pages whose code another test runs or compares, each with that test.
SAME_CODE = {
    "docs/article.zh.md": "tests/test_article.py: both languages have the same code",
    "docs/using-with.md": "tests/test_using_with.py: each section by itself",
}

# Runs one page as its reader would, in one session, and returns what each fence printed.
SESSION = """
import contextlib, io, json, sys
page, fences = json.load(sys.stdin)
namespace = {"__name__": "__main__"}
printed = []
for line, code in fences:
    with contextlib.redirect_stdout(io.StringIO()) as output:
        exec(compile("\\n" * line + code, page, "exec"), namespace)
    printed.append(output.getvalue())
print(json.dumps(printed))
"""


def examples(text):
    """Yields the line, code and expected output of each Python fence that is run.

    The output is that of the text fence below it, with nothing in between; without one it is empty.
    """
    fences = list(FENCE.finditer(text))
    for index, fence in enumerate(fences):
        if fence[1] != "python" or "no-run" in fence[2]:
            continue
        expected = ""
        for following in fences[index + 1 : index + 2]:
            between = text[fence.end() : following.start()]
            if following[1] == "text" and not between.strip():
                expected = following[3]
        yield text[: fence.start()].count("\n") + 1, fence[3], expected


def run(name, text, directory):
    """Runs a page; raises AssertionError where it raises, warns or prints something else."""
    fences = list(examples(text))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SESSION],
        input=json.dumps([name, [example[:2] for example in fences]]),
        capture_output=True,
        text=True,
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    checker = doctest.OutputChecker()
    for (line, _, expected), printed in zip(fences, json.loads(done.stdout), strict=True):
        if not checker.check_output(expected, printed, doctest.ELLIPSIS):
            raise AssertionError(f"{name}:{line} printed\n{printed}\nand not\n{expected}")


@pytest.mark.parametrize(
    "name", [name for name, text in TEXTS.items() if list(examples(text)) and name not in SAME_CODE]
)
def test_the_code_of_a_page_runs_and_prints_what_it_says(name, tmp_path):
    run(name, TEXTS[name], tmp_path)


@pytest.mark.parametrize(
    ("page", "complaint"),
    [
        ("```python\nprint(1)\n```\n\n```text\n2\n```", "page:1 printed\n1"),
        ("```python\nprint(1)\n```\n", "page:1 printed\n1"),
        ("```python\nx = 1\n```\n\nThen\n\n```python\nprint(x / 0)\n```", "ZeroDivisionError"),
        ("```python\nimport warnings\nwarnings.warn('old')\n```", "UserWarning: old"),
    ],
)
def test_a_page_that_is_wrong_is_noticed(page, complaint, tmp_path):
    with pytest.raises(AssertionError) as raised:
        run("page", page, tmp_path)
    assert complaint in str(raised.value)


def test_code_that_is_not_run_is_listed():
    marked = {
        name
        for name, text in TEXTS.items()
        if any(fence[1] == "python" and "no-run" in fence[2] for fence in FENCE.finditer(text))
    }
    assert marked == set(NOT_RUN)


def anchors(text):
    """Yields the anchors of a page's headings."""
    for heading in re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        yield re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")


@pytest.mark.parametrize("name", TEXTS)
def test_every_relative_link_leads_somewhere(name):
    page = ROOT / name
    links = re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", TEXTS[name]))
    broken = []
    for link in links:
        target, _, anchor = link.partition("#")
        if re.match(r"\w+:", link):
            continue
        file = (page.parent / target).resolve() if target else page
        if not file.exists() or not file.is_relative_to(ROOT):
            broken.append(f"{link}: there is no such file")
        elif anchor and anchor not in set(anchors(file.read_text("utf-8"))):
            broken.append(f"{link}: it has no such heading")
    assert broken == []


def test_every_public_name_stands_in_a_page():
    names = {
        name
        for name, exported in vars(jattn).items()
        if not name.startswith("_") and not inspect.ismodule(exported)
    }
    assert len(names) > 40
    assert sorted(names - code_of_pages(ROOT)) == []  # A word of a sentence is no name.


def names_of_tests(path):
    """Yields the names of the tests that pytest collects from a file and does not skip."""
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            marks = " ".join(ast.unparse(decorator) for decorator in node.decorator_list)
            if "mark.skip" not in marks and "mark.xfail" not in marks:
                yield node.name


def rules_shown(names):
    """Returns the ids at the beginning of tests' names: M1 and C1 of `test_M1_C1_empty_rows`."""
    ids = (re.match(r"test_((?:[A-Z]\d_)*)", name) for name in names)
    return {rule for match in ids if match for rule in match[1].split("_") if rule}


def test_every_rule_of_the_conventions_is_a_test():
    """Each promise of the contract names rules, and each rule begins the name of a test."""
    contract = TEXTS["docs/conventions.md"].partition("## The contract")[2].partition("\n## ")[0]
    rules = set(re.findall(r"`([A-Z]\d)`", contract))
    shown = rules_shown(
        name for path in (ROOT / "tests").rglob("test_*.py") for name in names_of_tests(path)
    )
    assert len(rules) > 15
    assert sorted(rules - shown) == []


def test_V2_a_rule_that_only_another_word_names_is_missed(tmp_path):
    file = tmp_path / "test_some.py"
    file.write_text(
        "def test_M1_C1_a(): ...\ndef test_of_S5(): ...\ndef helper_N1(): ...\n# def test_N2_a():\n"
        "@pytest.mark.skip('later')\ndef test_T1_b(): ...\n"
    )
    assert rules_shown(names_of_tests(file)) == {"M1", "C1"}


def test_readme_has_the_commands_of_the_continuous_integration():
    commands = re.findall(
        r"^# +(python3 -m venv .*)$", (ROOT / ".ci/run").read_text(), re.MULTILINE
    )
    assert len(commands) == 2
    for command in commands:
        assert f"```sh\n{command}\n```" in TEXTS["README.md"]
    assert f"<!-- test command -->\n```sh\n{commands[1]}\n```" in TEXTS["README.md"]
