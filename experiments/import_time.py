"""Times of `import jattn` and of `import jax`: medians of interleaved fresh processes."""

import argparse
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence

from experiments import command

TIMED = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"


def seconds_to_import(module: str) -> float:
    words = [sys.executable, "-c", TIMED.format(module)]
    # With bytecode, as jax has it once it is installed.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(words, check=True, capture_output=True, text=True, env=env)
    return float(done.stdout)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = command.Parser(prog="python -m experiments.import_time", description=__doc__)
    parser.set_defaults(work=measure)
    parser.add_argument(
        "--repeats", type=command.whole(), default=10, metavar="N", help="processes of each (10)"
    )
    parser.add_argument(
        "--limit", type=command.real(above=0), default=1.2, metavar="N", help="largest ratio (1.2)"
    )
    return command.run(parser, arguments)


def measure(options: argparse.Namespace) -> int:
    """Prints the times and their ratio; returns 1 if it is above the limit."""
    for module in ("jax", "jattn"):
        seconds_to_import(module)  # Files are read into the system's cache, bytecode is written.
    pairs = [(seconds_to_import("jax"), seconds_to_import("jattn")) for _ in range(options.repeats)]
    jax_median, jattn_median = map(statistics.median, zip(*pairs, strict=True))
    ratio = jattn_median / jax_median
    print(f"import jax    {jax_median:.3f} s, median of {options.repeats}")
    print(f"import jattn  {jattn_median:.3f} s, median of {options.repeats}")
    print(f"ratio         {ratio:.3f}, limit {options.limit}")
    return int(ratio > options.limit)


if __name__ == "__main__":
    sys.exit(main())
