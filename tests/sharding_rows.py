"""Functions on a sharded batch: the table of test_sharding.py."""

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jattn
from jattn.catalog import MECHANISMS
from jattn.testing.trees import draw_like, like

BATCH, HEADS = 4, 2
S, T, D, WORDS, UNITS = 11, 5, 6, 7, 3

Tree = Any


class Row(NamedTuple):
    """A batched function, its arguments, and the leading axes of each and of every result.

    Axis b is sharded, and h too on a mesh of two axes. An argument without axes is replicated, and
    the devices add up its gradient.
    """

    name: str
    function: Callable[..., Tree]
    arguments: tuple[Tree, ...]
    axes: tuple[str, ...]
    output: str = "b"
    has_gradient: bool = True
    # A loop over steps adds up the gradient at each of them.
    adds_up_in_loops: bool = False
    # Times that what is shared is used; the gradient may be added up at each.
    uses: int = 1
    # A search goes on at each step if any element of the batch does.
    agrees_in_loops: bool = False

    @property
    def is_better_in_shard_map(self) -> bool:
        """Whether `jax.shard_map` spares the row the collectives in its loops."""
        return self.adds_up_in_loops or self.agrees_in_loops


def mapped(
    name: str, function: Callable[..., Tree], *arguments: Tree, axes: str, **rest: Any
) -> Row:
    """Returns the row of a function of one example; `axes` has a b for each argument with a batch.

    The arguments of letter `.` are the same for all examples.
    """
    in_axes = tuple(0 if axis == "b" else None for axis in axes)
    return Row(
        name,
        jax.vmap(function, in_axes),
        arguments,
        tuple(axis.strip(".") for axis in axes),
        **rest,
    )


def draw(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).standard_normal(shape) / 2


def draw_tokens(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).integers(0, WORDS, shape)


def params_of(init: Callable[..., Tree], **sizes: Any) -> Tree:
    """Returns parameters of the form that an initializer has, drawn by NumPy."""
    form = jax.eval_shape(lambda: init(jax.random.key(0), **sizes))
    return like(form, draw_like(form, 1))


def batch_of(tree: Tree) -> Tree:
    """Returns a batch of multiples of the arrays of `tree`."""
    factors = np.array([1.0, 0.75, 1.5, 0.5])
    return jax.tree.map(lambda leaf: np.multiply.outer(factors, leaf), tree)


LENGTHS = np.array([11, 0, 3, 7])
VALID = np.random.default_rng(1).random((BATCH, S)) < 0.6
# Keys, made where the function runs: this table is read without running anything.
SEEDS = np.arange(BATCH)


def attention_rows() -> Iterator[Row]:
    """Yields the case with the most options of each mechanism that reads keys."""
    shared = {"params", "scale", "sinks", "self_sinks", "memory_sinks"}
    for mechanism in MECHANISMS:
        if mechanism.family not in ("score", "local", "multi-head", "layer"):
            continue
        call = mechanism.hardest()
        names, inputs = call.input_names, call.inputs()
        if not {"key", "memory"} & set(names) and mechanism.family == "layer":
            continue
        axes = "".join("." if name in shared else "b" for name in names)
        arguments = [x if a == "." else batch_of(x) for x, a in zip(inputs, axes, strict=True)]
        uses = call.case.options.get("steps", 1)
        yield mapped(mechanism.name, call.function, *arguments, axes=axes, uses=uses)


def head_rows() -> Iterator[Row]:
    """Yields a function of one head, mapped over a batch and over heads."""
    params = params_of(jattn.init_additive, query_size=UNITS, key_size=UNITS, units=2)
    query, key, value = draw(BATCH, HEADS, T, UNITS), *draw(2, BATCH, HEADS, S, UNITS)

    def attend(params, query, key, value):
        mask = jattn.masks.causal(S - T)
        return jattn.additive_attention(params, query, key, value, mask=mask)

    by_head = (None, 0, 0, 0)
    function = jax.vmap(jax.vmap(attend, by_head), by_head)
    axes = ("", "b h", "b h", "b h")
    yield Row("heads of additive_attention", function, (params, query, key, value), axes, "b h")


def recurrent_rows() -> Iterator[Row]:
    inputs = draw(BATCH, S, D)
    one = params_of(jattn.init_gru, input_size=D, units=UNITS)
    both = params_of(jattn.init_bidirectional_gru, input_size=D, units=UNITS)
    layers = params_of(jattn.init_stacked_gru, input_size=D, units=UNITS, layers=2)
    tagger = params_of(
        jattn.init_attentive_gru, words=WORDS, embedding_size=D, units=UNITS, output_size=2
    )

    def gru(params, inputs, length):
        return jattn.gru(params, inputs, length=length)

    def of_own_cell(params, inputs, valid):
        cell = lambda *arguments: jattn.gru_cell(*arguments)
        return jattn.gru(params, inputs, valid=valid, reverse=True, cell=cell)

    def bidirectional(params, inputs, valid):
        cell = jattn.reset_before_gru_cell
        return jattn.bidirectional_gru(params, inputs, valid=valid, cell=cell)

    def stacked(params, inputs, length, seed):
        rates = {"dropout_rate": 0.3, "recurrent_dropout_rate": 0.3, "rng": jax.random.key(seed)}
        return jattn.stacked_gru(params, inputs, length=length, **rates)

    tag = lambda params, tokens, valid: jattn.attentive_gru(params, tokens, valid=valid)
    yield mapped("gru", gru, one, inputs, LENGTHS, axes=".bb")
    yield mapped(
        "gru of one's own cell", of_own_cell, one, inputs, VALID, axes=".bb", adds_up_in_loops=True
    )
    both_lstm = params_of(
        jattn.init_bidirectional, init_cell=jattn.init_lstm, input_size=D, units=UNITS
    )
    lstm = lambda params, inputs, valid: jattn.bidirectional(
        jattn.lstm_cell, params, inputs, valid=valid
    )
    yield mapped(
        "bidirectional lstm", lstm, both_lstm, inputs, VALID, axes=".bb", adds_up_in_loops=True
    )
    yield mapped("bidirectional_gru", bidirectional, both, inputs, VALID, axes=".bb")
    yield mapped("stacked_gru", stacked, layers, inputs, LENGTHS, SEEDS, axes=".bbb")
    yield mapped("attentive_gru", tag, tagger, draw_tokens(BATCH, S), VALID, axes=".bb")


SIZES = {"words": WORDS, "embedding_size": D, "units": UNITS}
SIZES |= {"value_size": UNITS, "summary_size": UNITS}
MEMORY = draw(BATCH, S, UNITS), draw(BATCH, UNITS), LENGTHS


def bahdanau_params() -> Tree:
    attention = params_of(jattn.init_additive, query_size=UNITS, key_size=UNITS, units=2)
    return params_of(jattn.init_bahdanau_decoder, attention=attention, **SIZES)


def decoder_rows() -> Iterator[Row]:
    luong_params = params_of(jattn.init_luong_decoder, input_feeding=True, **SIZES)
    local = jattn.read_by(jattn.local_monotonic_attention, half_width=2)

    def bahdanau(params, values, summary, length, tokens, seed):
        memory = jattn.Memory(values, summary, length)
        dropout = {"dropout_rate": 0.2, "rng": jax.random.key(seed)}
        return jattn.bahdanau_decode(params, memory, tokens, **dropout)

    def luong(params, values, summary, length, tokens):
        options = {"attention": local, "input_feeding": True, "length": length}
        memory = jattn.Memory(values, summary, length)
        return jattn.luong_decode(params, memory, tokens, **options)

    for name, function, weights, *rest in (
        ("bahdanau_decode", bahdanau, bahdanau_params(), draw_tokens(BATCH, T), SEEDS),
        ("luong_decode", luong, luong_params, draw_tokens(BATCH, S)),
    ):
        axes = "." + "b" * (3 + len(rest))
        yield mapped(name, function, weights, *MEMORY, *rest, axes=axes, adds_up_in_loops=True)


def search_rows() -> Iterator[Row]:
    options = {"stop": 0, "max_steps": T, "suppress": 1, "collect": lambda state: state.weights}

    def searching(search, params, values, summary, length, start, **more):
        memory = jattn.Memory(values, summary, length)
        read = jattn.read_by(jattn.additive_attention)(params.attention, memory)

        def step(state, token):
            logits, state = jattn.bahdanau_step(params, state, token, read)
            return jax.nn.log_softmax(logits), state

        state = jattn.bahdanau_start(params, memory, read)
        return search(step, state, start=start, **options, **more)

    more = {"beam_size": 3, "length_penalty": 0.6}
    greedy = functools.partial(searching, jattn.greedy_search, min_length=2)
    beam = functools.partial(searching, jattn.beam_search, **more)

    def sample(*arguments):
        *arguments, seed = arguments
        narrowing = {"top_k": 4, "top_p": 0.9, "temperature": 0.7}
        return searching(jattn.sample, *arguments, rng=jax.random.key(seed), **narrowing)

    for name, function, *seeds in (
        ("greedy_search", greedy),
        ("beam_search", beam),
        ("sample", sample, SEEDS),
    ):
        arguments = bahdanau_params(), *MEMORY, draw_tokens(BATCH, 2), *seeds
        axes = "." + "b" * (len(arguments) - 1)
        searches = {"has_gradient": False, "agrees_in_loops": True}
        yield mapped(name, function, *arguments, axes=axes, **searches)


def transformer_rows() -> Iterator[Row]:
    sizes = {"layers": 1, "size": D, "heads": HEADS, "hidden_size": 5}
    encoder = params_of(jattn.init_transformer_encoder, **sizes)
    decoder = params_of(jattn.init_transformer_decoder, **sizes)
    inputs, memory = draw(BATCH, T, D), draw(BATCH, S, D)

    def encode(params, inputs, length, seed):
        rates = {"dropout_rate": 0.2, "attention_dropout_rate": 0.2, "rng": jax.random.key(seed)}
        mask = jattn.masks.lengths(length)
        return jattn.transformer_encoder(params, inputs, self_mask=mask, **rates)

    def decode(params, inputs, memory, length):
        mask = jattn.masks.lengths(length)
        return jattn.transformer_decoder(params, inputs, memory, memory_mask=mask)

    def steps(params, inputs, memory):
        cached = jattn.transformer_memory(params, memory)
        state = jattn.transformer_start(params, cached, capacity=T)
        for row in inputs[:2]:
            outputs, state = jattn.transformer_step(params, state, row, cached)
        return outputs, [cache.key for cache in state.caches]

    yield mapped("transformer_encoder", encode, encoder, memory, LENGTHS, SEEDS, axes=".bbb")
    yield mapped("transformer_decoder", decode, decoder, inputs, memory, LENGTHS, axes=".bbb")
    yield mapped("transformer_step", steps, decoder, inputs, memory, axes=".bb", has_gradient=False)


def engine_rows() -> Iterator[Row]:
    """Yields functions that have a batch and heads themselves.

    Such a row is `Row(name, function, (query, key, value), ("b t h", "b s h", "b s h"), "b t h")`:
    only b and h are sharded, and the letters between them are there to be counted.
    """
    heads = draw(BATCH, T, 2 * HEADS, D), draw(BATCH, S, HEADS, D), draw(BATCH, S, HEADS, D)
    every, attend = ("b t h", "b s h", "b s h"), jattn.dot_product_attention
    bias, sinks = draw(BATCH, 2 * HEADS, T, S), jnp.asarray(draw(2 * HEADS))
    lengths, offset = np.array([2, 0, S, 5]), np.array([0, 3, 1, 2])
    ids = np.sort(np.random.default_rng(2).integers(0, 3, (BATCH, S)))

    def with_all(query, key, value, bias, lengths, offset):
        return attend(
            *(query, key, value, bias),
            is_causal=True,
            query_offset=offset,
            key_value_seq_lengths=lengths,
            sinks=sinks,
            logits_soft_cap=2.0,
            return_residual=True,
        )

    def documents(query, key, value, ids):
        return attend(query, key, value, mask=jattn.masks.segments(ids[:, :T], ids))

    def weights(query, key):
        _, found = attend(query, key, key, mask=jattn.masks.window(2, 1), return_weights=True)
        return found

    causal = functools.partial(attend, is_causal=True, chunk_size=2)
    rate: dict[str, Any] = {"dropout_rate": 0.5, "chunk_size": 2}
    dropped = lambda *heads: attend(*heads, **rate, dropout_rng=jax.random.key(0))
    statistics = lambda *pair: jattn.attention_statistics(*pair, is_causal=True)[:2]
    rows = lambda query, key: jattn.attention_rows(query, key, jnp.array([3, 1]))
    with_rest = (*heads, bias, lengths, offset), (*every, "b h", "b", "b")
    name, pair, of_pair = "dot_product_attention", heads[:2], every[:2]
    yield Row(name, attend, heads, every, "b t h")
    yield Row(f"{name}, causal in blocks", causal, heads, every, "b t h")
    yield Row(f"{name}, all options", with_all, *with_rest, "b t h")
    yield Row(f"{name}, segments", documents, (*heads, ids), (*every, "b"), "b t h")
    yield Row(f"{name}, dropout", dropped, heads, every, "b t h")
    yield Row(f"{name}, weights", weights, pair, of_pair, "b h")
    yield Row("attention_statistics", statistics, pair, of_pair, "b t h")
    yield Row("attention_rows", rows, pair, of_pair, "b h")


ROWS = (
    *attention_rows(),
    *head_rows(),
    *recurrent_rows(),
    *decoder_rows(),
    *search_rows(),
    *transformer_rows(),
    *engine_rows(),
)
