"""Layers, stacks, GRUs and decoders exported with symbolic sizes give what direct calls give."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from test_symbolic_sizes import KEY, QKV, check_arrays

import jattn
from jattn import masks

BLOCKS: dict[str, Any] = {"layers": 1, "size": 4, "heads": 2, "hidden_size": 3}
RECURRENT: dict[str, Any] = {"words": 7, "embedding_size": 3, "units": 4}
DECODER: dict[str, Any] = RECURRENT | {"value_size": 4, "summary_size": 4}
ROWS, TWO_SEQUENCES = {"rows": "b t d"}, {"rows": "b t d", "memory": "b s d"}
PATTERNS = (
    masks.causal(),
    masks.window(1, 2) & ~masks.lengths(2),
    masks.prefix(2) | masks.dilated(2),
    masks.blocks(3) | masks.global_tokens(1),
)


def patterns(query, key):
    """The entries of each mask for these queries and keys, and for a segment of each."""
    t, s = query.shape[1], key.shape[1]
    segments = masks.segments(jnp.arange(t) // 2, jnp.arange(s) // 3)
    every = [mask.dense(t, s).astype(query.dtype) for mask in (*PATTERNS, segments)]
    return every, query + jnp.stack(every).sum() * key.sum()


def last_keys(query, key, value):
    """Causal attention in which the last query reads all keys."""
    offset = key.shape[1] - query.shape[1]
    options = {"is_causal": True, "query_offset": offset, "mask": masks.lengths(key.shape[1] - 1)}
    one = lambda query, key: jattn.dot_attention(query, key, key, mask=masks.causal(offset))
    alone = jax.vmap(one)(query[:, :, 0], key[:, :, 0])
    return alone, jattn.dot_product_attention(query, key, value, **options)


def positions(rows, memory):
    t, s = rows.shape[1], memory.shape[1]
    added = rows + jattn.sinusoidal_positions(t, 4, offset=2, dtype=rows.dtype)[None]
    turned = jax.vmap(jattn.half_split_rotary, (0, None))(added, jnp.arange(t))
    bias = jattn.biases.alibi(jattn.biases.alibi_slopes(2))
    return turned, bias.dense(t, s, offset=s - t, dtype=rows.dtype)


def stacks(rows, memory):
    encoder = jattn.init_transformer_encoder(KEY, **BLOCKS)
    decoder = jattn.init_transformer_decoder(KEY, **BLOCKS)

    def one(rows, memory):
        memory = jattn.transformer_encoder(encoder, memory, order=jattn.post_norm).outputs
        options: dict[str, Any] = {"self_mask": masks.dilated(2), "memory_mask": masks.lengths(3)}
        return jattn.transformer_decoder(decoder, rows, memory, turn=jattn.rotary, **options)

    return jax.vmap(one)(rows, memory)


def by_engine(rows, memory):
    params = jattn.init_multi_head(KEY, heads=2, query_size=4)
    options = {"mask": masks.causal(), "attend": jattn.engine.attend}
    one = lambda rows, memory: jattn.multi_head_attention(params, rows, memory, memory, **options)
    return jax.vmap(one)(rows, memory)


def with_dropout(rows):
    dropped = jattn.dropout(KEY, rows, 0.5)
    block = jattn.init_encoder_block(KEY, size=4, heads=2, hidden_size=3)
    rates: dict[str, Any] = {"dropout_rate": 0.5, "attention_dropout_rate": 0.5}
    one = lambda rows: jattn.encoder_block(block, rows, **rates, rng=KEY)
    return jax.vmap(one)(dropped)


def layered_gru(rows):
    layers = jattn.init_stacked_gru(KEY, input_size=4, units=3, layers=2, bidirectional=True)
    cell = lambda params, hidden, inputs: jattn.gru_cell(params, hidden, inputs)
    one = lambda rows: jattn.stacked_gru(layers, rows, dropout_rate=0.5, rng=KEY)
    layer: Any = layers[0]
    last = {"length": rows.shape[1] - 1, "cell": cell}
    by_cell = lambda rows: jattn.gru(layer.forward, rows, **last)
    sizes: dict[str, Any] = {"input_size": 4, "units": 3, "layers": 1, "bidirectional": True}
    both = jattn.init_stacked(KEY, init_cell=jattn.init_lstm, **sizes)
    by_lstm = lambda rows: jattn.stacked(jattn.lstm_cell, both, rows, length=rows.shape[0] - 1)
    return jax.vmap(one)(rows), jax.vmap(by_cell)(rows), jax.vmap(by_lstm)(rows)


def translated(tokens, target_tokens, length):
    encoder = jattn.init_encoder(KEY, **RECURRENT)
    additive = jattn.init_additive(KEY, query_size=4, key_size=4, units=3)
    bahdanau = jattn.init_bahdanau_decoder(KEY, **DECODER, attention=additive)
    luong = jattn.init_luong_decoder(KEY, **DECODER)

    def one(tokens, target_tokens, length):
        memory = jattn.encode(encoder, tokens, length=length)
        by_additive, by_dot = map(jattn.read_by, (jattn.additive_attention, jattn.dot_attention))
        return (
            jattn.bahdanau_decode(bahdanau, memory, target_tokens, attention=by_additive),
            jattn.luong_decode(luong, memory, target_tokens, attention=by_dot),
        )

    return jax.vmap(one)(tokens, target_tokens, length)


OTHERS: dict[str, tuple[Callable[..., Any], dict[str, str]]] = {
    "patterns": (patterns, {"query": "b t", "key": "b s"}),
    "last keys": (last_keys, QKV),
    "positions": (positions, TWO_SEQUENCES),
    "stacks": (stacks, TWO_SEQUENCES),
    "multi_head_attention by the engine": (by_engine, TWO_SEQUENCES),
    "dropout": (with_dropout, ROWS),
    "stacked_gru": (layered_gru, ROWS),
    "decoders": (translated, {"tokens": "b s", "target_tokens": "b t", "length": "b"}),
    "attention_statistics": (
        partial(jattn.attention_statistics, is_causal=True),
        {"query": "b t h k", "key": "b s g k"},
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_function(name):
    check_arrays(*OTHERS[name])
