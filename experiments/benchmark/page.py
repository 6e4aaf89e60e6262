"""The text of docs/performance.md, made from records alone."""

from collections.abc import Sequence
from pathlib import Path

from experiments.benchmark import summary, tables
from experiments.benchmark.record import Record
from experiments.benchmark.rows import BOTH, GRADIENT
from experiments.benchmark.wording import CLOSING, COLLECTIVES, OPENING, READING, VERSIONS
from experiments.results import Table, markdown
from jattn.atomic import write_atomically


def write(records: Sequence[tuple[Path, Record]], folder: Path) -> Path:
    """Writes performance.md into `folder`; returns the page's path.

    Args:
        records: each file with its record. The first is measured with the newest JAX.
    """
    page = folder / "performance.md"
    names = {file.relative_to(folder).as_posix(): record for file, record in records}
    write_atomically(page, text(names).encode())
    return page


def text(records: dict[str, Record]) -> str:
    """Returns the page of records by the paths of their files."""
    first, *others = records.values()
    files = " and ".join(f"[{name}]({name})" for name in records)
    parts = [OPENING.format(files=files), setting([first, *others])]
    parts += ["## In short\n", means(first), "## Rows\n", shown(tables.rows(first)), READING]
    if others:
        parts += ["## Versions of JAX\n", VERSIONS, shown(tables.versions_of_jax([first, *others]))]
    parts += details(first)
    sharded = [line for line in summary.lines(first) if line.row["family"].startswith("sharded")]
    if sharded:
        table = tables.every_peer("Times and collectives", sharded, tables.collectives_of)
        parts += ["## Sharded batch\n", COLLECTIVES, shown(table)]
    reasons = tables.reasons(first)
    if reasons:
        parts += ["## Missing results, and reasons\n", "\n".join(reasons) + "\n"]
    return "\n".join([*parts, CLOSING])


def shown(table: Table) -> str:
    return markdown(table) + "\n"


def setting(records: Sequence[Record]) -> str:
    """Returns the machine, versions, dates and commands of each record."""
    columns = [f"jax {record['versions']['jax']}" for record in records]
    kind = "{cores} cores, {architecture}, {vectors}, {memory_gib} GiB"
    facts = {
        "machine": lambda record: kind.format(**record["machine"]),
        "versions": lambda record: ", ".join(
            f"{name} {version}"
            for name, version in record["versions"].items()
            if version != "not installed"
        ),
        "turns of each library": lambda record: str(record["settings"]["repeats"]),
        "date": lambda record: f"{record['began']} to {record.get('ended', record['began'])}",
        "commands": lambda record: "<br>".join(f"`{line}`" for line in record["commands"]),
    }
    rows = [[name, *map(fact, records)] for name, fact in facts.items()]
    return "## Machine and versions\n\n" + shown(Table("Each run", ["", *columns], rows))


def means(record: Record) -> str:
    rows = [[name, f"**{mean:.2f}**", str(count)] for name, mean, count in summary.means(record)]
    behind = "; ".join(
        f"{line.name} {tables.direction_title(line.direction)} ({ratio:.2f})"
        for line, ratio in summary.slowest(summary.lines(record))
    )
    note = f"Rows where another library is faster: {behind or 'none'}."
    columns = ["rows", "geometric mean", "number"]
    return shown(Table("Times of others over jattn's", columns, rows, [note]))


def details(record: Record) -> list[str]:
    """Returns tables of every library's ratios, errors, first calls and memory."""
    parts = []
    for direction in BOTH:
        lines = [line for line in summary.lines(record) if line.direction == direction]
        if not lines:
            continue
        name = tables.direction_title(direction)
        compared = "output / gradients" if direction == GRADIENT else "output"
        parts.append(f"## Every library, {name}\n")
        for heading, show in (
            ("jattn's time, then the other libraries' times over it", tables.ratio_of),
            (f"Largest relative error against float64: {compared}", tables.error_of),
            ("Least time of the products, and the share of a call that it is", tables.bound_of),
            ("Seconds of the first call, with compilation", tables.first_call_of),
            ("Memory in MiB, without the inputs", tables.memory_of),
        ):
            parts.append(shown(tables.every_peer(heading, lines, show)))
    return parts
