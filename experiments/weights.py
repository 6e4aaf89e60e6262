"""Saved weights of a run, and the configuration that they were trained with."""

import dataclasses
from pathlib import Path
from typing import Any, TypeVar

from experiments.attentions import RENAMED
from jattn import training

C = TypeVar("C")


def load_config(path: Path, kind: type[C]) -> tuple[C, dict[str, Any]]:
    """Returns the configuration in a file of weights, and all metadata of the file.

    Args:
        kind: the dataclass of the configuration.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, or of another experiment.
    """
    metadata = training.load_checkpoint(path).metadata or {}
    fields = metadata.get("config", metadata)
    known = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    if not isinstance(fields, dict) or not fields or not set(fields) <= known:
        raise ValueError(f"{path}: no weights of this experiment")
    if "attention" in fields:
        fields = fields | {"attention": RENAMED.get(fields["attention"], fields["attention"])}
    return kind(**fields), metadata
