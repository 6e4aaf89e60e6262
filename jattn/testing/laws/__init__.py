"""Laws and closed forms that mechanisms obey, whatever code computes them.

Each is a function that yields pairs of arrays that have to be equal. Its docstring states the law.
`python -m jattn.testing.laws` prints docs/laws.md.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from jattn.testing.laws.law import LAWS

# Imported when they are asked for: they draw parameters.
MODULES = (
    *("normalizers", "scores", "patterns", "selectors", "positions", "heads", "sets", "images"),
    *("recurrent", "gated", "alignment", "linear"),
)
PAGE = """\
# Laws and closed forms

Properties that hold whatever code computes a mechanism. A mistake in a convention, such as an index
that is shifted or a length that counts padding, breaks one of them, even where training does not
notice it. The test suite checks each in float64, to a relative error of 1e-12.
`python -m jattn.testing.laws` prints this page.

| Mechanism | Law |
|---|---|
"""


def laws() -> list[Callable[[], Any]]:
    """Returns all laws, family by family."""
    for name in MODULES:
        import_module(f"{__name__}.{name}")
    return sorted(LAWS, key=lambda law: MODULES.index(law.__module__.rpartition(".")[2]))


def page() -> str:
    """Returns the text of docs/laws.md."""
    stated = [(each.__doc__ or "").replace("|", "\\|").split(": ", 1) for each in laws()]
    rows = [f"| `{name}` | {statement.removesuffix('.')} |" for name, statement in stated]
    return PAGE + "\n".join(rows) + "\n"
