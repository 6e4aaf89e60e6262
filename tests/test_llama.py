# pyright: reportCallIssue=false
"""The Llama-like model of an experiment: two ways to write it, one result."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.llama.__main__ import main
from experiments.llama.models import SMALL, WAYS, init
from jattn import testing


@pytest.fixture(autouse=True)
def as_users_have_it():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def test_both_ways_give_the_same_logits_and_tokens():
    """In one pass, and token by token after two stored tokens; jax.nn's softmax is in float32."""
    model, rng = init(SMALL), np.random.default_rng(0)
    tokens = rng.integers(SMALL.words, size=(1, 5))
    whole = [jax.jit(logits)(model, tokens) for logits, *_ in WAYS.values()]
    testing.assert_close(*whole, 1e-6)
    shape = (SMALL.layers, 2, 1, 2, SMALL.key_value_heads, SMALL.size // SMALL.heads)
    stored = list(rng.standard_normal(shape))
    rows = {}
    for way, (_, step, caches_of) in WAYS.items():
        caches, found = caches_of(SMALL, stored, 7), []
        for token in tokens.T:
            logits, caches = jax.jit(step)(model, caches, jnp.asarray(token))
            found.append(logits)
        rows[way] = jnp.stack(found)
    testing.assert_close(*rows.values(), 1e-6)


def test_the_command_prints_a_row_for_each_size(capsys):
    assert main(["--small", "--repeats", "1"]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert [row.split(" | ")[0] for row in rows[1:]] == [
        "| decoding, 0 tokens in 16 slots",
        "| decoding, 8 tokens in 16 slots",
        "| decoding, 12 tokens in 16 slots",
        "| decoding, 0 tokens in 32 slots",
        "| decoding, 16 tokens in 32 slots",
        "| decoding, 28 tokens in 32 slots",
        "| training, 2 × 8",
    ]
    assert all(len(row.split("|")) == 6 for row in rows)
