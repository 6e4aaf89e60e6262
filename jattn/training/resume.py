"""What a run leaves in its checkpoint, and how the next one takes it up."""

import dataclasses
import json
import os
from collections.abc import Mapping
from typing import Any

from jattn.training.checkpoint import load_checkpoint, save_checkpoint
from jattn.training.early_stop import Best
from jattn.training.state import TrainState


def as_json(config: Any) -> dict[str, Any]:
    """The configuration as it will be read back: a dataclass or mapping, tuples as lists.

    Raises:
        ValueError: it is neither, or JSON cannot say it.
    """
    if config is None:
        return {}
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        config = dataclasses.asdict(config)
    if not isinstance(config, Mapping):
        raise ValueError(f"fit: config is {type(config).__name__}, expected a dataclass or mapping")
    try:
        return json.loads(json.dumps(dict(config)))
    except (TypeError, ValueError) as error:
        raise ValueError(f"fit: config is not JSON: {error}") from error


def save_run(
    path: str | os.PathLike, state: TrainState, best: Best | None, config: dict[str, Any]
) -> None:
    """Writes `state` and `best`, and the step and `config` as metadata."""
    metadata = {"step": int(state.step), "config": config}
    save_checkpoint(path, {"state": state, "best": best}, metadata=metadata)


def resume_run(
    path: str | os.PathLike, state: TrainState, best: Best | None, config: dict[str, Any]
) -> tuple[TrainState, Best | None]:
    """Reads what `save_run` wrote; the arguments say what to expect.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, of another model, or of a run with another `config`.
    """
    tree, metadata = load_checkpoint(path, like={"state": state, "best": best})
    earlier = metadata.get("config", {})
    for name in {**earlier, **config}:
        if earlier.get(name) != config.get(name):
            raise ValueError(
                f"fit: {path} was written with {name}={earlier.get(name)!r}"
                f" and cannot continue with {name}={config.get(name)!r}"
            )
    return tree["state"], tree["best"]
