"""Recordings: WAV files of any rate and width, as mono samples at 16 kHz."""

import math
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.signal import resample_poly

RATE = 16_000
QUIET = 1e-3  # A recording that stays 60 dB below full scale counts as silent.
INTEGERS, FLOATS, EXTENSIBLE = 1, 3, 0xFFFE
WIDTHS = {INTEGERS: (8, 16, 24, 32), FLOATS: (32, 64)}
SHORTEST = 0.1  # Seconds.
LOWEST, HIGHEST = 2_000, 384_000  # Rates in hertz.


def read_wav(path: Path) -> np.ndarray:
    """Returns the samples of a file at 16 kHz, from -1 to 1; channels are averaged.

    Raises:
        ValueError: the file is no WAV file that can be read, or it is empty, silent or shorter than
            a tenth of a second.
        OSError: there is no such file.
    """
    samples, rate = parse_wav(path.read_bytes(), str(path))
    if not np.abs(samples).max() >= QUIET:
        raise ValueError(f"{path}: is silent")
    if len(samples) < SHORTEST * rate:
        seconds = len(samples) / rate
        raise ValueError(f"{path}: lasts {seconds:.3f} s, expected at least {SHORTEST} s")
    return resample(samples, rate)


def parse_wav(content: bytes, name: str) -> tuple[np.ndarray, int]:
    """Returns the samples of a WAV file, float32 from -1 to 1, and their rate.

    Raises:
        ValueError: naming the file, if its content cannot be read.
    """
    if not content:
        raise ValueError(f"{name}: is empty")
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        raise ValueError(f"{name}: is no WAV file")
    chunks = dict(_chunks(content))
    form, data = chunks.get(b"fmt ", b""), chunks.get(b"data", b"")
    if len(form) < 16:
        raise ValueError(f"{name}: has no format")
    kind, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", form)
    if kind == EXTENSIBLE and len(form) >= 26:
        (kind,) = struct.unpack_from("<H", form, 24)
    if bits not in WIDTHS.get(kind, ()) or not channels:
        raise ValueError(
            f"{name}: has {channels} channels of {bits} bits, format {kind}, expected PCM of"
            " 8, 16, 24 or 32 bits or floats"
        )
    if not LOWEST <= rate <= HIGHEST:
        raise ValueError(f"{name}: has {rate:,} samples a second, expected 2,000 to 384,000")
    frames = len(data) // (channels * bits // 8)
    if not frames:
        raise ValueError(f"{name}: has no samples")
    samples = _numbers(data[: frames * channels * bits // 8], kind, bits)
    if not np.isfinite(samples).all():
        raise ValueError(f"{name}: has samples that are not finite")
    return samples.reshape(frames, channels).mean(1), rate


def resample(samples: np.ndarray, rate: int) -> np.ndarray:
    """Returns samples at 16 kHz, by a polyphase low-pass filter."""
    if rate == RATE:
        return samples
    shared = math.gcd(rate, RATE)
    return resample_poly(samples, RATE // shared, rate // shared).astype(np.float32)


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields names and contents. One that is cut off, as in a stream, ends with the file."""
    place = 12
    while place + 8 <= len(content):
        name, size = struct.unpack_from("<4sI", content, place)
        yield name, content[place + 8 : place + 8 + size]
        place += 8 + size + size % 2


def _numbers(data: bytes, kind: int, bits: int) -> np.ndarray:
    if kind == FLOATS:
        return np.frombuffer(data, f"<f{bits // 8}").astype(np.float32)
    if bits == 8:  # The only width without a sign.
        return (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / 128
    if bits == 24:
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        return (wide.view("<i4")[:, 0] / 2.0**31).astype(np.float32)
    return (np.frombuffer(data, f"<i{bits // 8}") / 2.0 ** (bits - 1)).astype(np.float32)
