"""The whole English text of the Berean Standard Bible, verse by verse, and splits by chapter.

The text is in the public domain; it comes with the wheel `bible-alignments`.
"""

from experiments import held_out
from experiments.bible_alignments import opened, rows

# The first and the last book of each group, counted as they are printed.
GROUPS = {
    "law": (1, 5),
    "history": (6, 17),
    "poetry and wisdom": (18, 22),
    "prophets": (23, 39),
    "gospels and acts": (40, 44),
    "letters and revelation": (45, 66),
}


def read_verses() -> dict[str, str]:
    """Reads texts by reference BBCCCVVV: two digits of book, three of chapter, three of verse.

    Raises:
        DataError: the wheel cannot be downloaded, or it is another.
    """
    verses: dict[str, str] = {}
    with opened() as archive:
        for part in ("ot", "nt"):
            for row in rows(archive, f"data/eng/targets/BSB/{part}_BSB.tsv"):
                verse, space = row["id"][:8], "" if row["skip_space_after"] == "y" else " "
                verses[verse] = verses.get(verse, "") + row["text"] + space
    return {verse: text.strip() for verse, text in verses.items()}


def chapter(verse: str) -> str:
    return verse[:5]


def group(verse: str) -> int:
    """Returns the index in GROUPS of the group of a verse's book."""
    book = int(verse[:2])
    return next(i for i, (first, last) in enumerate(GROUPS.values()) if first <= book <= last)


def split(verses: list[str]) -> dict[str, list[str]]:
    """Splits verses to train on, to tune on and to test on; chapters stay whole."""
    return held_out.split(verses, chapter)
