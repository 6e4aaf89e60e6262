"""The museum of mistakes that public code made."""

import re
from collections import Counter
from pathlib import Path

from mutants import MUTANTS
from mutants.museum import REPORTS, page


def test_each_report_is_of_one_mutant():
    counts = Counter(mutant.what for mutant in MUTANTS)
    assert {what: counts[what] for what in REPORTS} == dict.fromkeys(REPORTS, 1)


def test_each_report_has_a_thread_of_its_own():
    threads = [report.thread for report in REPORTS.values()]
    assert len(set(threads)) == len(threads)
    assert all(re.fullmatch(r"[\w.-]+/[\w.-]+#\d+", thread) for thread in threads)


def test_the_page_of_the_museum_is_up_to_date():
    path = Path(__file__).parent.parent / "docs/museum.md"
    command = "cd tests && python -m mutants.museum > ../docs/museum.md"
    assert path.read_text("utf-8") == page(), f"run `{command}`"
