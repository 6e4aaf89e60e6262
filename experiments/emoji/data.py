"""Emoji with their pictures and names, groups of near-duplicates, and the split between groups."""

import json
import re
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from experiments.archive import wheel
from experiments.emoji.drawings import AS_PICTURE, GREY, JOINER, read_drawings

PACKAGE = ("emoji", "2.16.0", "c4230d80640def9071599ff56b1b5950fe13a2a94c0da98c5deab12431b24330")
# In alphabetical order of their English names.
LANGUAGES = {
    "ar": "Arabic", "zh": "Chinese", "en": "English", "fr": "French", "de": "German",
    "id": "Indonesian", "it": "Italian", "ja": "Japanese", "ko": "Korean", "fa": "Persian",
    "pt": "Portuguese", "ru": "Russian", "es": "Spanish", "tr": "Turkish",
}  # fmt: skip
FULLY_QUALIFIED = 2  # The package's `status` of an emoji as it should be written.
LONGEST = 32  # Characters of a name that are read.
PADDING, UNKNOWN = 0, 1
PARTS = 3  # Tokens at each character.
ONCE_KNOWN = 2  # Training emoji in whose names a part must occur to have its own token.
NEAR = 0.05  # Of pictures, in `difference`.
TONES = range(0x1F3FB, 0x1F400)
FLAGS = (0x1F3F3, 0x1F3F4, *range(0x1F1E6, 0x1F200), *range(0xE0000, 0xE0080))
# Code points that only say who does something, or in which direction: signs of gender, hair,
# and an arrow after the first code point.
MARKS = (JOINER, AS_PICTURE, 0x2640, 0x2642, 0x27A1, *range(0x1F9B0, 0x1F9B4))
PEOPLE = (*range(0x1F466, 0x1F46B), *range(0x1F474, 0x1F476), *range(0x1F9D1, 0x1F9D4))
SAME = (
    "man men woman women person people adult boy girl child king queen prince princess mr mrs male"
    " female old older face facing left leftwards right rightwards waxing waning"
    " one two three four five six seven eight nine ten eleven twelve"
)
PLACES = ("1st", "2nd", "3rd", "first", "second", "third", "last")


class Emoji(NamedTuple):
    """Emoji as text, pictures [n y x 3] of bytes, names by language, and the group of each.

    `group` [n] numbers near-duplicates alike. `version` is that of the font.
    """

    emoji: list[str]
    pictures: np.ndarray
    names: dict[str, list[str]]
    group: np.ndarray
    version: str

    def rows(self, index: np.ndarray) -> "Emoji":
        """Returns some of the emoji."""
        return Emoji(
            [self.emoji[i] for i in index],
            self.pictures[index],
            {language: [each[i] for i in index] for language, each in self.names.items()},
            self.group[index],
            self.version,
        )


class Parts(NamedTuple):
    """Emoji to train on, to tune on and that are held out."""

    train: Emoji
    tune: Emoji
    held_out: Emoji


def read_emoji() -> Emoji:
    """Reads all emoji that have a picture, without skin tones and flags.

    Raises:
        DataError: the names or the font cannot be had.
    """
    archive = wheel(*PACKAGE)
    table = json.loads(archive.read("emoji/unicode_codes/emoji.json"))
    listed = [emoji for emoji, entry in table.items() if entry["status"] == FULLY_QUALIFIED]
    listed = [emoji for emoji in listed if not any(ord(c) in (*TONES, *FLAGS) for c in emoji)]
    drawings, version = read_drawings(listed)
    kept = [emoji for emoji in listed if emoji in drawings]
    names = {}
    for language in LANGUAGES:
        if language == "en":
            raw = {emoji: table[emoji]["en"] for emoji in kept}
        else:
            raw = json.loads(archive.read(f"emoji/unicode_codes/emoji_{language}.json"))
        names[language] = [raw[emoji].strip(":").replace("_", " ").lower() for emoji in kept]
    pictures = np.stack([drawings[emoji] for emoji in kept])
    return Emoji(kept, pictures, names, groups(kept, names["en"], pictures), version)


def groups(emoji: Sequence[str], names: Sequence[str], pictures: np.ndarray) -> np.ndarray:
    """Returns a number for each emoji, the same for near-duplicates and for theirs.

    Two emoji are near-duplicates if their code points without marks of people are equal, or their
    English names without words for people, directions and numbers are, or their pictures or mirror
    images nearly are.
    """
    parent = list(range(len(emoji)))

    def root(index: int) -> int:
        while parent[index] != index:
            index = parent[index]
        return index

    def join(pairs: Iterable[tuple[int, int]]) -> None:
        for one, other in pairs:
            parent[root(other)] = root(one)

    for keys in (map(without_people, emoji), map(without_numbers, names)):
        first: dict[Hashable, int] = {}
        join([(first.setdefault(key, index), index) for index, key in enumerate(keys)])
    apart = np.minimum(difference(pictures, pictures), difference(pictures, pictures[:, :, ::-1]))
    join(zip(*np.nonzero(np.triu(apart < NEAR, 1)), strict=True))
    return np.array([root(index) for index in range(len(emoji))])


def without_people(emoji: str) -> str:
    """Returns the code points, with one for any person or group of persons and without marks."""
    first, *others = [ord(c) for c in emoji]
    points = [first, *(point for point in others if point not in MARKS)]
    return re.sub("P+", "P", "".join("P" if p in PEOPLE else chr(p) for p in points))


def without_numbers(name: str) -> str:
    """Returns an English name without words for people, faces, directions and numbers."""
    name = re.sub(r"\w+(-thirty| o’clock)", "clock face", name.lower())
    words = re.findall(r"[^\W_]+", name)
    left = [w for w in words if w not in (*SAME.split(), *PLACES) and not w.isdigit()]
    return " ".join(left) or name


def difference(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Returns the squared differences of pictures [n m], relative to how they differ from grey.

    0 is an equal picture. It is 1 where two pictures have nothing in common.
    """
    left, right = (
        (array.reshape(len(array), -1).astype(np.float64) - GREY) / 255 for array in (left, right)
    )
    of_left, of_right = (left**2).sum(1)[:, None], (right**2).sum(1)[None]
    apart = np.maximum(of_left + of_right - 2 * left @ right.T, 0.0)
    return apart / np.maximum(of_left + of_right, 1e-9)


def split(emoji: Emoji, seed: int) -> Parts:
    """Splits groups into 80 % to train on, 10 % to tune on and 10 % that are held out.

    The last two have one emoji of each group, that of fewest code points: its near-duplicates could
    not be told apart by their names.
    """
    found = np.unique(emoji.group)
    np.random.default_rng([seed, 7]).shuffle(found)
    tenth = max(1, len(found) // 10)
    shortest = sorted(range(len(emoji.emoji)), key=lambda i: (len(emoji.emoji[i]), emoji.emoji[i]))
    first = {emoji.group[index]: index for index in reversed(shortest)}
    chosen = lambda groups: np.array(sorted(first[group] for group in groups))
    train = np.flatnonzero(np.isin(emoji.group, found[2 * tenth :]))
    parts = (train, chosen(found[tenth : 2 * tenth]), chosen(found[:tenth]))
    return Parts(*(emoji.rows(part) for part in parts))


def parts_at(name: str) -> list[tuple[str, ...]]:
    """Returns, for each character, itself, with the next one, and with the one on each side.

    A name begins and ends with a space.
    """
    padded = f" {name} "
    return [
        (padded[i], padded[i : i + 2], padded[i - 1 : i + 2]) for i in range(1, len(padded) - 1)
    ]


def tokens_of(train: Emoji) -> dict[str, int]:
    """Returns the token of each part of names, after those of padding and of unknown parts.

    All languages share their parts. A part of fewer than two training emoji is unknown, so that
    training meets unknown ones.
    """
    counts: Counter[str] = Counter()
    for names in zip(*train.names.values(), strict=True):
        counts.update({part for name in names for parts in parts_at(name) for part in parts})
    kept = sorted(part for part, count in counts.items() if count >= ONCE_KNOWN)
    return {part: 2 + index for index, part in enumerate(kept)}


def read_names(emoji: Emoji, tokens: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Returns names as the tokens at each character [n l t 3], and their lengths [n l]."""
    shape = (len(emoji.emoji), len(LANGUAGES))
    rows = np.full((*shape, LONGEST, PARTS), PADDING, np.int32)
    lengths = np.zeros(shape, np.int32)
    for place, names in enumerate(emoji.names.values()):
        for index, name in enumerate(names):
            said = [[tokens.get(p, UNKNOWN) for p in each] for each in parts_at(name)[:LONGEST]]
            rows[index, place, : len(said)] = said
            lengths[index, place] = len(said)
    return rows, lengths


def unseen(train: Emoji, asked: Emoji) -> dict[str, float]:
    """Returns the share of characters that no training name has, by language."""
    shares = {}
    for language in LANGUAGES:
        known = set("".join(train.names[language]))
        said = "".join(asked.names[language])
        shares[language] = sum(character not in known for character in said) / len(said)
    return shares
