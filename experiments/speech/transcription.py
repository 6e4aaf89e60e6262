"""Recordings to text: windows of 30 seconds, the words of each, and the times of these words."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from experiments.speech import tokens as tokenizers
from experiments.speech import whisper
from experiments.speech.alignment import alignment_matrix, starts, warp
from experiments.speech.audio import RATE
from experiments.speech.pretrained import Pretrained
from experiments.speech.spectrogram import HOP, SAMPLES, log_mel, to_window
from experiments.speech.tokens import Span
from experiments.speech.whisper import LONGEST, Rules, Whisper

READ_WIDTHS = (
    16,
    32,
    64,
    128,
    LONGEST + 3,
)  # Tokens that a text is padded to: one compilation each.
SEARCHED = 5 * RATE  # Samples at the end of a window among which it is cut.
NO_SPEECH, UNLIKELY = 0.6, -1.0  # The original's: above and below these, a window is left out.


class Word(NamedTuple):
    """A word, when it is said in seconds, and the mean probability of its tokens."""

    text: str
    start: float
    end: float
    probability: float


class Aligned(NamedTuple):
    """The words of a text, the times at which its tokens begin, and the alignment heads' mean."""

    words: list[Word]
    spans: list[Span]  # Of the tokens of each word.
    token_starts: Float[np.ndarray, " t"]
    weights: Float[np.ndarray, "t s"]  # Not standardized.
    no_speech: float
    log_probability: float  # Mean over the tokens and the end.


class Window(NamedTuple):
    """The text of a window, and its words; `start` is the window's in seconds."""

    start: float
    seconds: float
    tokens: tuple[int, ...]
    text: str
    aligned: Aligned
    spectrogram: Float[np.ndarray, "m f"]


@jax.jit
def listen(
    params: Whisper, samples: Float[Array, " n"]
) -> tuple[Float[Array, "m f"], Float[Array, "s d"]]:
    """Returns the spectrogram of a window and the encoder's states."""
    spectrogram = log_mel(samples)
    return spectrogram, whisper.encode(params, spectrogram)


@partial(jax.jit, static_argnames=("rules", "beam_size"))
def write(
    params: Whisper, states: Float[Array, "s d"], *, rules: Rules, beam_size: int = 1
) -> tuple[Int[Array, " m"], Int[Array, ""]]:
    """Returns the tokens of a window's text, and their number."""
    found = whisper.write(params, states, rules, beam_size=beam_size)
    return found.tokens, found.lengths


@partial(jax.jit, static_argnames="heads")
def read(
    params: Whisper,
    states: Float[Array, "s d"],
    tokens: Int[Array, " t"],
    *,
    heads: tuple[tuple[int, int], ...],
) -> tuple[Float[Array, "t w"], Float[Array, "h t s"]]:
    """Returns the logits after each token, and the weights of the given heads."""
    logits, weights = whisper.read(params, states, tokens)
    return logits, jnp.stack([weights[block][head] for block, head in heads])


listen_again = jax.jit(whisper.encode)
log_softmax = jax.jit(jax.nn.log_softmax)


def padded(tokens: Sequence[int], rules: Rules) -> np.ndarray:
    """Returns tokens with stop tokens after them, in one of a few widths."""
    width = next(width for width in READ_WIDTHS if width >= len(tokens))
    return np.array([*tokens, *[rules.stop] * (width - len(tokens))], np.int32)


def transcribe(model: Pretrained, samples: np.ndarray, *, beam_size: int = 1) -> Iterator[Window]:
    """Yields the text of each window of a recording; one without speech has an empty text."""
    for first, end in windows(samples):
        spectrogram, states = listen(model.params, to_window(samples[first:end]))
        found, count = write(model.params, states, rules=model.rules, beam_size=beam_size)
        tokens = tuple(np.asarray(found)[: int(count)].tolist())
        aligned = align(model, states, tokens, end - first)
        if aligned.no_speech > NO_SPEECH and aligned.log_probability < UNLIKELY:
            tokens, aligned = (), align(model, states, (), end - first)
        yield Window(
            start=first / RATE,
            seconds=(end - first) / RATE,
            tokens=tokens,
            text=model.tokenizer.text(tokens).strip(),
            aligned=aligned,
            spectrogram=np.asarray(spectrogram),
        )


def windows(samples: np.ndarray) -> list[tuple[int, int]]:
    """Returns the ends of windows of at most 30 s, each cut where its last 5 s are quietest."""
    found, first = [], 0
    while len(samples) - first > SAMPLES:
        blocks = samples[first + SAMPLES - SEARCHED : first + SAMPLES].reshape(-1, RATE // 5)
        quietest = int((blocks.astype(float) ** 2).sum(-1).argmin())
        end = first + SAMPLES - SEARCHED + quietest * (RATE // 5) + RATE // 10
        found.append((first, end))
        first = end
    return [*found, (first, len(samples))]


def align(
    model: Pretrained, states: Float[Array, "s d"], tokens: tuple[int, ...], samples: int
) -> Aligned:
    """Returns the words of a text with the times at which they are said.

    Args:
        states: of the window.
        tokens: the text, without special tokens.
        samples: number of samples of the recording in the window.
    """
    rules = model.rules
    whole = np.array([*rules.prompt, *tokens, rules.stop], np.int32)
    logits, weights = read(
        model.params, states, padded(whole.tolist(), rules), heads=rules.alignment_heads
    )
    logs = np.asarray(log_softmax(logits))
    # A row predicts the token after it; the row of the start alone predicts no text.
    first, end = len(rules.prompt) - 1, len(whole) - 1
    predicted = whole[first + 1 :]
    chosen = logs[np.arange(first, end), predicted]
    no_speech = float(np.exp(logs[0, rules.no_speech]))
    weights = np.asarray(weights, float)[:, : len(whole)]
    matrix = alignment_matrix(weights, max(1, samples // HOP // 2))
    token_starts = starts(*warp(-matrix[first:end]))
    probabilities, spans = np.exp(chosen), tokenizers.words(model.tokenizer, tokens)
    words = [
        Word(
            word.text,
            float(token_starts[word.first]),
            float(token_starts[word.end]),
            float(probabilities[word.first : word.end].mean()),
        )
        for word in spans
    ]
    mean = weights.mean(0)[first:end]
    return Aligned(words, spans, token_starts, mean, no_speech, float(chosen.mean()))
