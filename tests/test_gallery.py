"""The gallery: what is drawn is what mechanisms return, and the page shows all of them."""

import re
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import jattn
from experiments import gallery
from jattn.catalog import MECHANISMS

ROOT = Path(__file__).parent.parent
# Rows of the families on the page that have no weights of a query over keys, or over places.
WITHOUT_MAPS = gallery.OTHER_VALUES | {
    *("coverage_loss", "guided_attention_loss", "copy_distribution"),
    *("indexer_loss", "native_sparse_attention"),
    *("pooling_attention", "hierarchical_attention"),
    *("parallel_co_attention", "attention_over_attention"),
    *("interpolated_frequencies", "ntk_frequencies", "by_parts_frequencies"),
    *("yarn_frequencies", "multi_axis_rotary", "xpos"),
    "squeeze_excitation",
}


@pytest.fixture(autouse=True)
def as_users_run_it():
    with (
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
        jax.enable_x64(False),
    ):
        yield


def row(name):
    (found,) = [row for row in MECHANISMS if row.name == name]
    return found


def test_weights_are_those_of_the_words():
    words = gallery.vectors(["a", "rose", "is", "a", "rose"])
    assert np.array_equal(words[0], words[3])
    drawn: Any = gallery.weights_of(row("scaled_dot_product_attention"), words)
    array = jax.numpy.asarray(words)
    wanted = jattn.scaled_dot_product_attention(array, array, jax.numpy.eye(5)).weights
    np.testing.assert_allclose(drawn, wanted, atol=1e-6)


def test_weights_that_are_not_returned_are_measured():
    words = gallery.vectors(["a", "rose", "is", "a", "rose"])
    weights = gallery.weights_of(row("retention"), words)
    assert weights is not None
    assert np.abs(np.triu(weights, 1)).max() == 0.0
    assert (np.diag(weights) > 0).all()


def test_the_image_is_read_where_its_stroke_is():
    maps = gallery.maps_of(row("non_local_block"))
    assert maps is not None
    (over_image,) = maps.panels
    assert over_image.shape == gallery.IMAGE.shape
    np.testing.assert_allclose(over_image.sum(), 1.0, atol=1e-5)


def test_the_page_shows_every_mechanism_that_has_a_map():
    text = (ROOT / "docs/gallery.md").read_text("utf-8")
    for family in gallery.HEADINGS:
        part = text.partition(f"gallery-{family}.png")[0].rpartition("## ")[2]
        names = [each.name for each in MECHANISMS if each.family == family]
        wanted = [name for name in names if name not in WITHOUT_MAPS]
        assert re.findall(r"`(\w+)`", part) == wanted, "run `python -m experiments.gallery`"


def test_a_picture_has_a_panel_for_each_map():
    maps = [gallery.Maps(name, (np.eye(3), -np.eye(3))) for name in ("one", "two", "three")]
    axes: Any = gallery.picture(maps).axes
    assert len(axes) == 6
    red, blue = axes[1].images[0].get_array()[0, 0], axes[0].images[0].get_array()[0, 0]
    np.testing.assert_allclose(blue, [*gallery.BLUE, 1.0])
    np.testing.assert_allclose(red, [*gallery.RED, 1.0])
