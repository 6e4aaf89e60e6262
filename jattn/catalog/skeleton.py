"""The files of a new mechanism: a skeleton that passes every check, to be replaced line by line."""

import ast
import keyword
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from jattn.atomic import write_atomically

SCORE = '''"""{title}: AUTHORS (YEAR), arXiv:NUMBER, equation N."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jattn.mechanism import (
    Attended,
    Bias,
    MaskLike,
    Normalizer,
    at_least_float32,
    attend,
    named_axes,
    readable,
    softmax,
)


@named_axes
@at_least_float32
def {function}(
    query: Float[Array, "t k"],
    key: Float[Array, "s k"],
    value: Float[Array, "s v"],
    *,
    mask: MaskLike = None,
    bias: Bias = None,
    normalizer: Normalizer = softmax,
) -> Attended:
    """Scores each query-key pair with their dot product.

        scores[t, s] = query[t] · key[s]

    Args:
        mask: True where a query may attend to a key. A query with no key gets context zero.
        bias: added to the scores; -inf is the same as a mask.
        normalizer: makes weights of scores, a row at a time.

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    query, key, value, bias, allowed = readable(query, key, value, mask, bias)
    scores = jnp.einsum("tk,sk->ts", query, key)
    return attend(scores, value, allowed, bias, normalizer)
'''

SCORE_ORACLE = '''"""{title} in NumPy, one query at a time, with its gradient derived by hand."""

import numpy as np

from jattn.oracle.attention.attend import attend, kept_pairs, with_bias
from jattn.oracle.normalizers import softmax


def {function}(query, key, value, *, mask=None, bias=None, normalizer=softmax):
    """Returns ((context, weights), pullback), as `jax.vjp` does.

    With e_ts = q_t · k_s:   dq_t = Σ_s de_ts k_s      dk_s = Σ_t de_ts q_t
    """
    kept = kept_pairs(mask, bias, len(query), len(key))
    scores = np.zeros(kept.shape, np.result_type(query, key))
    for row in range(len(query)):
        scores[row, kept[row]] = key[kept[row]] @ query[row]
    output, attend_pullback = attend(scores, value, kept, bias, normalizer)

    def pullback(cotangent):
        d_scores, d_value = attend_pullback(cotangent)
        d_query, d_key = (np.zeros(x.shape, d_scores.dtype) for x in (query, key))
        for row in range(len(query)):
            keys = kept[row]
            d_query[row] = d_scores[row, keys] @ key[keys]
            d_key[keys] += np.outer(d_scores[row, keys], query[row])
        return with_bias((d_query, d_key, d_value), bias, d_scores)

    return output, pullback
'''

SCORE_ROW = """    Mechanism(
        jattn.{function},
        family="score",
        paper="AUTHORS YEAR, arXiv:NUMBER, eq. N",
        cost="t s (k + v)",
        cases=SCORED,
    ),
"""

LAYER = '''"""{title}: AUTHORS (YEAR), arXiv:NUMBER, equation N."""

from typing import NamedTuple

import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jattn.mechanism import Count, at_least_float32, named_axes


class {kind}Params(NamedTuple):
    """A factor for each of `d` features."""

    scale: Float[Array, " d"]


@named_axes
def init_{function}(*, size: Count, dtype: DTypeLike = float) -> {kind}Params:
    """Returns factors of one: nothing is drawn, so there is no rng."""
    return {kind}Params(jnp.ones(size, dtype))


@named_axes
@at_least_float32
def {function}(params: {kind}Params, inputs: Float[Array, "s d"]) -> Float[Array, "s d"]:
    """Multiplies each feature by a factor.

        outputs[s] = scale ∘ inputs[s]

    Raises:
        ValueError: if two arguments disagree about the size of an axis.
    """
    return params.scale[None] * inputs
'''

LAYER_ORACLE = '''"""{title} in NumPy, one vector at a time, with its gradient derived by hand."""

import numpy as np


def {function}(params, inputs):
    """Returns (outputs, pullback), as `jax.vjp` does.

    With y_s = g ∘ x_s:   dg = Σ_s dy_s ∘ x_s      dx_s = g ∘ dy_s
    """
    (scale,) = params
    outputs = np.zeros(inputs.shape, np.result_type(scale, inputs))
    for row, vector in enumerate(inputs):
        outputs[row] = scale * vector

    def pullback(d_outputs):
        kind = np.result_type(outputs, d_outputs)
        d_scale, d_inputs = np.zeros(scale.shape, kind), np.zeros(inputs.shape, kind)
        for row, d_output in enumerate(d_outputs):
            d_scale += d_output * inputs[row]
            d_inputs[row] = d_output * scale
        return type(params)(d_scale), d_inputs

    return outputs, pullback
'''

LAYER_ROW = """    Mechanism(
        jattn.{function},
        family="layer",
        paper="AUTHORS YEAR, arXiv:NUMBER, eq. N",
        cost="s d",
    ),
"""

TEST = '''"""{title} against its oracle."""

import numpy as np
from {stem} import {names}
from {stem}_oracle import {function} as oracle

from jattn import testing


def test_value_and_derivatives_match_the_oracle():
    rng = np.random.default_rng(0)
    inputs = {inputs}
    testing.check({function}, oracle, inputs)
'''


class Family(NamedTuple):
    """The texts of a family's skeleton, and the folder of its modules."""

    folder: str
    module: str
    oracle: str
    row: str
    suffix: str
    exports: tuple[str, ...]
    inputs: str


FAMILIES = {
    "score": Family(
        "attention",
        SCORE,
        SCORE_ORACLE,
        SCORE_ROW,
        "_attention",
        ("{function}",),
        "[rng.standard_normal(shape) for shape in ((3, 7), (5, 7), (5, 13))]",
    ),
    "layer": Family(
        "layers",
        LAYER,
        LAYER_ORACLE,
        LAYER_ROW,
        "",
        ("{kind}Params", "init_{function}", "{function}"),
        "[{kind}Params(rng.standard_normal(7)), rng.standard_normal((5, 7))]",
    ),
}


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
