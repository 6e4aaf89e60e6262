"""Properties of the package as a whole: its import, its texts, its public names."""

import ast
import importlib.metadata
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import jattn

ROOT = Path(__file__).parent.parent
PUBLIC = sorted(
    name
    for name, exported in vars(jattn).items()
    if not name.startswith("_") and not inspect.ismodule(exported)
)

IMPORT = """
import json, sys
import jax
before = dict(jax.config.values)
import jattn
changed = sorted(name for name in before if jax.config.values[name] != before[name])
loaded = {"matplotlib", "optax", "safetensors", "tqdm"} & set(sys.modules)
print(json.dumps({"changed": changed, "loaded": sorted(loaded), "flags": len(before)}))
"""


def test_import_loads_what_mechanisms_need_alone_and_sets_no_flag():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", IMPORT], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["flags"] > 50  # Guards the guard: jax's flags were really read.
    assert (report["changed"], report["loaded"]) == ([], [])


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_has_a_docstring_of_its_own(name):
    exported = getattr(jattn, name)
    # A NamedTuple without a docstring gets its signature for one.
    assert not (inspect.getdoc(exported) or f"{name}(").startswith(f"{name}(")


def test_the_version_is_one():
    version = importlib.metadata.version("jattn")
    cited = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert cited is not None
    assert cited[1] == version == jattn.__version__


def tracked_texts():
    """The text files of the project: those that git tracks, or all in an unpacked archive."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    names = listed.stdout.split("\0")[:-1] or [
        str(path.relative_to(ROOT))
        for path in ROOT.rglob("*")
        if path.is_file() and not any(part.startswith(".venv") for part in path.parts)
    ]
    for name in names:
        try:
            yield name, (ROOT / name).read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError):
            continue  # A picture, or a file that is being renamed.


PRIVATE = {
    "a home directory": re.compile(r"(?<![\w.~-])/(?:home|root|Users)/\w+"),
    "a package registry's host": re.compile(r"\bpypi\.(?:org|python)|pythonhosted\."),
}


def test_no_text_names_a_machine_or_a_registry():
    texts = dict(tracked_texts())
    assert len(texts) > 5
    found = [
        f"{name}: {kind}: {match[0]}"
        for name, text in texts.items()
        for kind, pattern in PRIVATE.items()
        for match in [pattern.search(text)]
        if match
    ]
    assert found == []


@pytest.mark.parametrize(
    "text", ["cd /{}/ada/jattn".format("home"), "https://{}.org/".format("pypi")]
)
def test_such_a_text_would_be_noticed(text):
    assert any(pattern.search(text) for pattern in PRIVATE.values())


@pytest.mark.parametrize(
    "name",
    [
        "atomic",
        "catalog",
        "convert",
        "mechanism",
        "oracle",
        "plots",
        "sharded",
        "testing",
        "tracing",
        "training",
    ],
)
def test_every_submodule_is_an_attribute(name):
    """Without an import of its own, and without an import of it by another module first."""
    code = f"import jattn; print(jattn.{name}.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == f"jattn.{name}", done.stderr


def test_no_private_or_foreign_module_is_public():
    modules = {name for name, value in vars(jattn).items() if inspect.ismodule(value)}
    assert {name for name in modules if not vars(jattn)[name].__name__.startswith("jattn")} == set()


VAGUE = ("What", "Which", "Where", "How", "Those", "The same")


def docstrings(source):
    """Yields each docstring of a module's source with the name that it belongs to."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield getattr(node, "name", "the module"), text


def vague_docstrings(source):
    first = re.compile(rf"(?:{'|'.join(VAGUE)})\b")
    return [name for name, text in docstrings(source) if first.match(text)]


def test_docstrings_begin_with_a_verb_or_a_noun():
    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in sorted((ROOT / "jattn").rglob("*.py"))
        for name in vague_docstrings(path.read_text("utf-8"))
    ]
    assert found == []


def test_a_vague_docstring_would_be_noticed():
    sound = '"""Masks."""\ndef f():\n    """Returns those that ..."""\n'
    assert len(list(docstrings(sound))) == 2
    assert vague_docstrings(sound) == []
    for word in VAGUE:
        wrong = f'class Mask:\n    def dense(self):\n        """{word} mask."""\n'
        assert vague_docstrings(wrong) == ["dense"]
        assert vague_docstrings(f'"""{word}, and more."""') == ["the module"]
