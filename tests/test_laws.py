"""Laws and closed forms of jattn.testing.laws."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import jattn
from jattn.testing.laws import laws, page


def test_both_sides_of_a_law_are_equal(law):
    pairs = list(law())
    assert pairs
    for left, right in pairs:
        left, right = np.asarray(left), np.asarray(right)
        assert left.shape == right.shape
        np.testing.assert_allclose(left, right, rtol=1e-12, atol=1e-13)


def test_a_law_can_fail(monkeypatch):
    """With the mistake of code that adds the logarithm of the size instead of multiplying by it."""
    wrong = lambda scores, mask=None, *, strength: jattn.softmax(
        scores - strength * jnp.log(scores.shape[1]), mask
    )
    monkeypatch.setattr(jattn, "scalable_softmax", wrong)
    broken = [law for law in laws() if law.__name__ == "scalable_softmax_has_odds_of_powers"]
    with pytest.raises(AssertionError):
        test_both_sides_of_a_law_are_equal(broken[0])


def test_the_page_of_laws_is_up_to_date():
    path = Path(__file__).parent.parent / "docs/laws.md"
    assert path.read_text("utf-8") == page(), "run `python -m jattn.testing.laws > docs/laws.md`"
