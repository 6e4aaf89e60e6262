"""docs/performance.md, made of a record and of nothing else."""

from pathlib import Path

from experiments.benchmark import pictures, summary, tables
from experiments.benchmark.results import Record
from jattn.training.atomic import write_atomically

OPENING = """# Performance

Made by `python -m experiments.benchmark` from [{file}]({file}); not edited by hand.

Every row is measured for all libraries in one run: each library in a process of its own, all of them
in turns, so that all see the same noise. Times are medians of single calls, compiled where the
library compiles, with float32 inputs that lie in the library's own layout. Forward + backward is the
result and the gradient of every float input. A ratio is a library's time over jattn's: above 1, jattn
is faster.
"""

READING = """How to read it:

- Names give the family and the sizes: `b t h k` for attention, `b t s q p` for additive attention,
  `b t i n` for the GRU. `window` sees the query's own position and 256 before it, causally
  (`local_window_size=(256, 0)`). `padded` is causal with a length drawn for each example.
  `documents` packs eight into one sequence. `grouped` has 8 key-value heads. `soft-cap` is 50. `decode` is one query
  against 4,096 keys. `bidirectional` has a length drawn for each example.
- `training-step` is a step of [the main job's model](pronunciation.md) with its default sizes: 256
  words of at most 12 letters, loss, gradient, clipping and Adam. The other one feeds each attentional vector to
  the next step.
- The best peer is the fastest library whose result is right: within 1e-3 of float64, as a part of the
  largest entry, in the output and in each gradient. (wrong) marks what is not; – what a library cannot do.
- The limit is the float32 product of two 2048 × 2048 matrices, the faster of JAX's and PyTorch's in the same
  run: {limit}. The part of it counts only products over pairs that may attend to each other, forward
  once and backward twice.
"""

CLOSING = """## What not to conclude

- One machine, two threads, one run. On a GPU none of these ratios holds.
- Equinox's and Haiku's attention has four projections, which are set to the identity and are paid
  for. PyTorch is not compiled, except FlexAttention, which has no backward pass on a processor.
- Masks that a library takes as an array are made before the clock starts; they count as memory.
- ONNX Runtime runs without its arena, which a program that calls it often would keep.
- A ratio near 1 is a draw: repeat the row before believing in a few per cent.
- Memory is that of one call beside inputs and compiled code, the largest size of a fresh process. What is
  small against 10 MiB is mostly the libraries' own buffers.

## Do it again

```sh
pip install -c constraints.txt -e '.[experiments,peers]'
python -m experiments.benchmark --list
python -m experiments.benchmark
```

The machine should have nothing else to do. An interrupted run goes on where it stopped; `--fresh`
starts anew, `--rows` and `--peers` take a part, `--check` compares results alone, and `--markdown` makes
this page from the record.
"""


def write(record: Record, file: Path, folder: Path) -> Path:
    """Writes performance.md and its pictures into `folder`; returns the page's path."""
    if summary.curves(record):
        pictures.draw(record, folder / "pictures")
    page = folder / "performance.md"
    write_atomically(page, text(record, file.relative_to(folder).as_posix()).encode())
    return page


def text(record: Record, file: str) -> str:
    limit = summary.rate(record)
    said = f"{limit[0] / 1e9:.0f} GFLOP/s, {summary.title(limit[1])}" if limit else "not measured"
    parts = [OPENING.format(file=file), setting(record), "## In short\n", means(record)]
    if summary.measured(record):
        parts += ["## Rows\n", tables.markdown(tables.ratios(record)) + "\n"]
        parts += [READING.format(limit=said), *details(record)]
    parts += scaling(record)
    reasons = tables.reasons(record)
    if reasons:
        parts += ["## What is missing, and why\n", "\n".join(reasons) + "\n"]
    return "\n".join([*parts, CLOSING])


def setting(record: Record) -> str:
    held, versions = record["machine"], record["versions"]
    installed = [
        f"{name} {version}" for name, version in versions.items() if version != "not installed"
    ]
    absent = [name for name, version in versions.items() if version == "not installed"]
    table = [
        ["what", "value"],
        [
            "machine",
            f"{held['cores']} cores, {held['architecture']}, {held['vectors']}, {held['memory_gib']} GiB",
        ],
        ["versions", ", ".join(installed)],
        ["absent", ", ".join(absent) or "nothing"],
        ["date", f"{record['began']} to {record.get('ended', record['began'])}"],
        ["command", f"`{record['command']}`"],
    ]
    return "## Where and when\n\n" + tables.markdown(table) + "\n"


def means(record: Record) -> str:
    table = [["geometric mean of ratios", "ratio", "of"]]
    table += [[name, f"**{mean:.2f}**", str(count)] for name, mean, count in summary.means(record)]
    behind = summary.slowest(summary.measured(record))
    said = "; ".join(
        f"{line.name} {summary.direction_title(line.direction)} ({ratio:.2f})"
        for line, ratio in behind
    )
    return f"{tables.markdown(table)}\n\nRows where another library is faster: {said or 'none'}.\n"


def details(record: Record) -> list[str]:
    """Every library's ratios, first calls and memory."""
    parts = []
    for direction in ("forward", "gradient"):
        lines = [line for line in summary.measured(record) if line.direction == direction]
        if not lines:
            continue
        name = summary.direction_title(direction)
        for heading, show in (
            (f"## Every library, {name}\n\njattn's time, then ratios.\n", tables.ratio_or_reason),
            (f"### First call, {name}\n\nSeconds, compiling included.\n", tables.first_call),
            (f"### Memory, {name}\n\nMiB beside the inputs.\n", tables.memory),
        ):
            parts += [heading, tables.markdown(tables.every_peer(lines, show)) + "\n"]
    return parts


def scaling(record: Record) -> list[str]:
    """Curves of time and memory, as pictures and as tables."""
    families = summary.curves(record)
    if not families:
        return []
    parts = ["## Scaling with length\n\nOne example of 8 heads of 64, forward + backward.\n"]
    parts += [
        f"![{label}, against length](pictures/{name})\n"
        for name, (*_, label) in pictures.PICTURES.items()
    ]
    for family in families:
        lines = summary.curve(record, family)
        name = family.removeprefix("scaling-")
        for what, show in (
            ("time", tables.median_or_reason),
            ("MiB beside the inputs", tables.memory),
        ):
            table = tables.every_peer(lines, show, first="t")
            parts += [f"### {name.capitalize()}, {what}\n", tables.markdown(table) + "\n"]
    return parts
