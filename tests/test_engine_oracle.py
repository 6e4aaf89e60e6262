"""Rule G1: the pullbacks of the engine's oracles, derived by hand, against complex steps."""

import numpy as np
import pytest

from jattn import testing
from jattn.oracle.engine.dot_product import dot_product_attention as oracle
from jattn.oracle.engine.merge import merge_attention
from jattn.testing.trees import draw_like

B, T, S, H, G, K, V = 2, 3, 4, 2, 1, 3, 2
SHAPES = {
    "query": (B, T, H, K),
    "key": (B, S, G, K),
    "value": (B, S, G, V),
    "bias": (1, H, T, S),
    "scale": (),
    "logits_soft_cap": (),
    "sinks": (H,),
}
BOTH = {"return_residual": True, "return_weights": True}
RNG = np.random.default_rng(0)
HIDING = {"mask": RNG.random((B, 1, T, S)) < 0.7, "query_seq_lengths": np.array([T, 2], np.int32)}

# The arrays that are given beside query, key and value, and what else is asked for.
CASES = {
    "plain": ("", {}),
    "log-sum-exp": ("bias", {"is_causal": True, "query_offset": -1, "return_residual": True}),
    "dropout": ("sinks", {"dropout_rate": 0.3, "dropout_rng": RNG.random((B, H, T, S)) < 0.7}),
    "everything": (
        "bias scale logits_soft_cap sinks",
        {
            "local_window_size": (1, None),
            "key_value_seq_lengths": np.array([3, 0]),
            **HIDING,
            **BOTH,
        },
    ),
}


def steps(oracle, inputs):
    """The pullback of a random cotangent and its complex steps."""
    output, pullback = oracle(*inputs)
    cotangent = draw_like(output, 1)
    return pullback(cotangent), testing.complex_step(oracle, inputs, cotangent)


@pytest.mark.parametrize("name", CASES)
def test_G1_the_pullback_of_attention_is_its_complex_step(name):
    given, options = CASES[name]
    names = [n for n in SHAPES if n in {"query", "key", "value", *given.split()}]
    rng = np.random.default_rng(1)
    draw = lambda n: np.abs(rng.standard_normal(SHAPES[n])) + 0.5 * (n == "logits_soft_cap")
    inputs = tuple(np.asarray(draw(n)) for n in names)
    run = lambda *inputs: oracle(**dict(zip(names, inputs, strict=True)), **options)
    found, wanted = steps(run, inputs)
    assert len(found) == len(names)
    testing.assert_close(found, wanted, 1e-12, name)


def test_G1_the_pullback_of_a_merge_is_its_complex_step():
    """Where one part has no key too, or neither."""
    outputs = RNG.standard_normal((2, B, T, H, V))
    parts = RNG.standard_normal((2, B, T, H))
    parts[0, 0, 0], parts[:, 1, 1] = -np.inf, -np.inf
    found, wanted = steps(merge_attention, (outputs[0], parts[0], outputs[1], parts[1]))
    testing.assert_close(found, wanted, 1e-12)


def test_G1_a_term_that_is_forgotten_is_noticed():
    """Without the derivative of the log-sum-exp the two differ."""
    rng = np.random.default_rng(2)
    inputs = tuple(rng.standard_normal(SHAPES[n]) for n in ("query", "key", "value"))
    output, pullback = oracle(*inputs, return_residual=True)
    cotangent = draw_like(output, 1)
    run = lambda *inputs: oracle(*inputs, return_residual=True)
    found = pullback((cotangent[0], np.zeros_like(cotangent[1])))
    with pytest.raises(AssertionError):
        testing.assert_close(found, testing.complex_step(run, inputs, cotangent), 1e-12)
