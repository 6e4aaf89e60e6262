"""`python -m experiments.language`: train, report, draw; `... write PROMPT`: go on with a text."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from experiments import command, results
from experiments.language import report
from experiments.language.config import MODELS, PRESETS
from experiments.language.run import run
from experiments.language.train import load_weights
from experiments.language.writing import write


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return command.run(parser(), arguments)


def parser() -> command.Parser:
    """Returns the parser of the command."""
    parser = command.Parser(
        prog="python -m experiments.language",
        description="Learns to predict the characters of a text; writes, and draws attention.",
    )
    parser.set_defaults(work=train)
    parser.add_presets(PRESETS)
    parser.add_out(Path("runs/language"))
    parser.add_resume()
    commands = parser.add_subparsers(dest="command")
    writer = commands.add_parser("write", help="go on with a text, with the weights in --out")
    takes = ("prompt", "model", "length", "temperature", "draw_seed", "out")
    writer.set_defaults(work=go_on, takes=takes)
    writer.add_argument("prompt", help="the beginning of a verse")
    writer.add_argument(
        "--model", choices=MODELS, default="transformer", help="the model (default: transformer)"
    )
    writer.add_argument(
        "--length",
        type=command.whole(),
        default=300,
        metavar="N",
        help="characters to write (default: 300)",
    )
    writer.add_argument(
        "--temperature",
        type=command.real(above=0),
        default=0.7,
        metavar="X",
        help="below 1: likelier characters, above 1: less likely ones (default: 0.7)",
    )
    writer.add_argument(
        "--seed",
        dest="draw_seed",
        type=command.whole(least=0),
        default=0,
        metavar="N",
        help="the seed that characters are drawn from (default: 0)",
    )
    writer.add_out()
    return parser


def train(options: argparse.Namespace) -> None:
    began = time.perf_counter()
    config = command.configured(PRESETS[options.preset], options)
    command.make_folder(options.out)
    record = run(config, options.out, resume=options.resume, command=options.typed)
    for table in record["tables"]:
        print(results.text(table) + "\n")
    for line in report.draw(options.out, record):
        print(line)
    print(f"{time.perf_counter() - began:.0f} s in all; everything is in {options.out}")


def go_on(options: argparse.Namespace) -> None:
    # Of several seeds the first that was trained.
    trained = sorted(options.out.glob(f"*/{options.model}/weights.safetensors"))
    place = trained[0].parent if trained else report.folder(options.out, options.model, 0)
    params, kind, config, alphabet = load_weights(place)
    written = write(
        params,
        options.prompt,
        kind,
        config,
        alphabet,
        length=options.length,
        temperature=options.temperature,
        seed=options.draw_seed,
    )
    print(options.prompt + written.text)
    print(
        f"\n{written.with_cache:,.0f} characters a second with the cache,"
        f" {written.without_cache:,.0f} without"
    )


if __name__ == "__main__":
    sys.exit(main())
