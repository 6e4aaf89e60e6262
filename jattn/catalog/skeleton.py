"""The files of a new mechanism: a skeleton that passes every check, to be replaced line by line."""

import ast
import keyword
import re
from collections.abc import Mapping
from pathlib import Path

from jattn.atomic import write_atomically
from jattn.catalog.templates import FAMILIES, TEST


def places(name: str, family: str, root: Path, taken: set[str]) -> dict[Path, str]:
    """Returns the new text of each of the four places in the repository at `root`.

    Args:
        name: the mechanism's name, with or without the family's suffix.
        family: a key of `FAMILIES`.
        root: a folder with the package `jattn`.
        taken: names that the package exports already.

    Raises:
        ValueError: if the name is none, is taken, or a file of it exists.
    """
    form, words = FAMILIES[family], _words(name, family)
    exports = [export.format_map(words) for export in form.exports]
    for export in reversed(exports):  # The function first.
        if export in taken:
            raise ValueError(f"{name} is taken: jattn.{export} exists")
    module, oracle = (
        root / "jattn" / folder / form.folder / f"{words['stem']}.py" for folder in ("", "oracle")
    )
    for path in (module, oracle):
        if path.exists():
            raise ValueError(f"{name} is taken: {path.relative_to(root)} exists")
    table, package = root / "jattn/catalog/table.py", root / "jattn/__init__.py"
    source = f"jattn.{form.folder}.{words['stem']}"
    return {
        module: form.module.format_map(words),
        oracle: form.oracle.format_map(words),
        table: with_row(table.read_text("utf-8"), form.row.format_map(words), family),
        package: with_exports(package.read_text("utf-8"), source, exports),
    }


def files(name: str, family: str, folder: Path) -> dict[Path, str]:
    """Returns the text of a module, its oracle and their test, for a project of one's own.

    Args:
        name: the mechanism's name, with or without the family's suffix.
        family: a key of `FAMILIES`.
        folder: where the files go.

    Raises:
        ValueError: if the name is none, or a file of it exists.
    """
    form, words = FAMILIES[family], _words(name, family)
    names = [export.format_map(words) for export in form.exports if "init" not in export]
    words |= {"names": ", ".join(names), "inputs": form.inputs.format_map(words)}
    texts = {
        folder / f"{words['stem']}.py": form.module.format_map(words),
        folder / f"{words['stem']}_oracle.py": form.oracle.format_map(words),
        folder / f"test_{words['stem']}.py": TEST.format_map(words),
    }
    for path in texts:
        if path.exists():
            raise ValueError(f"{name} is taken: {path} exists")
    return texts


def _words(name: str, family: str) -> dict[str, str]:
    """Returns the words that the family's texts are filled with."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or keyword.iskeyword(name):
        raise ValueError(f"{name} is no name, expected lower-case words joined by underscores")
    suffix = FAMILIES[family].suffix
    stem = name.removesuffix(suffix)
    if not stem or keyword.iskeyword(stem):
        raise ValueError(f"{name} is no name, expected a word before {suffix}")
    function = stem + suffix
    return {
        "stem": stem,
        "function": function,
        "title": function.replace("_", " ").capitalize(),
        "kind": "".join(word.capitalize() for word in function.split("_")),
    }


def with_row(table: str, row: str, family: str) -> str:
    """Returns the text of the table with a row after the last one of its family."""
    (rows,) = (
        node.value.elts
        for node in ast.parse(table).body
        if isinstance(node, ast.AnnAssign)
        and ast.unparse(node.target) == "MECHANISMS"
        and isinstance(node.value, ast.Tuple)
    )
    of_family = [
        node
        for node in rows
        if isinstance(node, ast.Call)
        and any(k.arg == "family" and ast.unparse(k.value) == repr(family) for k in node.keywords)
    ]
    end = (of_family or rows)[-1].end_lineno
    lines = table.splitlines(keepends=True)
    return "".join([*lines[:end], row, *lines[end:]])


def with_exports(package: str, module: str, names: list[str]) -> str:
    """Returns the text of `jattn/__init__.py` with a module's exports in their alphabetic place."""
    imports = [
        node
        for node in ast.parse(package).body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("jattn")
    ]
    later = [node.lineno - 1 for node in imports if (node.module or "") > module]
    place = min(later, default=imports[-1].end_lineno or 0)
    lines = package.splitlines(keepends=True)
    return "".join([*lines[:place], *(_export(module, name) for name in names), *lines[place:]])


def _export(module: str, name: str) -> str:
    line = f"from {module} import {name} as {name}\n"
    if len(line) <= 101:
        return line
    return f"from {module} import (\n    {name} as {name},\n)\n"


def write_all(texts: Mapping[Path, str]) -> None:
    """Writes every file, or leaves all as they were.

    Raises:
        OSError: naming the file that cannot be written.
    """
    before = {path: path.read_bytes() if path.exists() else None for path in texts}
    written: list[Path] = []
    try:
        for path, text in texts.items():
            write_atomically(path, text.encode())
            written.append(path)
    except BaseException:
        for path in written:
            content = before[path]
            if content is None:
                path.unlink(missing_ok=True)
            else:
                write_atomically(path, content)
        raise
