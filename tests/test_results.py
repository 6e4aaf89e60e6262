"""Records of experiments: tables as text and as Markdown, and a page that is what its files say."""

import json

import pytest

from experiments import results

TABLE = results.Table("wrong words", ["system", "words"], [["ours | here", "3 %"], ["x", "10 %"]])


def test_a_table_is_in_line_and_its_bars_do_not_split_cells():
    assert results.text(TABLE).splitlines() == [
        "wrong words",
        "system       words",
        "ours | here    3 %",
        "x             10 %",
    ]
    assert "| ours \\| here | 3 % |" in results.markdown(TABLE)


def test_a_record_says_what_was_typed_where_and_for_how_long(tmp_path):
    made = results.record("toy", "python -m toy", seeds=[3, 4], began=0.0, tables=[TABLE])
    results.write(tmp_path / "toy.json", made)
    read = json.loads((tmp_path / "toy.json").read_text())
    assert read["seeds"] == [3, 4]
    assert read["machine"]["cores"] >= 1
    page = results.page({"toy.json": read})
    assert "`python -m toy`" in page
    assert "seeds 3, 4. About this experiment: [toy.md](toy.md)." in page
    assert results.markdown(read["tables"][0]) == results.markdown(TABLE)


def test_the_page_of_results_is_that_of_its_files(tmp_path, monkeypatch):
    committed = (results.DOCS / "results.md").read_text("utf-8")
    (tmp_path / "results").symlink_to((results.DOCS / "results").resolve())
    monkeypatch.setattr(results, "DOCS", tmp_path)
    assert results.main([]) == 0
    assert (tmp_path / "results.md").read_text("utf-8") == committed


def test_rows_must_have_the_columns_of_their_table():
    with pytest.raises(ValueError, match="argument 3"):
        results.text(results.Table("", ["a", "b"], [["only one", "x"], ["y"]]))
