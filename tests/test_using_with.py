"""The recipes for other libraries: each section runs by itself, where its library is installed."""

import importlib.util
import re

import pytest
from test_docs import TEXTS, run

PAGE = "docs/using-with.md"
SECTIONS = {
    section.partition("\n")[0]: section
    for section in re.split(r"^## ", TEXTS[PAGE], flags=re.MULTILINE)[1:]
}


@pytest.mark.parametrize("title", SECTIONS)
def test_a_recipe_runs_and_prints_what_it_says(title, tmp_path):
    for library in set(re.findall(r"^```python needs (\w+)$", SECTIONS[title], re.MULTILINE)):
        if importlib.util.find_spec(library) is None:
            pytest.skip(f"{library} is not installed")
    run(f"{PAGE}: {title}", SECTIONS[title], tmp_path)


def test_every_peer_of_the_page_is_in_the_extra():
    """So that `pip install '.[peers]'` runs every recipe."""
    import tomllib
    from pathlib import Path

    extras = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())
    peers = " ".join(extras["project"]["optional-dependencies"]["peers"])
    needed = set(re.findall(r"^```python needs (\w+)$", TEXTS[PAGE], re.MULTILINE))
    assert needed == {"equinox", "flax", "haiku", "keras", "torch"}
    assert all(library in peers for library in needed)
