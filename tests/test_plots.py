# pyright: reportArgumentType=false
"""`jattn.plots`: pictures show their input unchanged; files are whole; terminal text lines up."""

import json
import sys
import warnings

import matplotlib
import matplotlib.image
import matplotlib.text
import numpy as np
import pytest
from matplotlib.figure import Figure

from jattn import masks, plots
from jattn.plots.figure import families
from jattn.plots.labelled import clipped, printable

WEIGHTS = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]])


def drawn(figure, index=0):
    """Returns the axes of one panel, and its image."""
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
    """Returns the cells (row, column) that have a square inside them."""
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


NAN_ROW = np.array([[0.7, 0.3, 0.0], [np.nan] * 3])


def every_plot(weights, queries=None, keys=None, title=None):
    """Returns calls that draw the same weights, labels and title, each by another function."""
    return {
        "attention_map": lambda: plots.attention_map(weights, queries, keys, title=title),
        "attention_grid": lambda: plots.attention_grid([(weights, queries, keys, title)]),
        "heads_grid": lambda: plots.heads_grid(np.array([weights, weights]), queries, keys),
        "attention_over_time": lambda: plots.attention_over_time(
            weights, queries, keys, title=title
        ),
        "attention_over_image": lambda: plots.attention_over_image(
            np.zeros((4, 6)), weights, (1, 3), titles=queries
        ),
    }


@pytest.mark.parametrize("name", [*every_plot(WEIGHTS), "attention_text", "explorer"])
def test_weights_that_no_colour_shows_are_refused(name):
    """If drawn, a NaN would take the scale from all cells, and -0.5 would look like 0."""
    for wrong, shown in ((np.nan, "nan"), (np.inf, "inf"), (-0.5, "-0.5")):
        weights = np.where(np.isnan(NAN_ROW), wrong, NAN_ROW)
        drawing = every_plot(weights) | {
            "attention_text": lambda weights=weights: plots.attention_text(weights),
            "explorer": lambda weights=weights: plots.explorer(weights),
        }
        place = r"(0, )?1, 0"
        with pytest.raises(
            ValueError, match=rf"^{name}: weights\[{place}\] is {shown}, expected a"
        ):
            drawing[name]()


@pytest.mark.parametrize("wrong", [[["a", "b"]], [[1j]], [[1.0], [1.0, 2.0]], None])
def test_weights_that_are_no_numbers_are_refused_by_name(wrong):
    with pytest.raises(ValueError, match=r"^attention_(map|text): weights .*expected .*number"):
        plots.attention_map(wrong)
    with pytest.raises(ValueError, match=r"^attention_text: weights .*expected .*number"):
        plots.attention_text(wrong)


@pytest.mark.parametrize("name", every_plot(WEIGHTS))
def test_a_dollar_sign_is_drawn_as_one(tmp_path, name):
    """Between two of them, matplotlib would read a formula, and `$$` would be an error."""
    labels = ["$$", "$\\frac$"]
    figure = every_plot(WEIGHTS, labels, [*labels, "US$ 5"], "$x_$")[name]()
    plots.save(figure, tmp_path / "picture.svg")
    written = [
        text
        for text in figure.findobj(matplotlib.text.Text)
        if "$" in text.get_text() and text.get_visible()
    ]
    assert len(written) >= 2
    assert not any(text.get_parse_math() or text.get_usetex() for text in written)


def test_a_dollar_sign_in_a_learning_curve_is_drawn_as_one(tmp_path):
    rows = [{"step": 1, "phase": "evaluate", "loss": 1.0, "$x_$": 0.5}]
    plots.save(plots.learning_curve(rows, title="$$"), tmp_path / "picture.svg")


def test_control_characters_are_shown_and_not_obeyed():
    text = plots.attention_text(np.eye(2), ["\n", "\x1b[31m"], ["a\tb", "\u202e\x9b"])
    assert len(text.splitlines()) == 4
    assert text.replace("\n", "").isprintable()
    assert printable("\0\n\x7f\u2028\ud800") == r"\x00\n\x7f\u2028\ud800"
    assert printable("e\u0301 注\u200d意\n", keep="\n") == "e\u0301 注\u200d意\n"


@pytest.mark.parametrize("name", every_plot(WEIGHTS))
def test_control_characters_are_drawn_as_escapes(name):
    figure = every_plot(WEIGHTS, ["\n", "\t"], "abc", "two\nlines\x1b")[name]()
    written = "".join(text.get_text() for text in figure.findobj(matplotlib.text.Text))
    assert r"\n" in written
    assert r"\t" in written
    assert not {"\t", "\x1b"} & set(written)


def test_every_metric_has_a_line_of_its_own():
    names = [f"error_{index}" for index in range(29)]
    row = {"step": 1, "phase": "evaluate", **dict.fromkeys(names, 0.1), "note": "no number"}
    below = plots.learning_curve([row]).axes[1]
    styles = {(x.get_color(), x.get_linestyle(), x.get_marker()) for x in below.get_lines()}
    assert len(styles) == len(below.get_lines()) == 29
    legend = below.get_legend()
    assert legend is not None
    assert len(legend.get_texts()) == 29


def test_losses_and_errors_below_zero_are_inside_of_the_axis():
    rows = [{"step": i, "phase": "train", "loss": -1.0 - i} for i in range(10)]
    rows += [{"step": 9, "phase": "evaluate", "loss": 0.0, "gain": -0.5}]
    above, below = plots.learning_curve(rows).axes
    low, high = above.get_ylim()
    assert low < -10.0 < 0.0 < high
    assert (above.get_yscale(), below.get_ylim()[0] < -50.0) == ("linear", True)
    assert plots.learning_curve(ROWS).axes[0].get_yscale() == "log"


FOREIGN = {
    '{"step": 1, "loss": 2}': "has no phase",
    '{"step": null, "phase": "train"}': "has no step",
    '{"step": 1%s, "phase": "train"}' % ("0" * 400): "has no step",
    "[1, 2]": "is a list",
    "3": "is a int",
    "": "is no JSON",
}


@pytest.mark.parametrize("line", FOREIGN)
def test_a_log_of_something_else_is_refused_with_its_line(tmp_path, line):
    log = tmp_path / "log.jsonl"
    log.write_text(f"{json.dumps(ROWS[0])}\n{line}\n")
    with pytest.raises(
        ValueError, match=rf"^learning_curve: line 2 of .*log\.jsonl {FOREIGN[line]}"
    ):
        plots.learning_curve(log)
    if line:
        with pytest.raises(ValueError, match=rf"^learning_curve: rows\[1\] {FOREIGN[line]}"):
            plots.learning_curve([ROWS[0], json.loads(line)])


def test_a_transparent_picture_has_no_background(tmp_path):
    figure = plots.attention_map(WEIGHTS)
    for transparent in (False, True):
        plots.save(figure, tmp_path / "map.png", transparent=transparent)
        pixels = matplotlib.image.imread(tmp_path / "map.png")
        assert pixels[0, 0, 3] == (0.0 if transparent else 1.0)
        assert (pixels[..., 3] == 1.0).any()


def test_an_empty_matrix_has_a_picture():
    for shape in ((0, 3), (3, 0), (0, 0)):
        drawing = every_plot(np.zeros(shape))
        if shape[1] == 0:
            del drawing["attention_over_image"]  # An image has a patch.
        for draw in drawing.values():
            draw().draw_without_rendering()
        plots.mask_picture(np.zeros(shape, bool), *shape).draw_without_rendering()


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
    "attention_grid: maps[0] is a ndarray, expected (weights, queries, keys, title)": (
        lambda: plots.attention_grid([WEIGHTS])
    ),
    "attention_grid: columns is 0, expected a whole number of at least 1": (
        lambda: plots.attention_grid([(WEIGHTS, None, None, None)], columns=0)
    ),
    "attention_map: links has (0.5, 1), expected a row below 2 and a column below 3": (
        lambda: plots.attention_map(WEIGHTS, links=[(0.5, 1)])
    ),
    "attention_map: queries is 2, expected a sequence of labels": lambda: plots.attention_map(
        WEIGHTS, 2
    ),
    "mask_picture: mask has dtype float64, expected bool": lambda: plots.mask_picture(
        WEIGHTS, 2, 3
    ),
    "heads_grid: highest is nan, expected a finite number above 0": lambda: plots.heads_grid(
        WEIGHTS[None], highest=np.nan
    ),
    "save: dots_per_inch is 0, expected a finite number above 0": lambda: plots.save(
        Figure(), "picture.png", dots_per_inch=0
    ),
    "learning_curve: errors is 'loss', expected a sequence of names": (
        lambda: plots.learning_curve(ROWS, errors="loss")
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
