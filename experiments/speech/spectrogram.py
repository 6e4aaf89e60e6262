"""Log-mel spectrograms as Whisper reads them: Radford et al. (2022), arXiv:2212.04356, 2.2."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from experiments.speech.audio import RATE

WINDOW, HOP, BANDS, SECONDS = 400, 160, 80, 30
SAMPLES, FRAMES = SECONDS * RATE, SECONDS * RATE // HOP
# Slaney's scale is linear up to 1 kHz, which is mel 15, and then has 27 mels for a factor of 6.4.
LINEAR, BREAK, STEP = 200 / 3, 15.0, np.log(6.4) / 27


def hertz(mels: np.ndarray) -> np.ndarray:
    """Returns the frequencies of points of Slaney's mel scale."""
    return np.where(
        mels < BREAK, LINEAR * mels, LINEAR * BREAK * np.exp(STEP * np.maximum(mels - BREAK, 0))
    )


def mels(hertz: float) -> float:
    """Returns the point of Slaney's mel scale for a frequency."""
    linear = hertz / LINEAR
    return linear if linear < BREAK else BREAK + float(np.log(linear / BREAK)) / STEP


def band_edges(bands: int, highest: float) -> np.ndarray:
    """Returns `bands` frequencies from 0 to `highest`, at equal distances on the mel scale."""
    return hertz(np.linspace(0.0, mels(highest), bands))


def mel_filters(bands: int = BANDS, window: int = WINDOW, rate: int = RATE) -> np.ndarray:
    """Returns triangular filters of equal area, [bands, window // 2 + 1]."""
    lower, centre, upper = (band_edges(bands + 2, rate / 2)[i : i + bands, None] for i in range(3))
    frequencies = np.arange(window // 2 + 1) * rate / window
    rising, falling = (
        (frequencies - lower) / (centre - lower),
        (upper - frequencies) / (upper - centre),
    )
    return np.maximum(0, np.minimum(rising, falling)) * 2 / (upper - lower)


FILTERS = mel_filters().astype(np.float32)
HANN = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32)


def log_mel(samples: Float[Array, " n"]) -> Float[Array, "80 f"]:
    """Returns the spectrogram of samples at 16 kHz, a frame for each 160 of them.

    Powers are logarithms to base 10, limited to 8 below the largest, and then moved and scaled to
    about -1 to 1.
    """
    padded = jnp.pad(samples, WINDOW // 2, mode="reflect")
    starts = HOP * np.arange(len(samples) // HOP)
    windows = padded[starts[:, None] + np.arange(WINDOW)[None]]
    powers = jnp.abs(jnp.fft.rfft(windows * HANN[None])) ** 2
    bands = jnp.einsum("mf,tf->mt", FILTERS, powers)
    logarithms = jnp.log10(jnp.maximum(bands, 1e-10))
    return (jnp.maximum(logarithms, logarithms.max() - 8.0) + 4.0) / 4.0


def to_window(samples: np.ndarray) -> np.ndarray:
    """Returns 30 seconds: the samples, and zeros after them."""
    return np.pad(samples[:SAMPLES], (0, max(0, SAMPLES - len(samples)))).astype(np.float32)
