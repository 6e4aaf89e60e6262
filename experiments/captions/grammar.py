"""The grammar of captions: a scene has one caption in each language, and a caption one scene.

Digits are read by rows from the top, and in a row from the left. English relates two digits and
begins with the larger one, or with the one that is read first if they are equal: "a seven above a
three", "a seven right of a three". Chinese goes by place: 上面是七，下面是三. Three to five digits
are listed by rows: "above a two and a five, below a six", 上面是二和五，下面是六.
"""

from collections.abc import Sequence
from typing import NamedTuple

STOP = "<stop>"
Rows = tuple[tuple[int, ...], ...]  # The digits of each row.


class Words(NamedTuple):
    """The words of a caption, and for each the place in reading order of the digit it names.

    The place is -1 for a word that names no digit.
    """

    words: tuple[str, ...]
    places: tuple[int, ...]


class Language(NamedTuple):
    """The words of a language for scenes of one, two and more digits.

    Articles are one word, `a`: `text` writes `an` before eight.
    """

    digits: tuple[str, ...]
    one: tuple[str, ...]  # Before the digit of a scene of one.
    article: tuple[str, ...]
    comma: str  # Between the digits of a row, except the last two.
    both: str  # Between the last two.
    rows: tuple[tuple[tuple[str, ...], ...], ...]  # Before each row, by the number of rows.
    between: str  # Between rows.


ENGLISH = Language(
    digits=("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    one=(),
    article=("a",),
    comma=",",
    both="and",
    rows=(
        (("a", "row", "of"),),
        (("above",), ("below",)),
        (("above",), ("in", "the", "middle"), ("below",)),
    ),
    between=",",
)
UPPER, MIDDLE, LOWER = ("上", "面", "是"), ("中", "间", "是"), ("下", "面", "是")
CHINESE = Language(
    digits=tuple("零一二三四五六七八九"),
    one=("这", "是"),
    article=(),
    comma="、",
    both="和",
    rows=((("横", "排", "是"),), (UPPER, LOWER), (UPPER, MIDDLE, LOWER)),
    between="，",
)
LEFT, RIGHT = ("左", "边", "是"), ("右", "边", "是")
LANGUAGES = {"english": ENGLISH, "chinese": CHINESE}
# The relation of the digit that is named first: by whether they are in one row, and its place.
RELATIONS = {
    (True, 0): ("left", "of"),
    (True, 1): ("right", "of"),
    (False, 0): ("above",),
    (False, 1): ("below",),
}


def vocabulary(language: str) -> tuple[str, ...]:
    """Returns the words of a language in a fixed order, the digits first."""
    grammar = LANGUAGES[language]
    phrases = [grammar.digits, grammar.one, grammar.article, (grammar.comma, grammar.both)]
    phrases += [phrase for rows in grammar.rows for phrase in rows] + [(grammar.between,)]
    phrases += list(RELATIONS.values()) if language == "english" else [LEFT, RIGHT]
    return tuple(dict.fromkeys(word for phrase in phrases for word in phrase))


def caption(rows: Rows, language: str) -> Words:
    """Returns the caption of a scene.

    Raises:
        ValueError: the scene has not one to five digits in one to three rows.
    """
    digits = [digit for row in rows for digit in row]
    if not 1 <= len(digits) <= 5 or not 1 <= len(rows) <= 3 or not all(rows):
        raise ValueError(f"scene is {rows}, expected 1 to 5 digits in 1 to 3 rows")
    grammar = LANGUAGES[language]
    named: list[tuple[str, int]] = []

    def say(*words: str) -> None:
        named.extend((word, -1) for word in words)

    def name(place: int) -> None:
        say(*grammar.article)
        named.append((grammar.digits[digits[place]], place))

    if len(digits) == 1:
        say(*grammar.one)
        name(0)
    elif len(digits) == 2 and language == "english":
        first = int(digits[1] > digits[0])
        name(first)
        say(*RELATIONS[len(rows) == 1, first])
        name(1 - first)
    else:
        place = 0
        for index, row in enumerate(_listed(rows)):
            say(*[grammar.between][: index > 0], *_heads(rows, grammar)[index])
            for number in range(len(row)):
                if number:
                    say(grammar.both if number == len(row) - 1 else grammar.comma)
                name(place)
                place += 1
    words, places = zip(*named, strict=True)
    return Words(words, places)


def parse(words: Sequence[str], language: str) -> Rows:
    """Returns the scene of a caption.

    Raises:
        ValueError: the words are no caption.
    """
    words, grammar = tuple(words), LANGUAGES[language]
    digits = [grammar.digits.index(word) for word in words if word in grammar.digits]
    for rows in _scenes(digits):
        if caption(rows, language).words == words:
            return rows
    raise ValueError(f"{text(words, language)!r} is no caption in {language}")


def text(words: Sequence[str], language: str) -> str:
    """Returns words as they are written: without spaces in Chinese, and `an` before eight."""
    if language == "chinese":
        return "".join(words)
    following = (*words[1:], "")
    spelled = [
        "an" if (word, after) == ("a", "eight") else word
        for word, after in zip(words, following, strict=False)
    ]
    return " ".join(spelled).replace(" ,", ",")


def layouts(count: int) -> tuple[tuple[int, ...], ...]:
    """Returns all layouts of a number of digits: the digits in each of up to three rows.

    A row has one to three digits.
    """
    return tuple(_parts(count, 3))


def _parts(count: int, rows: int) -> list[tuple[int, ...]]:
    if count == 0:
        return [()]
    if rows == 0:
        return []
    sizes = range(1, min(count, 3) + 1)
    return [(size, *rest) for size in sizes for rest in _parts(count - size, rows - 1)]


def _listed(rows: Rows) -> Rows:
    """Returns what is listed under each heading: rows, or the two digits of a row of two."""
    return tuple((digit,) for row in rows for digit in row) if _is_pair(rows) else rows


def _heads(rows: Rows, grammar: Language) -> tuple[tuple[str, ...], ...]:
    is_pair_in_a_row = _is_pair(rows) and len(rows) == 1
    return (LEFT, RIGHT) if is_pair_in_a_row else grammar.rows[len(rows) - 1]


def _is_pair(rows: Rows) -> bool:
    return sum(map(len, rows)) == 2


def _scenes(digits: Sequence[int]) -> list[Rows]:
    """Returns the scenes whose caption may name these digits in this order."""
    orders = [tuple(digits)] if len(digits) != 2 else [tuple(digits), tuple(digits[::-1])]
    scenes = []
    for order in orders:
        for layout in layouts(len(order)) if 1 <= len(order) <= 5 else ():
            ends = [sum(layout[: index + 1]) for index in range(len(layout))]
            scenes.append(
                tuple(order[end - size : end] for end, size in zip(ends, layout, strict=True))
            )
    return scenes
