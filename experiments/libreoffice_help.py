"""LibreOffice's help in English and German, paragraph by paragraph, from two packages of Debian.

The text is under the MPL-2.0. It is fetched when it is first read, and is never part of jattn.
"""

import html
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from experiments import debian
from experiments.sentence_pairs import Sentence

PACKAGES = ("libreoffice-help-en-us", "libreoffice-help-de")
PAGES = "usr/share/libreoffice/help/{}/text"
BLOCK = re.compile(r'<(p|h\d) id="((?:par|hd)_id\w+)"([^>]*)>(.*?)</\1>', re.DOTALL)
# Text for one system or application; the text for all others follows it.
ALTERNATIVE = re.compile(
    r'<span hidden="true"[^>]*class="[A-Z]+">(?:[^<]|<span[^>]*>[^<]*</span>)*</span>'
)
WORD = re.compile(r"\w+|[^\w\s]")
FEWEST, MOST, MOST_GERMAN, RATIO = 3, 40, 50, 2.5  # Words and marks of a paragraph that is kept.


class Paragraph(NamedTuple):
    """A paragraph of a page, whose path is such as scalc/01/02120000.html."""

    page: str
    name: str  # Its id, unique in its page.
    english: str
    german: str

    @property
    def application(self) -> str:
        """Returns the folder of the page, such as swriter, or shared for several applications."""
        return self.page.partition("/")[0]


def version() -> str:
    """Returns the version of the packages in the cache."""
    return debian.version(_folder())


def read_paragraphs() -> list[Paragraph]:
    """Reads translated paragraphs of prose of 3 to 40 words, with repetitions, in page order.

    Raises:
        DataError: the packages cannot be had.
    """
    english, german = (_texts(_folder() / PAGES.format(name)) for name in ("en-US", "de"))
    pairs = [Paragraph(*key, text, german.get(key, "")) for key, text in english.items()]
    return [pair for pair in pairs if _is_prose(pair)]


def without_repetitions(paragraphs: Iterable[Paragraph]) -> list[Paragraph]:
    """Returns the first of paragraphs that are alike in either language except for case."""
    seen: set[str] = set()
    kept = []
    for paragraph in paragraphs:
        texts = {paragraph.english.lower(), paragraph.german.lower()}
        if not texts & seen:
            kept.append(paragraph)
        seen |= texts
    return kept


def words(text: str) -> Sentence:
    """Splits a text into words and marks, with the spaces before them."""
    matches = list(WORD.finditer(text))
    starts = (match.start() for match in matches)
    return Sentence(
        tuple(match[0] for match in matches),
        tuple(start == 0 or text[start - 1] == " " for start in starts),
    )


def _is_prose(pair: Paragraph) -> bool:
    english, german = (len(WORD.findall(text)) for text in (pair.english, pair.german))
    return (
        pair.english != pair.german
        and bool(re.search(r"[a-z]{2,} [a-z]{2,}", pair.english))
        and FEWEST <= english <= MOST
        and FEWEST <= german <= MOST_GERMAN
        and max(english, german) <= RATIO * min(english, german)
    )


def _texts(root: Path) -> dict[tuple[str, str], str]:
    """Returns the text of each paragraph by page and id, without code."""
    texts = {}
    for path in sorted(root.rglob("*.html")):
        page = path.relative_to(root).as_posix()
        for _, name, attributes, inner in BLOCK.findall(path.read_text("utf-8")):
            text = re.sub(r"<[^>]+>", "", ALTERNATIVE.sub("", inner))
            if "code" not in attributes:
                texts[page, name] = re.sub(r"\s+", " ", html.unescape(text)).strip()
    return texts


def _folder() -> Path:
    return debian.unpacked("libreoffice-help", PACKAGES)
