"""The tables and the picture of docs/scaling.md, made from the record of a run."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments import results
from experiments.scaling import predictions
from experiments.scaling.cost_model import Constants
from experiments.scaling.picture import picture
from experiments.scaling.schemes import needed
from jattn import plots
from jattn.atomic import write_atomically

RECORD = results.DOCS / "results" / "scaling.json"
PAGE = results.DOCS / "scaling.md"
PICTURE = results.DOCS / "pictures" / "scaling.png"
BLOCK = re.compile(r"(<!-- table: (.*?) -->\n).*?(\n<!-- end of table -->)", re.DOTALL)


def update() -> None:
    """Puts the tables of the record into the page, and draws its picture.

    Raises:
        ValueError: the page names a table that the record does not have.
        OSError: a file is missing or cannot be written.
    """
    record = json.loads(RECORD.read_text("utf-8"))
    write_atomically(PAGE, filled(PAGE.read_text("utf-8"), record).encode())
    print(f"wrote the tables of {PAGE}\n{draw(record, PICTURE)}")


def filled(text: str, record: Mapping[str, Any]) -> str:
    """Returns the page with the tables of the record between the marks that name them.

    Raises:
        ValueError: the record has no table of a name.
    """
    tables = {table["title"]: table for table in record["tables"]}

    def with_table(match: re.Match[str]) -> str:
        if match[2] not in tables:
            raise ValueError(f"{PAGE}: {match[2]} is no table of the record")
        return match[1] + "\n" + results.markdown(tables[match[2]]) + "\n" + match[3]

    return BLOCK.sub(with_table, text)


def draw(record: Mapping[str, Any], path: Path) -> str:
    """Draws the picture of a record; returns a line that says so, or why not."""
    constants = Constants(**record["constants"])
    tokens = predictions.TOKENS
    whole = needed(tokens, predictions.LAYER) / constants.rate
    ideal = [(devices, whole / devices) for devices in predictions.DEVICES]
    try:
        drawn = picture(record["measured"], predictions.predict(constants), ideal, tokens)
        plots.save(drawn, path, dots_per_inch=90)
    except ImportError as error:
        return f"no {path.name}: {error}"
    return f"wrote {path}"
