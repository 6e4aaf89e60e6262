"""Pictures of heads, over an image and over time; every picture in a dark style."""

import sys

import matplotlib
import matplotlib.style
import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from jattn import plots
from jattn.plots.over_time import summary

RANDOM = np.random.default_rng(2)
WEIGHTS = RANDOM.dirichlet(np.ones(3), (2, 5, 2))  # Two layers of five heads, 2 queries, 3 keys.
IMAGE = RANDOM.random((6, 8, 3))


def shown(figure):
    """Returns the matrices of a figure, axes by axis."""
    return [np.asarray(ax.get_images()[0].get_array()) for ax in figure.axes if ax.get_images()]


def texts(labels):
    return [label.get_text() for label in labels]


def test_heads_stand_in_rows_of_layers_and_are_labelled_once():
    figure = plots.heads_grid(2.0 * WEIGHTS, "ab", "xyz", links=[(0, 2)])
    np.testing.assert_array_equal(shown(figure), 2.0 * WEIGHTS.reshape(10, 2, 3))
    panels = figure.axes[:10]
    assert [ax.get_title() for ax in panels] == [f"head {i}" for i in range(5)] + [""] * 5
    assert texts(figure.texts) == ["layer 0", "layer 1"]
    assert [texts(ax.get_yticklabels()) for ax in panels] == [["a", "b"], *[[]] * 4] * 2
    assert [texts(ax.get_xticklabels()) for ax in panels] == [["x", "y", "z"]] * 5 + [[]] * 5
    assert [len(ax.collections[0].get_paths()) for ax in panels] == [1] * 10
    # One scale for all, and one size.
    assert {ax.get_images()[0].get_clim() for ax in panels} == {(0.0, 2.0 * WEIGHTS.max())}
    assert len({tuple(np.round(ax.get_position().size, 9)) for ax in panels}) == 1
    assert plots.heads_grid(WEIGHTS[0], highest=0.3).axes[0].get_images()[0].get_clim() == (0, 0.3)


def test_many_heads_of_one_layer_stand_in_several_rows():
    many = np.repeat(WEIGHTS[0], 2, axis=0)  # Ten.
    figure = plots.heads_grid(many)
    assert [ax.get_title() for ax in figure.axes[:10]] == [f"head {i}" for i in range(10)]
    places = [ax.get_position() for ax in figure.axes[:10]]
    assert len({round(place.y0, 6) for place in places}) == 2
    assert len({round(place.x0, 6) for place in places}) == 5


def test_weights_lie_over_their_patches():
    weights = RANDOM.dirichlet(np.ones(12), 5)
    figure = plots.attention_over_image(IMAGE, weights, (3, 4), titles="abcde")
    image, *panels = [ax for ax in figure.axes if ax.get_images()][:6]
    np.testing.assert_array_equal(image.get_images()[0].get_array(), IMAGE)
    for ax, title, row in zip(panels, "abcde", weights, strict=True):
        below, above = ax.get_images()
        assert np.asarray(below.get_array(), float).shape == IMAGE.shape[:2]
        np.testing.assert_array_equal(above.get_array(), row.reshape(3, 4))
        assert above.get_extent() == below.get_extent()
        assert above.get_clim() == (0.0, row.max())
        assert ax.get_title() == f"{title}\nlargest {100 * row.max():.3g} %"
    # The colour of a weight of 0 is clear.
    assert panels[0].get_images()[1].get_cmap()(0.0)[3] == 0.0
    eight_bits, numbers = (
        shown(plots.attention_over_image(x, weights[0], (3, 4)))[0]
        for x in (np.array([[0, 51], [255, 102]], np.uint8), np.array([[0.0, 0.2], [1.0, 0.4]]))
    )
    np.testing.assert_allclose(eight_bits, numbers, rtol=1e-15)


def test_each_step_of_a_decoder_is_summed_up():
    reached, number = summary(
        np.array([[0, 0, 3, 0.0], [1, 1, 1, 1], [0.5, 0, 0, 0.5], [0, 0, 0, 0]])
    )
    nan = np.nan
    np.testing.assert_array_equal(
        reached, [[2.0, 0.0, 0.0, nan], [2.0, 1.0, 0.0, nan], [2.0, 2.0, 3.0, nan]]
    )
    np.testing.assert_allclose(number, [1.0, 4.0, 2.0, nan], rtol=1e-12)


def test_time_runs_to_the_right_and_keys_upwards():
    weights = np.array([[0.25, 0.75, 0.0], [0.0, 0.5, 0.5]])
    above, below = plots.attention_over_time(weights, "ab", "xyz", links=[(1, 2)]).axes
    dots, squares = (x for x in above.collections if isinstance(x, PathCollection))
    assert np.asarray(dots.get_offsets()).tolist() == [[0, 0], [0, 1], [1, 1], [1, 2]]
    np.testing.assert_allclose(dots.get_sizes() / dots.get_sizes()[1] * 0.75, weights[weights > 0])
    assert np.asarray(squares.get_offsets()).tolist() == [[1, 2]]
    assert np.asarray(above.get_lines()[0].get_ydata()).tolist() == [1, 1]
    assert texts(below.get_xticklabels()) == ["a", "b"]
    assert texts(above.get_yticklabels()) == ["x", "y", "z"]


BAD = {
    "heads_grid: weights has shape (2, 3), expected (heads, t, s) or (layers, heads, t, s), "
    "with a head": lambda: plots.heads_grid(WEIGHTS[0, 0]),
    "attention_over_image: image has shape (6, 8, 4), expected (height, width) or "
    "(height, width, 3)": lambda: plots.attention_over_image(np.ones((6, 8, 4)), [1.0], (1, 1)),
    "attention_over_image: weights has shape (1, 5), expected (t, 6) for 2 x 3 patches": (
        lambda: plots.attention_over_image(IMAGE, np.ones(5), (2, 3))
    ),
    "attention_over_image: titles has 2 entries, expected 1": lambda: plots.attention_over_image(
        IMAGE, np.ones(6), (2, 3), titles="ab"
    ),
    "attention_over_time: links has (0, 3), expected a row below 2 and a column below 3": (
        lambda: plots.attention_over_time(WEIGHTS[0, 0], links=[(0, 3)])
    ),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_is_named(message):
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        BAD[message]()
    assert str(raised.value) == message


ROWS = [
    {"step": 1, "phase": "train", "loss": 2.0, "seconds": 0.1},
    {"step": 2, "phase": "train", "loss": 1.0, "seconds": 0.2},
]
PICTURES = {
    "attention_map": lambda: plots.attention_map(WEIGHTS[0, 0], links=[(0, 1)]),
    "heads_grid": lambda: plots.heads_grid(WEIGHTS[:, :2]),
    "attention_over_image": lambda: plots.attention_over_image(IMAGE, np.ones(6) / 6, (2, 3)),
    "attention_over_time": lambda: plots.attention_over_time(WEIGHTS[0, 0]),
    "mask_picture": lambda: plots.mask_picture(np.eye(3, dtype=bool), 3, 3),
    "learning_curve": lambda: plots.learning_curve(ROWS),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_keeps_the_style_that_it_was_made_in(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    before = matplotlib.rcParams.copy()
    with matplotlib.style.context("dark_background"):
        figure = PICTURES[name]()
    assert matplotlib.rcParams.copy() == before
    figure.draw_without_rendering()  # Ticks are made here, outside of the style.
    assert to_rgb(figure.get_facecolor()) == (0.0, 0.0, 0.0)
    written = [x for x in figure.findobj() if isinstance(x, Text) and x.get_text().strip()]
    assert {to_rgb(text.get_color()) for text in written} == {(1.0, 1.0, 1.0)}
