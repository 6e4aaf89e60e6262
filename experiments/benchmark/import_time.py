"""How long `import jattn` takes beside `import jax`: medians of interleaved fresh processes."""

import argparse
import os
import statistics
import subprocess
import sys

TIMED = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"


def seconds_to_import(module: str) -> float:
    command = [sys.executable, "-c", TIMED.format(module)]
    # With bytecode, as jax has it once it is installed.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=env)
    return float(done.stdout)


def main() -> int:
    parser = argparse.ArgumentParser(prog="experiments.benchmark.import_time", description=__doc__)
    parser.add_argument("--repeats", type=int, default=10, help="processes a module (%(default)s)")
    parser.add_argument("--limit", type=float, default=1.2, help="ratio to pass (%(default)s)")
    options = parser.parse_args()
    if options.repeats < 1:
        parser.error(f"--repeats is {options.repeats}, expected at least 1")
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
