"""Values as JSON, read back: the form in which a later run sees them."""

import json
from typing import Any


def json_round_trip(argument: str, value: Any) -> Any:
    """Returns `value` as JSON reads it back: tuples as lists, keys as strings.

    Args:
        argument: the function and argument for the message, `fit: config` say.

    Raises:
        ValueError: if JSON cannot hold it, or if two keys are the same as strings.
    """
    try:
        return json.loads(json.dumps(value), object_pairs_hook=_unique)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{argument} is not JSON: {error}") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = {}
    for name, value in pairs:
        if name in values:
            raise ValueError(f"two keys are {name!r} as strings")
        values[name] = value
    return values


def is_same_json(left: Any, right: Any) -> bool:
    """Returns whether two values read from JSON are the same; NaN is the same as NaN."""
    return left == right or json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)
