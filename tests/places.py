"""The places of a mechanism in the repository, read from the files: nothing has to be imported."""

import ast
import re
from pathlib import Path

# Names of mechanisms, in the folders where papers are.
NAMES = re.compile(r"(?!init_)\w+_(attention|cell)")
FOLDERS = ("attention", "alignment", "linear", "recurrent")
# Folders without mechanisms of their own: the same values, faster, or tools.
OTHERS = {"catalog", "convert", "engine", "oracle", "plots", "sharded", "testing", "tracing"}
OTHERS |= {"training"}
# Folders whose names are attributes of the folder, not of the package.
NAMESPACES = {"alignment", "biases", "images", "linear", "selectors"}
# Functions with an oracle that are parts of mechanisms, whose rows and tests run them.
PARTS = {"attend", "feed_forward", "post_norm", "pre_norm", "stacked_gru"}
PARTS |= {"bidirectional", "stacked", "unroll"}
REGENERATE = "run `python -m jattn list --markdown docs/mechanisms.md`"


def functions_of(path: Path) -> list[str]:
    """Returns the public functions that a module defines."""
    body = ast.parse(path.read_text("utf-8")).body if path.exists() else []
    names = [node.name for node in body if isinstance(node, ast.FunctionDef)]
    return [name for name in names if not name.startswith("_")]


def rows_of(root: Path) -> list[str]:
    """Returns the functions that have a row in the catalog."""
    tables = [root / f"jattn/catalog/{name}.py" for name in ("table", "selectors")]
    trees = [ast.parse(table.read_text("utf-8")) for table in tables]
    return [
        ast.unparse(node.args[0]).rpartition(".")[2]
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Mechanism" and node.args
    ]


def package_of(path: Path) -> str:
    """Returns the package whose names a module under `jattn` is exported to."""
    return f"jattn.{path.parts[0]}" if path.parts[0] in NAMESPACES else "jattn"


def exports_of(root: Path, package: str) -> set[str]:
    """Returns the names that a package's `__init__.py` imports."""
    path = root.joinpath(*package.split("."), "__init__.py")
    tree = ast.parse(path.read_text("utf-8"))
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    return {alias.asname or alias.name for node in imports for alias in node.names}


def code_of_pages(root: Path) -> set[str]:
    """Returns the words of code spans and fences in the pages, without those of sentences."""
    pages = [root / "README.md", *sorted((root / "docs").glob("*.md"))]
    words: set[str] = set()
    for page in pages:
        words |= words_of_code(page.read_text("utf-8"))
    return words


def words_of_code(text: str) -> set[str]:
    fences = re.findall(r"^```.*?\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    sentences = re.sub(r"^```.*?\n.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    spans = [span for _, span in re.findall(r"(`+)(.+?)\1", sentences, re.DOTALL)]
    return set(re.findall(r"\w+", "\n".join([*fences, *spans])))


def forgotten(root: Path) -> list[str]:
    """Returns the places that mechanisms under `root` lack, each with the remedy."""
    rows, code = rows_of(root), code_of_pages(root)
    modules = {
        name: path.relative_to(root / "jattn")
        for path in sorted((root / "jattn").rglob("*.py"))
        if path.relative_to(root / "jattn").parts[0] not in OTHERS
        for name in functions_of(path)
    }
    mechanisms = [
        name
        for name, path in modules.items()
        if (path.parts[0] in FOLDERS and NAMES.fullmatch(name))
        or (name in functions_of(root / "jattn/oracle" / path) and name not in PARTS)
    ]
    complaints = []
    for name in dict.fromkeys([*rows, *mechanisms]):
        if name not in modules:
            complaints.append(f"{name} has a row and no module: define it under jattn/")
            continue
        path = modules[name]
        module = "jattn." + ".".join(path.with_suffix("").parts)
        package = package_of(path)
        if name not in rows:
            complaints.append(
                f"{name} has no row: add `Mechanism({package}.{name}, ...)` to MECHANISMS in "
                "jattn/catalog/table.py"
            )
        if name not in exports_of(root, package):
            complaints.append(
                f"{name} has no export: add `from {module} import {name} as {name}` to "
                f"{package.replace('.', '/')}/__init__.py"
            )
        if name not in functions_of(root / "jattn/oracle" / path):
            complaints.append(f"{name} has no oracle: write {name} in jattn/oracle/{path}")
        if name not in code:
            complaints.append(f"{name} is in the code of no page: {REGENERATE}")
    return complaints
