"""The text of docs/performance.md, made from a record alone."""

from pathlib import Path

from experiments.benchmark import pictures, summary, tables
from experiments.benchmark.results import Record
from experiments.benchmark.wording import CLOSING, OPENING, READING
from jattn.atomic import write_atomically

RATIOS = "jattn's time, then the other libraries' ratios."


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
        parts += ["## Missing results, and reasons\n", "\n".join(reasons) + "\n"]
    return "\n".join([*parts, CLOSING])


def setting(record: Record) -> str:
    held, versions = record["machine"], record["versions"]
    installed = [
        f"{name} {version}" for name, version in versions.items() if version != "not installed"
    ]
    absent = [name for name, version in versions.items() if version == "not installed"]
    kind = "{cores} cores, {architecture}, {vectors}, {memory_gib} GiB".format(**held)
    table = [
        ["what", "value"],
        [
            "machine",
            kind,
        ],
        ["versions", ", ".join(installed)],
        ["absent", ", ".join(absent) or "nothing"],
        ["date", f"{record['began']} to {record.get('ended', record['began'])}"],
        *(["command", f"`{command}`"] for command in record["commands"]),
    ]
    return "## Where and when\n\n" + tables.markdown(table) + "\n"


def means(record: Record) -> str:
    table = [["geometric mean of ratios", "ratio", "rows"]]
    table += [[name, f"**{mean:.2f}**", str(count)] for name, mean, count in summary.means(record)]
    behind = summary.slowest(summary.measured(record))
    said = "; ".join(
        f"{line.name} {summary.direction_title(line.direction)} ({ratio:.2f})"
        for line, ratio in behind
    )
    return f"{tables.markdown(table)}\n\nRows where another library is faster: {said or 'none'}.\n"


def details(record: Record) -> list[str]:
    """Returns tables of every library's ratios, first calls and memory."""
    parts = []
    for direction in ("forward", "gradient"):
        lines = [line for line in summary.measured(record) if line.direction == direction]
        if not lines:
            continue
        name = summary.direction_title(direction)
        for heading, show in (
            (
                f"## Every library, {name}\n\njattn's time, then the other libraries' ratios.\n",
                tables.ratio_or_reason,
            ),
            (f"### First call, {name}\n\nSeconds, with compilation.\n", tables.first_call),
            (f"### Memory, {name}\n\nMiB, without the inputs.\n", tables.memory),
        ):
            parts += [heading, tables.markdown(tables.every_peer(lines, show)) + "\n"]
    return parts


def scaling(record: Record) -> list[str]:
    """Returns curves of time and memory, as pictures and as tables."""
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
            ("MiB without the inputs", tables.memory),
        ):
            table = tables.every_peer(lines, show, first="t")
            parts += [f"### {name.capitalize()}, {what}\n", tables.markdown(table) + "\n"]
    return parts
