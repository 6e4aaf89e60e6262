"""Patterns of paths: `*` stands for any characters, `?` for one, and any other for itself."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from jattn.training.leaves import named_leaves


def paths_of(function: str, tree: Any) -> list[str]:
    """Returns the paths of the leaves, without those that are None.

    Raises:
        ValueError: if two paths are the same text, so that a pattern cannot tell them apart.
    """
    return [path for path, leaf in named_leaves(function, tree).items() if leaf is not None]


def first_matches(function: str, paths: Sequence[str], patterns: Iterable[str]) -> dict[str, str]:
    """Returns for each path the first pattern that matches it, if there is one.

    A pattern also matches every path below it. One that is itself a path, or a branch, matches
    that alone: `what?` is not `whats`.

    Raises:
        ValueError: if a pattern matches nothing; the message lists paths that there are.
    """
    check_list(function, "patterns", patterns)
    branches = {path[: end.start()] for path in paths for end in re.finditer("/|$", path)}
    matches = {}
    for pattern in patterns:
        text = re.escape(pattern) if pattern in branches else wildcards(pattern)
        regex = re.compile(f"(?:{text})(?:/.*)?", re.DOTALL)
        matched = [path for path in paths if regex.fullmatch(path)]
        if not matched:
            listed = ", ".join(paths[:5]) + (" ..." if len(paths) > 5 else "")
            raise ValueError(f"{function}: {pattern!r} matches no path; there are {listed}")
        matches = dict.fromkeys(matched, pattern) | matches
    return matches


def wildcards(pattern: str) -> str:
    """Returns the regular expression of a pattern."""
    return re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")


def check_list(function: str, argument: str, patterns: Any) -> None:
    """Raises ValueError for one pattern without a list: its letters would be patterns."""
    if isinstance(patterns, str):
        raise ValueError(f"{function}: {argument} is {patterns!r}, expected a list of patterns")
