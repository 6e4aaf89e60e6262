"""`jattn.plots.explorer`: a page that contains its input, needs no other file, and works."""

import base64
import html.parser
import json
import pathlib
import re

import numpy as np
import pytest
from browsing import Page

from experiments import browser
from experiments.archive import DataError
from jattn import plots

LAYERS, HEADS, T, S = 2, 3, 5, 7
WEIGHTS = np.random.default_rng(1).dirichlet(np.full(S, 0.3), (LAYERS, HEADS, T))
# Labels that would end a script, start an element, or be read as a place to fill in.
QUERIES = ["</script><b>", "&amp;", "λόγος", "الكلمة", "{{data}}"]
KEYS = ["<!--", "道", '"', "'", "\\", " ", "x" * 99]
LINKS = [(0, 0), (4, 6)]


class Parser(html.parser.HTMLParser):
    """A reader of a page: the elements, and the text of each kind."""

    def __init__(self, page):
        super().__init__()
        self.opened, self.texts, self._inside = [], {}, None
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.opened.append((tag, dict(attrs)))
        self._inside = tag

    def handle_data(self, data):
        self.texts.setdefault(self._inside, []).append(data)


def held(page):
    """Returns the data of a page, and its weights as an array."""
    scripts = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page)
    (data,) = map(json.loads, scripts)
    steps = np.frombuffer(base64.b64decode(data["weights"]), "<u2")
    return data, steps.reshape(data["shape"]) * (data["largest"] / 65535)


def test_a_page_holds_what_it_was_given():
    page = plots.explorer(WEIGHTS, QUERIES, KEYS, links=LINKS)
    data, weights = held(page)
    assert (data["queries"], data["keys"]) == (QUERIES, KEYS)
    assert data["links"] == [[0, 0], [4, 6]]
    np.testing.assert_allclose(weights, WEIGHTS, rtol=0, atol=0.51 / 65535)
    _, larger = held(plots.explorer(3.0 * WEIGHTS))
    np.testing.assert_allclose(larger, 3.0 * WEIGHTS, rtol=0, atol=0.51 * 3.0 / 65535)
    data, weights = held(plots.explorer(WEIGHTS[1]))
    assert data["shape"] == [1, HEADS, T, S]
    assert data["keys"] == ["0", "1", "2", "3", "4", "5", "6"]
    assert held(plots.explorer(WEIGHTS[1, 2]))[0]["shape"] == [1, 1, T, S]


def test_labels_and_title_break_nothing_and_nothing_is_fetched():
    plain, odd = (
        Parser(plots.explorer(WEIGHTS, queries, keys, title=title))
        for queries, keys, title in ((None, None, "plain"), (QUERIES, KEYS, "</title><b>{{data}}"))
    )
    assert odd.opened == plain.opened
    assert odd.texts["title"][0] == odd.texts["h1"][0] == "</title><b>{{data}}"
    page = plots.explorer(WEIGHTS, QUERIES, KEYS)
    assert not re.findall(r"https?:|//\w|\b(?:src|href|import|fetch|url)\b\s*[=(]", page)
    (policy,) = (attrs["content"] for tag, attrs in odd.opened if "http-equiv" in attrs)
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def test_a_page_has_the_size_that_is_stated(tmp_path):
    weights = np.full((6, 12, 64, 64), 1 / 64)
    page = plots.explorer(weights, path=tmp_path / "page.html")
    assert 786_432 < len(page) < 810_000  # The documents say 0.8 MB.
    assert (tmp_path / "page.html").read_text("utf-8") == page


BAD = {
    "weights has shape (3,), expected (t, s), (heads, t, s) or (layers, heads, t, s), "
    "none of them 0": {"weights": np.ones(3)},
    "weights[0, 1] is nan, expected a finite number of at least 0": {"weights": [[0.5, np.nan]]},
    "queries has 1 labels, expected 2 (one a row)": {"weights": np.eye(2), "queries": "a"},
    "links has (0, 2), expected a row below 2 and a column below 2": {
        "weights": np.eye(2),
        "links": [(0, 2)],
    },
}


def test_no_label_or_title_is_one_that_a_file_cannot_hold(tmp_path):
    """Half of a surrogate pair has no bytes in UTF-8, and NUL is none of HTML's letters."""
    path = tmp_path / "page.html"
    page = plots.explorer(np.eye(2), ["\ud800", "\0"], ["\x1b[0m", "b"], title="\udc80", path=path)
    assert path.read_text("utf-8") == page
    assert r"<title>\udc80</title>" in page
    assert held(page)[0]["queries"] == [r"\ud800", r"\x00"]
    assert held(page)[0]["keys"] == [r"\x1b[0m", "b"]


@pytest.mark.parametrize("message", BAD)
def test_bad_input_is_named(message):
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        plots.explorer(**BAD[message])
    assert str(raised.value) == f"explorer: {message}"


def test_a_browser_of_another_checksum_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("JATTN_DATA", str(tmp_path))

    def pack(name, version, folder):
        (folder / "a.tgz").write_text("other")
        return folder / "a.tgz"

    monkeypatch.setattr(browser, "npm_and_node", lambda: ([], []))
    monkeypatch.setattr(browser, "npm_pack", pack)
    with pytest.raises(DataError, match=r"a\.tgz: checksum differs from that of 153"):
        browser.fetch()
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("JATTN_BROWSER", "named")
    assert browser.find() == pathlib.Path("named")


def text(page, selector):
    return page.evaluate(f"document.querySelector({json.dumps(selector)}).textContent")


def percents(page, side):
    shown = page.evaluate(f"[...document.querySelectorAll('#{side} span')].map(x => x.textContent)")
    return [float(x.removesuffix(" %")) / 100 for x in shown if x]


def test_in_a_browser_heads_are_chosen_and_rows_shown(tmp_path):
    found = browser.find()
    if found is None:
        pytest.skip("no Chromium; python -m experiments.browser fetches one")
    file = tmp_path / "page.html"
    plots.explorer(WEIGHTS, QUERIES, KEYS, title="</title>", links=LINKS, path=file)
    with Page(found, file) as page:
        canvas = "document.querySelector('#cells canvas').toDataURL()"
        first, before = page.picture(), page.evaluate(canvas)
        assert text(page, "h1") == "</title>"
        assert text(page, "#name") == "Layer 0, head 0"
        for key in ("ArrowDown", "ArrowRight", "ArrowRight", "ArrowRight"):  # At the end it stays.
            page.press(key)
        assert text(page, "#name") == "Layer 1, head 2"
        assert page.evaluate(canvas) != before
        assert page.picture() != first
        page.mouse("#cells", x=0.5 / S, y=1.5 / T)
        assert text(page, "#said").startswith("query 1 “&amp;” to key 0 “<!--”: ")
        np.testing.assert_allclose(percents(page, "keys"), WEIGHTS[1, 2, 1], rtol=0, atol=6e-4)
        page.mouse("#keys li:nth-child(2) button", click=True)  # Kept when the pointer goes on.
        page.mouse("#overview [aria-label='layer 0, head 1']", click=True)
        assert text(page, "#name") == "Layer 0, head 1"
        np.testing.assert_allclose(
            percents(page, "queries"), WEIGHTS[0, 1, :, 1], rtol=0, atol=6e-4
        )
        assert page.evaluate("document.querySelectorAll('#cells .linked').length") == len(LINKS)
        page.press("Escape")
        assert text(page, "#said") == ""
        page.evaluate("document.querySelector('#queries button').focus()")
        page.press("ArrowDown")  # In the list of queries, to the next of them.
        assert text(page, "#said").startswith("query 1 “&amp;” looks most at ")
        assert text(page, "#name") == "Layer 0, head 1"
        assert page.errors == []
        assert page.requests == [file.as_uri()]
