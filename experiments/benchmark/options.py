"""The options of the command."""

import argparse
from pathlib import Path

from experiments.benchmark.prepared import OWN, PEERS

SMOKE_PEERS = [OWN, "jax.nn"]


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m experiments.benchmark", description=__doc__)
    parser.add_argument("--rows", nargs="+", metavar="NAME", help="rows or families of rows")
    parser.add_argument("--peers", nargs="+", metavar="NAME", help="libraries, jattn in any case")
    parser.add_argument("--list", action="store_true", help="print rows and peers")
    parser.add_argument("--check", action="store_true", help="compare with float64, time nothing")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, jattn and jax.nn")
    parser.add_argument("--fresh", action="store_true", help="measure again what is finished")
    parser.add_argument("--markdown", action="store_true", help="make the page alone")
    parser.add_argument("--repeats", type=int, help="turns of each library (7)")
    parser.add_argument(
        "--budget",
        type=float,
        default=900,
        help="seconds of timing; compiling, checks, memory and curves come besides (%(default)s)",
    )
    parser.add_argument("--limit", type=float, default=120, help="seconds of a call (%(default)s)")
    parser.add_argument("--memory", type=float, default=20, help="GiB of a process (%(default)s)")
    parser.add_argument("--out", type=Path, help="folder of page, pictures and results (docs)")
    return parser


def asked(options: argparse.Namespace) -> list[str]:
    """The peers in the order of the table.

    Raises:
        ValueError: one is unknown, or a number is too small.
    """
    for name in options.peers or ():
        if name not in PEERS:
            raise ValueError(f"--peers: {name} is none of {', '.join(PEERS)}")
    for name in ("repeats", "budget", "limit", "memory"):
        value = getattr(options, name)
        if value is not None and value <= 0:
            raise ValueError(f"--{name} is {value:g}, expected more than 0")
    wanted = options.peers or (SMOKE_PEERS if options.smoke else PEERS)
    return [name for name in PEERS if name == OWN or name in wanted]
