"""Imports point down only: read from syntax trees, so that no module has to be imported."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

ARRAYS = {"jax", "jaxtyping", "numpy"}
FILES = {"jattn.atomic"}
BOTTOM = {
    "jattn._naming",
    "jattn._axes",
    "jattn._dropout",
    "jattn._options",
    "jattn._precision",
    "jattn._sharding",
    "jattn._sizes",
    "jattn._varying",
}
ROW_MAPS = {"jattn.biases", "jattn.masks", "jattn.normalizers", "jattn.positions"}
MECHANISMS = {
    "jattn.alignment",
    "jattn.attention",
    "jattn.layers",
    "jattn.linear",
    "jattn.mechanism",
}
ANY_OF_JATTN = {"jattn", *ARRAYS}
PLOTTING = {"matplotlib"}
COMPARED = {
    *("absl", "entmax", "equinox", "flax", "haiku", "keras", "onnx", "tokamax", "torch"),
    *("torch_geometric", "transformers", "x_transformers"),
}

# Imports that a layer may have, in addition to itself and the standard library. The deepest entry
# decides.
ALLOWED = {
    "jattn": set(),
    "jattn._axes": ARRAYS | {"jattn._options", "jattn._sharding"},
    "jattn._dropout": ARRAYS | {"jattn._options"},
    "jattn._naming": ARRAYS,
    "jattn._options": ARRAYS | {"jattn._sizes"},
    "jattn._precision": ARRAYS | {"jattn._axes"},
    "jattn._sharding": ARRAYS,
    "jattn._sizes": ARRAYS,
    "jattn._varying": ARRAYS,
    "jattn.atomic": set(),
    "jattn.biases": ARRAYS | BOTTOM | {"jattn.positions"},
    "jattn.masks": ARRAYS | BOTTOM,
    "jattn.normalizers": ARRAYS | BOTTOM | {"jattn.masks"},
    "jattn.positions": ARRAYS | BOTTOM,
    "jattn.selectors": ARRAYS | BOTTOM | {"jattn.masks", "jattn.normalizers"},
    "jattn.attention": ARRAYS | BOTTOM | ROW_MAPS | {"jattn.mechanism", "jattn.selectors"},
    "jattn.attention.attend": ARRAYS | BOTTOM | ROW_MAPS,
    "jattn.mechanism": BOTTOM | ROW_MAPS | {"jattn.attention.attend"},
    "jattn.alignment": ARRAYS | BOTTOM | ROW_MAPS | {"jattn.attention", "jattn.mechanism"},
    "jattn.linear": ARRAYS | BOTTOM | ROW_MAPS | {"jattn.mechanism"},
    "jattn.layers": ARRAYS | BOTTOM | ROW_MAPS | {"jattn.attention", "jattn.mechanism"},
    "jattn.images": ARRAYS | BOTTOM | ROW_MAPS | {"jattn.attention", "jattn.mechanism"},
    "jattn.caches": ARRAYS | BOTTOM | {"jattn.masks"},
    "jattn.transformer": ARRAYS
    | BOTTOM
    | ROW_MAPS
    | {"jattn.attention", "jattn.caches", "jattn.layers"},
    "jattn.recurrent": ARRAYS | BOTTOM | ROW_MAPS | MECHANISMS,
    "jattn.search": ARRAYS | BOTTOM,
    "jattn.chunks": ARRAYS | BOTTOM | ROW_MAPS,
    "jattn.engine": ARRAYS
    | BOTTOM
    | ROW_MAPS
    | MECHANISMS
    | {"jattn.caches", "jattn.chunks.row_by_row", "jattn.recurrent"},
    "jattn.engine.kernels": ARRAYS | ROW_MAPS | {"jattn._sizes", "jattn.engine", "tokamax"},
    "jattn.sharded": ARRAYS | BOTTOM | {"jattn.engine", "jattn.masks"},
    "jattn.convert": {"numpy", "jattn.attention", "jattn.recurrent"},
    "jattn.oracle": {"numpy"},
    "jattn.training": ARRAYS
    | FILES
    | {"jattn._axes", "jattn._options", "optax", "safetensors", "tqdm"},
    "jattn.catalog": ANY_OF_JATTN,
    "jattn.testing": ANY_OF_JATTN,
    "jattn.tracing": ANY_OF_JATTN,
    "jattn.plots": ANY_OF_JATTN | PLOTTING,
    "jattn.descriptions": ANY_OF_JATTN,
    "jattn.__main__": ANY_OF_JATTN | PLOTTING,
    "experiments": ANY_OF_JATTN | PLOTTING | {"optax"},
    "experiments.flex": ANY_OF_JATTN | {"experiments", "tqdm"},
    "experiments.scaling": ANY_OF_JATTN | PLOTTING | {"experiments", "optax", "scipy", "tqdm"},
    "experiments.choosing": ANY_OF_JATTN | PLOTTING | {"experiments", "optax", "tqdm"},
    "experiments.emoji": ANY_OF_JATTN | PLOTTING | {"PIL", "experiments", "fontTools", "optax"},
    "experiments.fine_tuning": ANY_OF_JATTN
    | PLOTTING
    | {"experiments", "optax", "safetensors", "tokenizers", "torch", "transformers"},
    "experiments.speech": ANY_OF_JATTN
    | PLOTTING
    | {"experiments", "ctranslate2", "optax", "scipy"},
    "experiments.vision": ANY_OF_JATTN | PLOTTING | {"experiments", "optax", "sklearn", "tqdm"},
    "experiments.translation": ANY_OF_JATTN
    | PLOTTING
    | {"experiments", "optax", "sacrebleu", "sentencepiece"},
    "experiments.differences": ANY_OF_JATTN | COMPARED,
    "experiments.benchmark": ANY_OF_JATTN
    | PLOTTING
    | {"experiments.command", "experiments.machine", "experiments.results", "onnxruntime", "tqdm"}
    | COMPARED,
}

# Exceptions from `ANY_OF_JATTN`, and from what the package itself may import: higher layers, and
# modules that would make `import jattn` slow.
HEAVY = {"jattn.descriptions", "jattn.plots", "jattn.__main__", "jattn.training"}
FORBIDDEN = {"jattn": HEAVY, "jattn.catalog": HEAVY | {"jattn.testing", "jattn.tracing"}}

FORBIDDEN_NAMES = {"_src", "common", "core", "helpers", "misc", "utils"}
LONGEST = 300
LONGER = {
    "jattn/__init__.py": "a list: one line a public name",
    "jattn/catalog/table.py": "a table: one row a mechanism",
}


def module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def within(name: str, packages: set[str]) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


def imported(path: Path, modules: set[str]) -> Iterator[str]:
    """Yields the modules that a file imports; `from jattn import masks` is `jattn.masks`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = "." * node.level + (node.module or "")
            names = [f"{source}.{alias.name}" for alias in node.names]
            yield from (name if name in modules else source for name in names)


def complaints(root: Path) -> list[str]:
    """Returns the breaches of layers, names and lengths in the tree under `root`, a line each."""
    paths = sorted([*root.glob("jattn/**/*.py"), *root.glob("experiments/**/*.py")])
    modules = {module_name(path, root) for path in paths}
    breaches = []
    for path in paths:
        name = module_name(path, root)
        layer = max((entry for entry in ALLOWED if within(name, {entry})), key=len)
        public_only = layer.startswith("experiments")
        if layer == "jattn" and name != "jattn":
            breaches.append(f"{name} is in no layer")
        for target in sorted(set(imported(path, modules))):
            above = within(target, FORBIDDEN.get(layer, set()))
            private = public_only and any(part.startswith("_") for part in target.split(".")[1:])
            allowed = within(target, ALLOWED[layer] | {layer} | set(sys.stdlib_module_names))
            if above or private or not allowed:
                breaches.append(f"{name} may not import {target}")
        relative = path.relative_to(root)
        breaches += [f"{relative}: name says nothing" for part in relative.parts if is_vague(part)]
        length = len(path.read_text().splitlines())
        if length > LONGEST and str(relative) not in LONGER:
            breaches.append(f"{relative} has {length} lines, more than {LONGEST}")
    return breaches


def is_vague(part: str) -> bool:
    return part.removesuffix(".py") in FORBIDDEN_NAMES


def test_imports_point_down_and_modules_are_short():
    assert complaints(ROOT) == []


# Experiments that run the models of others, with the modules of these that they may import.
MODELS_OF_OTHERS = {"experiments.scaling": {"experiments.pronunciation", "experiments.llama"}}


def test_no_experiment_imports_another():
    """Each folder is read on its own; shared code is in modules of `experiments` itself."""
    folders = {f"experiments.{path.parent.name}" for path in ROOT.glob("experiments/*/__init__.py")}
    paths = sorted(ROOT.glob("experiments/*/**/*.py"))
    modules = {module_name(path, ROOT) for path in paths}
    stray = [
        f"{name} imports {target}"
        for path in paths
        for name in [module_name(path, ROOT)]
        for target in imported(path, modules)
        if within(target, {folder for folder in folders if not within(name, {folder})})
        if not within(target, MODELS_OF_OTHERS.get(name.rpartition(".")[0], set()))
    ]
    assert folders
    assert stray == []


BAD = {
    "jattn/_axes.py": ("import jattn.masks", "jattn._axes may not import jattn.masks"),
    "jattn/masks/window.py": (
        "from jattn import attention",
        "jattn.masks.window may not import jattn",
    ),
    "jattn/attention/additive.py": (
        "def f():\n    from jattn.chunks.in_chunks import in_chunks",
        "jattn.attention.additive may not import jattn.chunks.in_chunks",
    ),
    "jattn/attention/dot.py": (
        "from .attend import attend",
        "jattn.attention.dot may not import .attend",
    ),
    "jattn/oracle/dot.py": ("import jax.numpy as jnp", "jattn.oracle.dot may not import jax.numpy"),
    "jattn/training/fit.py": ("import jattn", "jattn.training.fit may not import jattn"),
    "jattn/catalog.py": (
        "from jattn import testing",
        "jattn.catalog may not import jattn.testing",
    ),
    "jattn/testing.py": ("import torch", "jattn.testing may not import torch"),
    "jattn/__init__.py": (
        "from jattn.training import fit as fit",
        "jattn may not import jattn.training",
    ),
    "jattn/extra.py": ("", "jattn.extra is in no layer"),
    "jattn/attention/utils.py": ("", "jattn/attention/utils.py: name says nothing"),
    "jattn/oracle/_src/dot.py": ("", "jattn/oracle/_src/dot.py: name says nothing"),
    "jattn/positions.py": ("\n" * 301, "jattn/positions.py has 301 lines, more than 300"),
    "experiments/words/model.py": (
        "from jattn import _axes",
        "experiments.words.model may not import jattn._axes",
    ),
    "experiments/words/train.py": (
        "import torch",
        "experiments.words.train may not import torch",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_tree_is_noticed(tmp_path, name):
    tree = {"jattn/testing.py": "", "jattn/_axes.py": "", name: BAD[name][0]}
    for file, text in tree.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text)
    assert complaints(tmp_path) == [BAD[name][1]]
