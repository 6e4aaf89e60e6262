"""`jattn.plots`: what is drawn is what was given; files are whole; the terminal lines up."""

import json
import sys
import warnings

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from jattn import masks, plots
from jattn.plots.figure import families
from jattn.plots.labelled import clipped

WEIGHTS = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]])


def drawn(figure, index=0):
    """The axes of one panel, and its image."""
    ax = figure.axes[index]
    return ax, ax.get_images()[0]


def texts(labels):
    return [label.get_text() for label in labels]


def inches(ax):
    return ax.get_position().size * ax.get_figure().get_size_inches()


def test_a_map_has_its_weights_labels_and_scale():
    ax, image = drawn(plots.attention_map(WEIGHTS, ["AE", "T"], "att", title="att"))
    np.testing.assert_array_equal(image.get_array(), WEIGHTS)
    assert image.get_clim() == (0.0, 1.0)
    assert texts(ax.get_yticklabels()) == ["AE", "T"]
    assert texts(ax.get_xticklabels()) == ["a", "t", "t"]
    assert ax.get_title() == "att"


def test_the_first_query_is_at_the_top_and_the_first_key_at_the_left():
    ax, _ = drawn(plots.attention_map(WEIGHTS))
    assert ax.get_ylim() == (1.5, -0.5)
    assert ax.get_xlim() == (-0.5, 2.5)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("key", "query")


def test_weights_above_one_are_not_cut_off():
    _, image = drawn(plots.attention_map(2.5 * WEIGHTS))
    assert image.get_clim() == (0.0, 2.0)


def test_a_map_goes_where_it_is_told():
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert plots.attention_map(WEIGHTS, ax=right) is figure
    assert len(left.get_images()) == 0
    assert len(right.get_images()) == 1


def test_long_labels_are_cut_and_many_are_thinned():
    ax, _ = drawn(plots.attention_map(np.eye(300), ["w" * 99] * 300, list(range(300))))
    shown = texts(ax.get_yticklabels())
    assert shown[0] == "w" * 23 + "…"
    assert 20 < len(shown) < 80
    assert texts(ax.get_xticklabels())[1] == str(ax.get_xticks()[1])


def test_cells_of_a_grid_are_all_of_one_size():
    shapes = [(2, 3), (1, 1), (7, 5), (4, 11), (3, 2)]
    maps = [(np.ones(shape) / shape[1], None, None, str(shape)) for shape in shapes]
    figure = plots.attention_grid(maps, columns=2)
    for ax, shape in zip(figure.axes, shapes, strict=False):
        np.testing.assert_allclose(inches(ax), 0.28 * np.array(shape[::-1]), rtol=1e-9)
    assert len(figure.axes) == len(shapes) + 1  # And one colour bar for all.


def outlined(ax):
    """The cells (row, column) that have a square inside them."""
    (squares,) = ax.collections
    boxes = [path.get_extents() for path in squares.get_paths()]
    for box in boxes:
        assert 0.5 < box.width < 1.0
    return [(round((b.y0 + b.y1) / 2), round((b.x0 + b.x1) / 2)) for b in boxes]


def test_links_are_outlined_and_change_nothing_else():
    plain, _ = drawn(plots.attention_map(WEIGHTS))
    ax, image = drawn(plots.attention_map(WEIGHTS, links=[(1, 2), (0, 1), (1, 2)]))
    assert outlined(plain) == []
    assert outlined(ax) == [(0, 1), (1, 2)]
    np.testing.assert_array_equal(image.get_array(), WEIGHTS)
    assert (ax.get_xlim(), ax.get_ylim()) == (plain.get_xlim(), plain.get_ylim())
    maps = [(WEIGHTS, None, None, None)] * 2
    figure = plots.attention_grid(maps, links=[None, [(0, 2)]])
    assert [outlined(figure.axes[i]) for i in (0, 1)] == [[], [(0, 2)]]


def test_labels_are_cut_by_width_and_never_between_marks():
    # Two columns a Chinese letter; alpha with breathing and accent as marks of their own.
    assert clipped(["注意注意注意", "α\u0313\u0301" * 7, "short"], 6) == [
        "注意…",
        "α\u0313\u0301" * 5 + "…",
        "short",
    ]


def test_a_mask_is_drawn_as_it_is():
    mask = masks.window(2, 0)
    _, image = drawn(plots.mask_picture(mask, 4, 6, title="window"))
    np.testing.assert_array_equal(image.get_array(), np.asarray(mask.dense(4, 6)))
    _, image = drawn(plots.mask_picture(np.eye(4, 6, dtype=bool), 4, 6))
    np.testing.assert_array_equal(image.get_array(), np.eye(4, 6))


ROWS = [
    {"step": 10, "phase": "train", "loss": 2.0, "seconds": 0.1},
    {"step": 20, "phase": "train", "loss": None, "seconds": 0.2},
    {"step": 20, "phase": "evaluate", "loss": 1.5, "word_error_rate": 0.5, "seconds": 0.3},
    {"step": 30, "phase": "train", "loss": 1.0, "seconds": 0.4},
    {"step": 40, "phase": "evaluate", "loss": 1.2, "word_error_rate": 0.25, "seconds": 0.5},
]


def lines(ax):
    return [line.get_xydata().tolist() for line in ax.get_lines()]


def test_a_learning_curve_shows_losses_and_errors(tmp_path):
    above, below = plots.learning_curve(ROWS, title="a run").axes
    assert lines(above) == [
        [[10, 2.0], [30, 1.0]],  # Each batch; null in the log is left out.
        [[10, 2.0], [30, 1.0]],  # The running mean.
        [[20, 1.5], [40, 1.2]],
    ]
    assert lines(below) == [[[20, 50.0], [40, 25.0]]]
    legend = below.get_legend()
    assert legend is not None
    assert texts(legend.get_texts()) == ["word error rate: 25.0 % at the end"]
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    assert [lines(ax) for ax in plots.learning_curve(log).axes] == [lines(above), lines(below)]
    assert len(plots.learning_curve(ROWS, errors=()).axes) == 1
    larger = [{**row, "larger": 0.9} for row in ROWS]
    highest = plots.learning_curve(larger).axes[1].get_ylim()[1]
    assert highest > 90  # All errors are in the picture, not those drawn first alone.


def test_text_lines_up_whatever_the_letters():
    text = plots.attention_text(WEIGHTS, ["我", "ab"], ["注意", "e\u0301", "c"])
    assert text.splitlines() == [
        "    注意 e\u0301    c",
        "我  ▓▓▓▓ ░░░░ ░░░░",
        "ab  ░░░░ ░░░░ ████",
        "░ from 5 %  ▒ 25 %  ▓ 50 %  █ 75 %",
    ]


def test_text_without_labels_has_no_margin():
    assert plots.attention_text([[0.3, 0.0, 0.05]]).splitlines()[0].strip() == "▒▒    ░░"


BAD = {
    "attention_map: weights has shape (3,), expected (t, s)": lambda: plots.attention_map(
        [1, 2, 3]
    ),
    "attention_map: queries has 1 labels, expected 2 (one a row)": lambda: plots.attention_map(
        WEIGHTS, ["a"]
    ),
    "attention_text: keys has 4 labels, expected 3 (one a column)": lambda: plots.attention_text(
        WEIGHTS, None, "abcd"
    ),
    "attention_grid: maps is empty, expected at least one": lambda: plots.attention_grid([]),
    "attention_grid: links has 2 entries, expected 1": lambda: plots.attention_grid(
        [(WEIGHTS, None, None, None)], links=[None, None]
    ),
    "attention_map: links has (2, 0), expected a row below 2 and a column below 3": (
        lambda: plots.attention_map(WEIGHTS, links=[(0, 0), (2, 0)])
    ),
    "mask_picture: mask has shape (2, 3), expected (3, 3)": lambda: plots.mask_picture(
        WEIGHTS > 0.5, 3, 3
    ),
    "learning_curve: rows is empty, expected the rows of a log": lambda: plots.learning_curve([]),
    "learning_curve: no evaluation has accuracy": lambda: plots.learning_curve(
        ROWS, errors=["accuracy"]
    ),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_is_named(message):
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        BAD[message]()
    assert str(raised.value) == message


def test_a_damaged_log_is_named(tmp_path):
    log = tmp_path / "log.jsonl"
    log.write_text(json.dumps(ROWS[0]) + '\n{"step": 2')
    with pytest.raises(ValueError, match=r"line 2 of .*log\.jsonl is no JSON"):
        plots.learning_curve(log)


@pytest.mark.parametrize("name", ["map.png", "map.svg"])
def test_saving_twice_writes_the_same_bytes(tmp_path, name):
    for folder in ("one", "two"):
        plots.save(plots.attention_map(WEIGHTS, ["AE", "T"], "att"), tmp_path / folder / name)
    first, second = ((tmp_path / folder / name).read_bytes() for folder in ("one", "two"))
    assert first == second
    assert first.startswith(b"\x89PNG" if name.endswith("png") else b"<?xml")
    assert [path.name for path in (tmp_path / "one").iterdir()] == [name]


def test_what_cannot_be_saved_leaves_the_old_file(tmp_path):
    old = tmp_path / "map.png"
    old.write_text("old")
    figure = plots.attention_map(WEIGHTS)
    figure.draw = lambda renderer: 1 / 0  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError):
        plots.save(figure, old)
    assert old.read_text() == "old"
    with pytest.raises(ValueError, match=r"save: .*map\.doc ends with none of .*png"):
        plots.save(figure, tmp_path / "map.doc")
    assert [path.name for path in tmp_path.iterdir()] == ["map.png"]


def test_letters_that_the_default_font_lacks_come_from_another():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert families(["plain"]) == matplotlib.rcParams["font.family"]
        # A script capital A, which the default font lacks and others that matplotlib brings have.
        first, *others = families(["\U0001d49c"])
        assert [first] == matplotlib.rcParams["font.family"]
        assert len(others) == 1


def test_letters_that_no_font_has_are_warned_of_once(tmp_path):
    undrawn = "\U0010fffd"  # For private use: a letter of no script.
    with pytest.warns(UserWarning, match=f"no installed font draws {undrawn}") as caught:
        figure = plots.attention_map(WEIGHTS, [undrawn, "T"], "att")
    assert len(caught) == 1
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plots.save(figure, tmp_path / "map.png")


def test_pictures_say_what_is_missing_and_text_needs_nothing(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'pip install "jattn\[plots\]"'):
        plots.attention_map(WEIGHTS)
    assert "█" in plots.attention_text(WEIGHTS)


def test_no_setting_changes_and_no_display_is_needed(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # Its import would fail.
    before = matplotlib.rcParams.copy()
    plots.attention_grid([(WEIGHTS, None, None, None)])
    plots.learning_curve(ROWS)
    assert matplotlib.rcParams.copy() == before
