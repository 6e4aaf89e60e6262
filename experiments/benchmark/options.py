"""The options of the command."""

import argparse
from pathlib import Path

from experiments.benchmark.prepared import OWN, PEERS
from experiments.command import Parser, real, whole

SMOKE_PEERS = [OWN, "jax.nn"]


def parser() -> Parser:
    """Returns the parser of the command."""
    parser = Parser(
        prog="python -m experiments.benchmark",
        description="Measures times and memory of jattn and of other libraries.",
    )
    more_than_0 = real(above=0)
    parser.add_argument("--rows", nargs="+", metavar="NAME", help="rows or families of rows")
    parser.add_argument("--peers", nargs="+", metavar="NAME", help="libraries, jattn in any case")
    parser.add_argument("--list", action="store_true", help="print rows and peers")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, jattn and jax.nn")
    parser.add_argument("--fresh", action="store_true", help="measure again what is finished")
    parser.add_argument(
        "--markdown", action="store_true", help="make the page from the records, measure nothing"
    )
    parser.add_argument(
        "--repeats", type=whole(), metavar="N", help="turns of each library (default: 7)"
    )
    parser.add_argument(
        "--budget",
        type=more_than_0,
        default=900.0,
        metavar="N",
        help="seconds of timing, without compiling, errors and memory (default: 900)",
    )
    text = "seconds that a call may take (default: 120)"
    parser.add_argument("--limit", type=more_than_0, default=120.0, metavar="N", help=text)
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of page and results")
    return parser


def asked(options: argparse.Namespace) -> list[str]:
    """Returns the peers in the order of the table.

    Raises:
        ValueError: one is unknown.
    """
    for name in options.peers or ():
        if name not in PEERS:
            raise ValueError(f"--peers: {name} is none of {', '.join(PEERS)}")
    wanted = options.peers or (SMOKE_PEERS if options.smoke else PEERS)
    return [name for name in PEERS if name == OWN or name in wanted]
