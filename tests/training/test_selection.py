"""Leaves are selected by path; frozen leaves keep their bits and have no optimiser state."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jattn import training


class Layer(NamedTuple):
    weight: object
    bias: object = None


def params():
    rng = np.random.default_rng(0)
    normal = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)
    layers = [Layer(normal(5, 3), normal(5)), Layer(normal(7, 5))]
    return {"layers": layers, "head": normal(7).at[:2].set(-0.0)}


def loss(params, batch, rng):
    first, second = params["layers"]
    hidden = second.weight @ jnp.tanh(first.weight @ batch + first.bias)
    return (params["head"] @ hidden - 1) ** 2, {}


@pytest.mark.parametrize(
    ("patterns", "chosen"),
    [
        (["head"], {"head"}),
        (["*/weight"], {"layers/0/weight", "layers/1/weight"}),
        (["layers/0"], {"layers/0/weight", "layers/0/bias"}),
        (["layers/?/b*", "head"], {"layers/0/bias", "head"}),
        ([], set()),
    ],
)
def test_patterns_choose_paths_and_branches(patterns, chosen):
    mask = training.select(params(), patterns)
    assert jax.tree.structure(mask) == jax.tree.structure(params())
    leaves = jax.tree.leaves_with_path(mask)
    paths = {jax.tree_util.keystr(path, simple=True, separator="/") for path, on in leaves if on}
    assert paths == chosen


def test_only_stars_and_question_marks_are_wildcards():
    """A path in a pattern is that path: brackets in it are no set of characters."""
    tree = {"w[0]": 1.0, "w0": 2.0, "what?": {"a": 3.0}, "whats": 4.0}

    def selected(*patterns):
        mask = jax.tree.leaves_with_path(training.select(tree, patterns))
        return [jax.tree_util.keystr(path, simple=True, separator="/") for path, on in mask if on]

    assert selected("w[0]") == ["w[0]"]
    assert selected("w[?]") == selected("w[*") == ["w[0]"]
    assert selected("what?") == ["what?/a"]
    assert selected("wha??") == ["what?/a", "whats"]
    for pattern in ("w[01]", "w.", "w0|w1"):
        with pytest.raises(ValueError, match="matches no path"):
            selected(pattern)
    assert training.label(tree, {"a": ["w[0]", "what?"]}, default="b") == {
        "w[0]": "a",
        "w0": "b",
        "what?": {"a": "a"},
        "whats": "b",
    }
    matrices = {"w[0]": jnp.ones((2, 3)), "w0": jnp.ones((2, 3))}
    lora = training.init_lora(jax.random.key(0), matrices, ["w[0]"], 1)
    assert lora["w0"] is None
    assert lora["w[0]"] is not None


def test_paths_that_are_the_same_text_are_refused():
    tree = {"a/b": jnp.ones((2, 2)), "a": {"b": jnp.ones((2, 2))}}
    for function in (
        lambda: training.select(tree, ["a/b"]),
        lambda: training.label(tree, {"x": ["a/b"]}),
        lambda: training.init_lora(jax.random.key(0), tree, ["a/b"], 1),
    ):
        with pytest.raises(ValueError, match="two leaves are called a/b"):
            function()


def test_one_pattern_without_a_list_is_refused():
    """Its letters would be patterns."""
    tree = {"a": 1.0, "b": 2.0}
    with pytest.raises(ValueError, match="select: patterns is 'ab', expected a list of patterns"):
        training.select(tree, "ab")
    with pytest.raises(ValueError, match=r"label: groups\['x'\] is 'ab', expected a list"):
        training.label(tree, {"x": "ab"})
    with pytest.raises(ValueError, match="init_lora: patterns is 'ab', expected a list"):
        training.init_lora(jax.random.key(0), tree, "ab", 1)


def test_a_pattern_that_matches_nothing_is_named_with_paths_that_exist():
    complaint = r"'layer/\*' matches no path; there are head, layers/0/weight, layers/0/bias"
    for function in (
        lambda: training.select(params(), ["head", "layer/*"]),
        lambda: training.label(params(), {"all": ["*", "layer/*"]}),
        lambda: training.init_lora(jax.random.key(0), params(), ["layer/*"], 2),
    ):
        with pytest.raises(ValueError, match=complaint):
            function()
    with pytest.raises(ValueError, match="layers/0/bias is in none of the groups a, b"):
        training.label(params(), {"a": ["head"], "b": ["*/weight"]})


def test_frozen_leaves_keep_every_bit_and_no_state():
    start, batch = params(), jnp.ones(3, jnp.float32)
    mask = training.select(start, ["layers/1"])
    optimizer = training.train_only(optax.adam(0.1), mask)
    state = training.init_train_state(start, optimizer, jax.random.key(0))
    moments = [leaf.shape for leaf in jax.tree.leaves(state.optimizer_state) if leaf.ndim]
    assert moments == [(7, 5), (7, 5)]
    step = training.make_train_step(loss, optimizer)
    for _ in range(3):
        state, _ = step(state, batch)
    for moved, old, new in zip(*map(jax.tree.leaves, (mask, start, state.params)), strict=True):
        assert (np.asarray(old).tobytes() != np.asarray(new).tobytes()) == moved


def test_the_two_halves_are_the_tree_and_train_as_the_mask_does():
    start, batch = params(), jnp.ones(3, jnp.float32)
    mask = training.select(start, ["layers/1", "*/bias"])
    chosen, others = training.split(start, mask)
    assert training.parameter_count(chosen) == 7 * 5 + 5
    assert training.parameter_count(others) == 7 + 5 * 3
    rejoined = training.join(chosen, others)
    assert jax.tree.structure(rejoined) == jax.tree.structure(start)
    assert all(a is b for a, b in zip(*map(jax.tree.leaves, (rejoined, start)), strict=True))

    masked: Any = training.train_only(optax.sgd(0.1), mask)
    slopes = jax.grad(loss, has_aux=True)(start, batch, None)[0]
    updates = masked.update(slopes, masked.init(start), start)[0]
    # Not compiled, where nothing simplifies the sum.
    moved: Any = optax.apply_updates(start, updates)
    head = moved["head"]
    assert np.asarray(head).tobytes() == np.asarray(start["head"]).tobytes()
    slopes = jax.grad(lambda half: loss(training.join(half, others), batch, None)[0])(chosen)
    expected = jax.tree.map(lambda slope: -0.1 * slope, slopes)
    for ours, theirs in zip(
        jax.tree.leaves(training.split(updates, mask)[0]), jax.tree.leaves(expected), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_labels_give_groups_rates_of_their_own():
    start = params()
    labels = training.label(start, {"slow": ["layers/0"], "fast": ["*/weight"]}, default="still")
    assert labels["layers"] == [Layer("slow", "slow"), Layer("fast")]
    assert labels["head"] == "still"
    rates: dict[Any, Any] = {
        "slow": optax.sgd(0.25),
        "fast": optax.sgd(0.5),
        "still": optax.set_to_zero(),
    }
    optimizer = optax.partition(rates, labels)
    ones = jax.tree.map(jnp.ones_like, start)
    updates, _ = optimizer.update(ones, optimizer.init(start), start)
    of = {"slow": -0.25, "fast": -0.5, "still": 0.0}
    for name, update in zip(jax.tree.leaves(labels), jax.tree.leaves(updates), strict=True):
        assert (update == of[name]).all()
