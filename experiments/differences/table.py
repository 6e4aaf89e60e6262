"""Tables as text: Markdown for a document, one block for each library for a terminal."""

from collections.abc import Mapping, Sequence

Rows = Sequence[Mapping[str, str]]


def as_markdown(columns: Sequence[str], rows: Rows) -> str:
    lines = [columns, ["---"] * len(columns)]
    lines += [[row.get(column, "") for column in columns] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def as_text(columns: Sequence[str], rows: Rows) -> str:
    """Returns one line for each cell, since the columns together are wider than a terminal."""
    library, version, *measured = columns
    width = max(map(len, measured))
    blocks = [
        "\n".join(
            [f"{row[library]} ({row[version]})"]
            + [f"    {name:<{width}}  {row[name]}" for name in measured if name in row]
        )
        for row in rows
    ]
    return "\n\n".join(blocks)
