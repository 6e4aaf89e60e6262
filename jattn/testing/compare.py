"""Scaled errors, leaf by leaf, and the report that lists them."""

from typing import Any, NamedTuple

import jax
import numpy as np

Tree = Any
TOLERANCE = 1e-12  # Of float64, as a part of the largest entry.


class Finding(NamedTuple):
    """One comparison: its subject, the leaf, the scaled error and the largest that is allowed."""

    what: str
    leaf: str
    error: float
    bound: float

    @property
    def passed(self) -> bool:
        return bool(self.error <= self.bound)  # NaN does not pass.


class Report(NamedTuple):
    """All comparisons of one function with its oracle; printed, it is a table."""

    name: str
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        return all(finding.passed for finding in self.findings)

    def __str__(self) -> str:
        width = max((len(f.what) for f in self.findings), default=4)
        leaf = max((len(f.leaf) for f in self.findings), default=4)
        lines = [
            f"{self.name} against its oracle",
            f"{'what':{width}}  {'leaf':{leaf}}     error  bound",
        ]
        lines += [
            f"{f.what:{width}}  {f.leaf:{leaf}}  {f.error:8.1e}  {f.bound:.0e}"
            + ("" if f.passed else "  FAILED")
            for f in self.findings
        ]
        return "\n".join(lines)


def compare(what: str, actual: Tree, expected: Tree, bound: float) -> tuple[Finding, ...]:
    """Returns the largest error of each leaf as a part of the leaf's largest entry.

    A leaf that is zero up to rounding, such as the gradient of a key's bias under softmax, is
    measured against the largest entry of the whole tree. Errors are computed in at least float64.

    Args:
        what: subject of the comparison, for the report.
        actual: a tree of arrays.
        expected: a tree with the same number of leaves, of the same shapes.
        bound: the largest error that is allowed.

    Raises:
        AssertionError: if the trees differ in the number or the shapes of their leaves.
    """
    named = jax.tree.leaves_with_path(actual)
    wanted = [_wide(leaf) for leaf in jax.tree.leaves(expected)]
    if len(named) != len(wanted):
        raise AssertionError(f"{what}: {len(named)} leaves, expected {len(wanted)}")
    sizes = [float(np.abs(leaf).max(initial=0.0)) for leaf in wanted]
    largest = max(sizes, default=0.0)
    findings = []
    for (path, leaf), want, size in zip(named, wanted, sizes, strict=True):
        name, leaf = jax.tree_util.keystr(path), _wide(leaf)
        if leaf.shape != want.shape:
            raise AssertionError(f"{what}: {name} has shape {leaf.shape}, expected {want.shape}")
        scale = size if size > TOLERANCE * largest else largest
        error = float(np.abs(leaf - want).max(initial=0.0))
        findings.append(Finding(what, name, error / scale if scale else error, bound))
    return tuple(findings)


def _wide(leaf: Any) -> np.ndarray:
    """Returns a leaf in at least float64, so that no difference is rounded away or wraps around."""
    leaf = np.asarray(leaf)
    return leaf.astype(np.result_type(leaf, np.float64))


def assert_close(actual: Tree, expected: Tree, tolerance: float, what: str = "result") -> None:
    """Raises AssertionError with a table unless every leaf is within `tolerance`.

    It does so under `python -O` too.

    Args:
        actual: a tree of arrays.
        expected: a tree with the same number of leaves, of the same shapes.
        tolerance: the largest error that is allowed, as a part of the largest entry of a leaf.
        what: subject of the comparison, for the table.
    """
    report = Report(what, compare(what, actual, expected, tolerance))
    if not report.passed:
        raise AssertionError(str(report))
