"""The open door: the documents' example passes in its four places, and a forgotten one is named."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from places import REGENERATE, forgotten, words_of_code

from jattn.catalog import skeleton

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/adding-a-mechanism.md").read_text("utf-8")
FENCES = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
MODULE, ORACLE = (text for text in FENCES if "\ndef content_attention(" in text)
(ROW,) = re.findall(r"^row = (Mechanism\(\n.*?^\))$", PAGE, re.MULTILINE | re.DOTALL)
(EXPORT,) = re.findall(r"`(from [\w.]+ import content_attention as content_attention)`", PAGE)
NAME = "content_attention"
COPIED = (
    "README.md",
    "pyproject.toml",
    "docs/*.md",
    "jattn/**/*",
    "tests/*.py",
    "tests/mutants/*.py",
)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def copy_of_the_project(root):
    """The files that tests of rows read."""
    for pattern in COPIED:
        for path in ROOT.glob(pattern):
            if path.is_file() and "__pycache__" not in path.parts:
                target = root / path.relative_to(ROOT)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)


def put_in_places(root, without=()):
    """Puts the example, verbatim, into its four places and a page, except for those named."""
    table, package = root / "jattn/catalog/table.py", root / "jattn/__init__.py"
    rows, exports = table.read_text("utf-8"), package.read_text("utf-8")
    row = "".join(f"    {line}\n" for line in f"{ROW},".splitlines())
    _, module, _, name, *_ = EXPORT.split()
    texts = {
        "module": (root / "jattn/attention/content.py", MODULE),
        "oracle": (root / "jattn/oracle/attention/content.py", ORACLE),
        "row": (table, skeleton.with_row(rows, row, "score")),
        "export": (package, skeleton.with_exports(exports, module, [name])),
    }
    for place in set(texts) - set(without):
        write(*texts[place])
    if "page" in without:
        for page in [root / "README.md", *(root / "docs").glob("*.md")]:
            write(page, page.read_text("utf-8").replace(NAME, "another"))


def test_no_mechanism_lacks_a_place():
    assert forgotten(ROOT) == []


MISSING = {
    "oracle": f"{NAME} has no oracle: write {NAME} in jattn/oracle/attention/content.py",
    "row": f"{NAME} has no row: add `Mechanism(jattn.{NAME}, ...)` to MECHANISMS in "
    "jattn/catalog/table.py",
    "export": f"{NAME} has no export: add `{EXPORT}` to jattn/__init__.py",
    "page": f"{NAME} is in the code of no page: {REGENERATE}",
}


def test_V2_each_forgotten_place_is_named_with_what_to_do(tmp_path):
    copy_of_the_project(tmp_path / "whole")
    put_in_places(tmp_path / "whole")
    assert forgotten(tmp_path / "whole") == []
    for places in (*([place] for place in MISSING), ["row", "export"], [*MISSING]):
        root = tmp_path / "-".join(places)
        copy_of_the_project(root)
        put_in_places(root, without=places)
        assert sorted(forgotten(root)) == sorted(MISSING[place] for place in places)


def test_V2_a_layer_with_an_oracle_and_no_row_is_named(tmp_path):
    copy_of_the_project(tmp_path)
    texts = skeleton.places("gain", "layer", tmp_path, set())
    module, oracle, _, _ = texts
    skeleton.write_all({path: texts[path] for path in (module, oracle)})
    complaints = forgotten(tmp_path)
    assert [complaint.partition(":")[0] for complaint in complaints] == [
        "gain has no row",
        "gain has no export",
        "gain is in the code of no page",
    ]


def test_V2_a_word_of_a_sentence_is_no_name_in_a_page():
    text = "A linear `sum` is\n`` a ` b ``\n```python\nprint(trace)\n```\nand dropout"
    assert words_of_code(text) == {"sum", "a", "b", "print", "trace"}


def test_the_example_and_the_skeletons_pass_in_their_places(tmp_path):
    """A part of the tests of their rows; `pytest -k content_attention` runs all."""
    copy_of_the_project(tmp_path)
    put_in_places(tmp_path)
    for name, family in (("ring", "score"), ("gain", "layer")):
        skeleton.write_all(skeleton.places(name, family, tmp_path, set()))
    names = f"{NAME} or ring_attention or gain"
    done = run_tests(
        tmp_path,
        *(f"tests/test_{name}.py" for name in ("oracle", "masking", "axes", "layers")),
        *("-k", f"(({names}) and (G1 or C1 or axis)) or point_down or init_gain"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    counted = re.search(r"(\d+) passed", done.stdout)
    assert counted is not None
    assert int(counted[1]) > 20


def run_tests(root, *arguments):
    """Runs the tests of a tree by themselves."""
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    return subprocess.run(run, cwd=root, env=environment, capture_output=True, text=True)


def test_a_row_without_an_export_stops_the_tests_with_the_line_to_add(tmp_path):
    copy_of_the_project(tmp_path)
    put_in_places(tmp_path, without=["export"])
    done = run_tests(tmp_path, "tests/test_oracle.py", "--collect-only")
    assert done.returncode == 4
    assert MISSING["export"] in done.stderr
