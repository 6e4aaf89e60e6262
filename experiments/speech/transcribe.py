"""WAV files to text with Whisper tiny.en: each word with its time, and a picture of attention."""

import argparse
import time
from pathlib import Path

from experiments import command
from experiments.speech import pictures, pretrained, transcription
from experiments.speech.audio import RATE, read_wav


def add_options(parser: command.Parser) -> None:
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.wav", help="recordings")
    parser.add_argument(
        "--beam-size", type=command.whole(), default=1, metavar="N", help="hypotheses kept (1)"
    )
    parser.add_argument("--words", action="store_true", help="print the time of each word")
    parser.add_argument(
        "--pictures",
        type=Path,
        metavar="DIR",
        help="folder to draw attention into, one for a window",
    )


def run(options: argparse.Namespace) -> None:
    """Prints the text of each file."""
    recordings = [(path, read_wav(path)) for path in options.files]
    if options.pictures is not None:
        command.make_folder(options.pictures)
    model = pretrained.load()
    for path, samples in recordings:
        began, empty = time.perf_counter(), True
        windows = transcription.transcribe(model, samples, beam_size=options.beam_size)
        for place, window in enumerate(windows):
            empty = empty and not window.text
            print(f"{path} {window.start:.1f} s: {window.text or '(no speech)'}")
            if options.words:
                for word in window.aligned.words:
                    limits = (window.start + limit for limit in (word.start, word.end))
                    print(
                        "{:9.2f} {:7.2f}  {:.2f}  {}".format(*limits, word.probability, word.text)
                    )
            if options.pictures is not None and window.tokens:
                picture = options.pictures / f"{path.stem}-{place}.png"
                pictures.draw(picture, lambda window=window: pictures.heard(model, window))
        seconds = time.perf_counter() - began
        print(f"{len(samples) / RATE:.1f} s of sound in {seconds:.1f} s, compilation included")
