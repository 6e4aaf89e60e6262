"""The whole English text of the Berean Standard Bible, verse by verse, and splits by chapter.

The text is in the public domain; it comes with the wheel `bible-alignments`.
"""

import hashlib

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
    """Each verse's text by its reference, BBCCCVVV: two digits of book, three of chapter, of verse.

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
    """The place in GROUPS of the group that a verse's book belongs to."""
    book = int(verse[:2])
    return next(i for i, (first, last) in enumerate(GROUPS.values()) if first <= book <= last)


def split(verses: list[str]) -> dict[str, list[str]]:
    """Verses to train on, to tune on (5 % of chapters) and to test on (10 %): chapters stay whole.

    By a hash of the chapter that never changes.
    """
    parts: dict[str, list[str]] = {"train": [], "valid": [], "test": []}
    for verse in verses:
        bucket = int(hashlib.sha256(chapter(verse).encode()).hexdigest(), 16) % 1000
        parts["test" if bucket < 100 else "valid" if bucket < 150 else "train"].append(verse)
    return parts
