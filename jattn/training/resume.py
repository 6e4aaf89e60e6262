"""Checkpoints of a run: their contents, their files, and resuming from them."""

import dataclasses
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jattn.atomic import write_atomically
from jattn.training.checkpoint import checkpoint_bytes, load_checkpoint
from jattn.training.early_stop import BestEvaluation
from jattn.training.round_trip import is_same_json, json_round_trip
from jattn.training.state import TrainState


def as_json(config: Any) -> dict[str, Any]:
    """Returns the configuration as it will be read back: a dict, with tuples as lists.

    Raises:
        ValueError: if it is no dataclass or mapping, or if JSON cannot hold it.
    """
    if config is None:
        return {}
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        config = dataclasses.asdict(config)
    if not isinstance(config, Mapping):
        raise ValueError(f"fit: config is {type(config).__name__}, expected a dataclass or mapping")
    return json_round_trip("fit: config", dict(config))


@dataclasses.dataclass(frozen=True)
class RunFiles:
    """The checkpoint of a run, and those that are kept beside it.

    `monitor` names the metric of `best` and its direction; None without an evaluation.
    """

    path: Path
    config: dict[str, Any]
    monitor: dict[str, Any] | None
    every: int
    keep: int

    def save(self, state: TrainState, best: BestEvaluation | None, is_evaluated: bool) -> None:
        """Writes the checkpoint; at each `every`-th step also a copy, of which `keep` stay.

        The copies that stay follow from the step alone, and the checkpoint is written last. So
        a run that is killed here resumes at an earlier step, and does all of it again.
        """
        content, step = self._content(state, best, is_evaluated), int(state.step)
        if self.keep and step and step % self.every == 0:
            write_atomically(self.copy_at(step), content)
            self.copy_at(step - self.keep * self.every).unlink(missing_ok=True)
        write_atomically(self.path, content)

    def save_best(self, state: TrainState, best: BestEvaluation) -> None:
        """Writes the copy of the best evaluation, if copies are kept."""
        if self.keep:
            write_atomically(self.best_copy, self._content(state, best, True))

    def _content(self, state: TrainState, best: BestEvaluation | None, is_evaluated: bool) -> bytes:
        metadata: dict[str, Any] = {"step": int(state.step), "config": self.config}
        if self.monitor is not None:
            metadata["monitor"] = self.monitor
        if not is_evaluated:
            metadata["is_evaluated"] = False
        return checkpoint_bytes({"state": state, "best": best}, metadata)

    def copy_at(self, step: int) -> Path:
        return self.path.with_name(f"{self.path.stem}-{step:08d}{self.path.suffix}")

    @property
    def best_copy(self) -> Path:
        return self.path.with_name(f"{self.path.stem}-best{self.path.suffix}")

    def resume(
        self, state: TrainState, best: BestEvaluation | None
    ) -> tuple[TrainState, BestEvaluation | None, bool]:
        """Reads the checkpoint; the arguments give the expected structure.

        Returns:
            The state, the best evaluation, and whether the evaluation of this step was done.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is damaged, of another model, or of a run with another `config`; or
                if the values of its best evaluation are of another metric.
        """
        tree, metadata = load_checkpoint(self.path, like={"state": state, "best": best})
        earlier = metadata.get("config", {})
        if not isinstance(earlier, Mapping):
            raise ValueError(f"fit: {self.path} is not the checkpoint of a run")
        for name in {**earlier, **self.config}:
            if not is_same_json(earlier.get(name), self.config.get(name)):
                raise ValueError(
                    f"fit: {self.path} was written with {name}={earlier.get(name)!r}"
                    f" and cannot continue with {name}={self.config.get(name)!r}"
                )
        # The name of the metric may be mended if no evaluation has measured it.
        monitor, step = metadata.get("monitor", self.monitor), best and tree["best"].step
        if step and monitor != self.monitor:
            raise ValueError(
                f"fit: {self.path} was written with monitor={monitor}"
                f" and cannot continue with monitor={self.monitor}"
            )
        return tree["state"], tree["best"], metadata.get("is_evaluated", True)

    def check_log(self, log: str | os.PathLike | None) -> None:
        """Raises ValueError if the log is one of these files."""
        if log is None:
            return
        for name, path in (("checkpoint", self.path), ("its copy", self.best_copy)):
            if _is_same_file(log, path):
                raise ValueError(f"fit: log is {log}, expected another file than {name}")
        in_folder = Path(os.path.realpath(log)).parent == Path(os.path.realpath(self.path)).parent
        copies = re.escape(self.path.stem) + r"-\d{8,}" + re.escape(self.path.suffix)
        if self.keep and in_folder and re.fullmatch(copies, Path(log).name):
            raise ValueError(f"fit: log is {log}, expected another file than a kept checkpoint")


def _is_same_file(left: str | os.PathLike, right: str | os.PathLike) -> bool:
    if os.path.exists(left) and os.path.exists(right):
        return os.path.samefile(left, right)
    return os.path.realpath(left) == os.path.realpath(right)
