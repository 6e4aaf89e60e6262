"""Descriptions of mechanisms: a page of all, the text and the record of one."""

import inspect
import re
from collections.abc import Sequence
from typing import Any

import jax

from jattn._axes import forms_of_arguments
from jattn.catalog import MECHANISMS, Mechanism
from jattn.testing import precision
from jattn.testing.laws import laws
from jattn.testing.properties import ROUNDING
from jattn.tracing.record import table

PREAMBLE = """# Mechanisms

Every mechanism of the catalog, with its cost, its source and its largest errors. Written by
`python -m jattn list --markdown docs/mechanisms.md`.

The errors are those of the value and of the gradient (`value / gradient`) against the oracle, as
a part of the largest entry of the same array, in units of rounding of the dtype: 2⁻⁵³ in float64,
2⁻²⁴ in float32, 2⁻¹¹ in float16, 2⁻⁸ in bfloat16. In half precision, rounding an exact result
costs up to one. Measured with jax {version} on a {device}, on the case of each row that gives
the most arguments. The letters are the axes of [conventions.md](conventions.md).
"""


def record(row: Mechanism) -> dict[str, Any]:
    """Returns what is known of a mechanism as plain values, ready for JSON."""
    return {
        "name": row.name,
        "family": row.family,
        "function": f"{row.function.__module__}.{row.name}",
        "paper": row.paper,
        "cost": row.cost,
        "arguments": dict(arguments(row)),
        "tolerance": row.tolerance,
        "exceptions": dict(row.exceptions),
    }


def arguments(row: Mechanism) -> list[tuple[str, str]]:
    """Returns each array that the function takes, and its axes; [] is a number."""
    forms = forms_of_arguments(row.function).items()
    return [(path, f"[{' '.join(found[0].axes)}]") for path, found in forms]


def description(row: Mechanism) -> str:
    """Returns the docstring, arrays, source, cost, exceptions, laws and errors of a mechanism."""
    stated = [law.__doc__.split(": ", 1) for law in laws() if law.__doc__]
    facts = [
        ("function", f"{row.function.__module__}.{row.name}"),
        ("family", row.family),
        ("source", row.paper),
        ("cost", row.cost),
        *(("law", law) for name, law in stated if name.rpartition(".")[2] == row.name),
        *((f"exception from {rule}", reason) for rule, reason in row.exceptions.items()),
        *(
            (f"errors in {dtype}", f"{errors(row, dtype)} units")
            for dtype in ("float64", "float32")
        ),
    ]
    return "\n".join(
        [
            row.name,
            "",
            inspect.getdoc(row.function) or "",
            "",
            *table(("array", "axes"), arguments(row)),
            "",
            *(f"{name}: {fact}" for name, fact in facts),
            "Errors are the largest of value / gradient, in units of rounding.",
        ]
    )


def markdown(mechanisms: Sequence[Mechanism] = MECHANISMS) -> str:
    """Returns the text of docs/mechanisms.md: a table for each family."""
    text = PREAMBLE.format(version=jax.__version__, device=jax.devices()[0].platform.upper())
    for family in dict.fromkeys(row.family for row in mechanisms):
        text += f"\n## {family.capitalize()}\n\n"
        text += f"| Mechanism | Cost | Source | {' | '.join(ROUNDING)} |\n"
        text += f"|---|---|---|{'---:|' * len(ROUNDING)}\n"
        for row in (row for row in mechanisms if row.family == family):
            path = row.function.__module__.replace(".", "/")
            link = r"[arXiv:\1](https://arxiv.org/abs/\1)"
            source = re.sub(r"arXiv:(\d+\.\d+(?:v\d+)?)", link, row.paper or "elementary")
            cells = [f"[`{row.name}`](../{path}.py)", f"`{row.cost}`", source]
            text += f"| {' | '.join([*cells, *(errors(row, dtype) for dtype in ROUNDING)])} |\n"
    return text


def errors(row: Mechanism, dtype: str) -> str:
    """Returns the largest errors of the value and of the gradient, in units of rounding."""
    call = row.hardest()
    with jax.enable_x64(True):
        findings = precision(call.function, call.oracle, call.inputs(), dtype=dtype)
    unit = ROUNDING[dtype]
    worst = lambda kind: max((f.error / unit for f in findings if f.what.endswith(kind)), default=0)
    return f"{worst('value'):.2f} / {worst('gradient'):.2f}"
