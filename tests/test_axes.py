# pyright: reportArgumentType=false, reportCallIssue=false, reportOperatorIssue=false
"""Every mistake in an argument of a public function is a ValueError that says what and where."""

import functools
import inspect
import re
from collections import Counter
from typing import Any, cast, get_args, get_type_hints

import jax
import numpy as np
import pytest
from compiled import change, each, having, leaves_of, masked, with_options

import jattn
from jattn import masks
from jattn._axes import forms_of_arguments
from jattn._options import Count, Length, Size

SHAPE = r"[\w.]+ has shape \(.*\), expected \(.*\)"
SOURCES = r" with \w+=\d+ \(from [\w.]+\)(, \w+=\d+ \(from [\w.]+\))*"


def refused(call, inputs, message):
    with pytest.raises(ValueError, match=rf"^{call.mechanism.name}: {message}$"):
        call.function(*inputs)


def edit_one(call, wrong, edit):
    return change(call, call.inputs(), lambda leaf, x: edit(x) if leaf == wrong else x)


def test_every_shared_axis_is_checked(call):
    """One entry more on an axis is refused, with the place that the size was known from."""
    leaves = leaves_of(call)
    uses = Counter(part for leaf in leaves for axis in leaf.axes for part in {*axis.split("+")})
    for leaf in leaves:
        for position, axis in enumerate(leaf.axes):
            if axis.isdigit() or all(uses[part] > 1 for part in axis.split("+")):
                longer = edit_one(
                    call,
                    leaf,
                    lambda x, position=position: np.concatenate(
                        [x, np.take(x, [0], position)], position
                    ),
                )
                refused(call, longer, SHAPE + (f"({SOURCES})?" if axis.isdigit() else SOURCES))


def test_wrong_ranks_are_refused(hardest):
    forms = forms_of_arguments(hardest.mechanism.function)
    for leaf in leaves_of(hardest):
        ranks = {len(form.axes) for form in forms[leaf.path]}
        path = re.escape(leaf.path)
        refused(hardest, edit_one(hardest, leaf, lambda x: x[None, None]), rf"{path} has shape .*")
        if leaf.axes and len(leaf.axes) - 1 not in ranks:
            refused(hardest, edit_one(hardest, leaf, lambda x: x[0]), rf"{path} has shape .*")


def test_what_is_no_floating_point_array_is_refused(hardest):
    forms = forms_of_arguments(hardest.mechanism.function)
    for leaf in leaves_of(hardest):
        path = re.escape(leaf.path)
        for dtype in (np.int32, np.bool_, np.complex64):
            refused(
                hardest,
                edit_one(hardest, leaf, lambda x, dtype=dtype: x.astype(dtype)),
                rf"{path} has dtype {np.dtype(dtype)}, expected a floating-point dtype",
            )
        leaves, structure = jax.tree.flatten(hardest.inputs())
        index = leaves_of(hardest).index(leaf)
        for wrong, message in (([1.0], "a list"), ("text", "a str"), (None, "None")):
            if wrong is not None or not forms[leaf.path][0].optional:
                given = [*leaves[:index], wrong, *leaves[index + 1 :]]
                refused(
                    hardest,
                    jax.tree.unflatten(structure, given),
                    rf"{path} is {message}, expected an array",
                )


@each("row", having("params"))
def test_parameters_of_another_kind_are_refused(row):
    call = row.hardest()
    for wrong in ((1.0, 2.0), np.zeros((2, 2))):
        kind = type(wrong).__name__
        refused(
            call, (wrong, *call.inputs()[1:]), rf"params is a {kind}, expected \w+ with fields .*"
        )


@each("row", having("mask"))
def test_masks_are_boolean_and_of_the_right_size(row):
    call = masked(row)
    t, s = call.sizes["t"], call.sizes["s"]
    bias = r"; pass an additive mask as bias, where 0 keeps a key and -inf hides it; .*"
    for mask, message in (
        (np.zeros((t, s)), rf"mask has dtype float64, expected bool{bias}"),
        (np.zeros((t, s), np.float32), rf"mask has dtype float32, expected bool{bias}"),
        (np.ones((t, s), int), r"mask has dtype int64, expected bool; pass .* mask.astype\(bool\)"),
        ([[True] * s] * t, "mask is a list, expected an array"),
        (np.ones((t + 1, s), bool), rf"mask has shape .*, expected \(t, s\){SOURCES}"),
        (np.ones((t, s + 1), bool), rf"mask has shape .*, expected \(t, s\){SOURCES}"),
        (np.ones((1, s), bool), rf"mask has shape .*, expected \(t, s\){SOURCES}"),
        (np.ones(s, bool), rf"mask has shape .*, expected \(t, s\){SOURCES}"),
        (masks.dense(np.ones((t, s + 1), bool)), rf"mask has shape .*{SOURCES}"),
        (masks.segments(np.zeros(t, int)), rf"mask has shape .*{SOURCES}"),
    ):
        refused(with_options(call, mask=mask), call.inputs(), message)


def test_tokens_are_whole_numbers():
    params = jattn.EmbeddingParams(np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"^embedding: tokens has dtype float64, expected an int"):
        jattn.embedding(params, np.zeros(4))


def test_the_message_says_function_argument_shape_and_where_the_size_came_from():
    query, key, value = np.zeros((3, 7)), np.zeros((5, 11)), np.zeros((6, 13))
    params = jattn.AdditiveParams(np.zeros((2, 7)), np.zeros((2, 11)), np.zeros(2))
    message = "additive_attention: value has shape (6, 13), expected (s, v) with s=5 (from key)"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        jattn.additive_attention(params, query, key, value)
    wrong = params._replace(key_weight=np.zeros((3, 11)))
    message = (
        "additive_attention: params.key_weight has shape (3, 11), expected (p, k)"
        " with p=2 (from params.query_weight)"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        jattn.additive_attention(wrong, query, key, value[:5])


def test_mistakes_are_named_under_jit_and_vmap_too():
    query, key, value = np.zeros((2, 3, 7)), np.zeros((2, 5, 7)), np.zeros((2, 6, 13))
    with pytest.raises(ValueError, match=r"^dot_attention: value has shape \(6, 13\)"):
        jax.jit(jax.vmap(jattn.dot_attention))(query, key, value)


def traced(function):
    """`function` of a number that is not known before the run."""
    return lambda: jax.eval_shape(function, 1)


RNG = jax.random.key(0)
UNITS = {"input_size": 3, "units": 2}
EIGHT = np.ones((5, 3), jax.numpy.float8_e5m2)
SEQUENCE = np.ones((5, 2))
SLOPES = jattn.biases.alibi(jattn.biases.alibi_slopes(2))
CACHE = jattn.init_cache(capacity=5, key_value_heads=1, key_size=2)
OPTIONS = {
    "init_gru: units is 2.5, expected an integer": lambda: jattn.init_gru(
        RNG, input_size=3, units=2.5
    ),
    "init_gru: rng is int, expected a key of jax.random.key": lambda: jattn.init_gru(0, **UNITS),
    "init_gru: input_size is traced, expected an integer that is known before the run": traced(
        lambda size: jattn.init_gru(RNG, input_size=size, units=2)
    ),
    "init_affine: bias is 'no', expected True or False": lambda: jattn.init_affine(
        RNG, input_size=3, output_size=2, bias="no"
    ),
    "dot_attention: normalizer is 'softmax', expected a function": lambda: jattn.dot_attention(
        SEQUENCE, SEQUENCE, SEQUENCE, normalizer="softmax"
    ),
    "dot_attention: normalizer is relu(x), expected a function of 2 arguments, of which number 2": (
        lambda: jattn.dot_attention(SEQUENCE, SEQUENCE, SEQUENCE, normalizer=jax.nn.relu)
    ),
    "dot_attention: normalizer is softmax(x, axis=-1, where=None), expected a function of 2": (
        lambda: jattn.dot_attention(SEQUENCE, SEQUENCE, SEQUENCE, normalizer=jax.nn.softmax)
    ),
    "attend: normalizer returned NoneType, expected (": lambda: jattn.dot_attention(
        SEQUENCE, SEQUENCE, SEQUENCE, normalizer=lambda scores, mask: None
    ),
    "scaled_dot_product_attention: scale is inf, expected a finite number": (
        lambda: jattn.scaled_dot_product_attention(SEQUENCE, SEQUENCE, SEQUENCE, scale=np.inf)
    ),
    "dot_attention: query has dtype float8_e5m2, expected a floating-point dtype of at least 16": (
        lambda: jattn.dot_attention(EIGHT, EIGHT, EIGHT)
    ),
    "dropout: rate is traced": traced(lambda rate: jattn.dropout(RNG, SEQUENCE, rate)),
    "rotary: base is traced": traced(
        lambda base: jattn.rotary(SEQUENCE, np.arange(5), base=base * 1.0)
    ),
    "alibi_slopes: heads is 2.5, expected an integer": lambda: jattn.biases.alibi_slopes(2.5),
    "in_chunks: chunk_size is '2', expected an integer": lambda: jattn.in_chunks(
        jattn.dot_attention, "2"
    ),
    "attend_to_cache: cache is a dict, expected a KeyValueCache": lambda: jattn.attend_to_cache(
        SEQUENCE[:, None], {}
    ),
    "attend_to_cache: scale is 'a', expected a number": lambda: jattn.attend_to_cache(
        SEQUENCE[:, None], CACHE, scale="a"
    ),
    "extend_cache: lengths has dtype float64, expected an integer dtype": (
        lambda: jattn.extend_cache(CACHE, *(CACHE.key.swapaxes(0, 1),) * 2, lengths=2.0)
    ),
    "transformer_start: capacity is -1, expected at least 0": lambda: jattn.transformer_start(
        jattn.TransformerDecoderParams(()), jattn.TransformerMemory((), (), None), capacity=-1
    ),
    "beam_search: length_penalty is nan, expected a finite number": lambda: jattn.beam_search(
        lambda state, token: (np.zeros(3), state),
        None,
        start=0,
        stop=0,
        max_steps=2,
        beam_size=1,
        length_penalty=np.nan,
    ),
    "layer_norm: epsilon is nan, expected a finite number of at least 0": lambda: jattn.layer_norm(
        jattn.init_layer_norm(size=2), SEQUENCE, epsilon=np.nan
    ),
    "init_multi_head: query_size is 2, expected at least 1 for each of 3 heads": (
        lambda: jattn.init_multi_head(RNG, query_size=2, heads=3)
    ),
    "init_cache: batch is -1, expected at least 0": lambda: jattn.init_cache(
        *(3, -1), capacity=5, key_value_heads=1, key_size=2
    ),
    "sinusoidal_positions: base is nan, expected a finite number above 0": (
        lambda: jattn.sinusoidal_positions(2, 3, base=np.nan)
    ),
    "rotary: base is 0, expected a finite number above 0": lambda: jattn.rotary(
        SEQUENCE, np.arange(5), base=0
    ),
}


@pytest.mark.parametrize("message", OPTIONS)
def test_options_of_another_kind_are_refused_by_name(message):
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        OPTIONS[message]()


WITH_SIZES = [
    function
    for package in (jattn, jattn.alignment, jattn.biases, jattn.images, jattn.linear)
    for name, function in vars(package).items()
    if name.startswith("init_")
]
NO_SIZES = {"rng": RNG, "init_cell": jattn.init_gru}
WITH_SIZES += [jattn.sinusoidal_positions, jattn.half_split_sinusoidal_positions]


@pytest.mark.parametrize("function", WITH_SIZES, ids=lambda function: function.__name__)
def test_sizes_and_dtypes_are_refused_by_name(function):
    """Of all functions that draw weights or make arrays: each size, and what is no dtype."""
    hints = get_type_hints(function, include_extras=True)
    arguments = inspect.signature(function).parameters
    given = {
        n: 2 for n, p in arguments.items() if p.default is p.empty and p.kind != p.VAR_POSITIONAL
    }
    given |= {name: one for name, one in NO_SIZES.items() if name in given}
    function(**given)
    mistakes = [("dtype", wrong, "a floating-point dtype") for wrong in (int, "text", complex)]
    for argument in arguments:
        (least,) = {Size: [1], Count: [0], Length: [0]}.get(hints[argument], [None])
        least = 1 if Size in get_args(hints[argument]) else least
        if least is not None and argument != "batch":
            mistakes.append((argument, least - 1, f"at least {least}"))
            mistakes.append((argument, 1.5, "an integer"))
    tried = {argument for argument, *_ in mistakes}
    assert tried >= (given.keys() - NO_SIZES) | {"dtype"}  # Guards the guard.
    for argument, wrong, expected in mistakes:
        said = str(np.dtype(wrong)) if isinstance(wrong, type) else repr(wrong)
        message = re.escape(f"{function.__name__}: {argument} is {said}, expected {expected}")
        with pytest.raises(ValueError, match=f"^{message}"):
            function(**{**given, argument: wrong})


WEIGHT = np.ones((3, 2))
PROBABILITIES = lambda state, token: (np.zeros(3), state)
GRU = jattn.init_gru(RNG, input_size=2, units=2)
SRU = jattn.init_sru(RNG, input_size=2, units=2)
ENCODER = jattn.init_encoder(RNG, words=5, embedding_size=3, units=2)
ADDITIVE = jattn.init_additive(RNG, query_size=2, key_size=2, units=3)
DECODER = {"words": 3, "embedding_size": 2, "units": 2, "value_size": 2, "summary_size": 2}
BAHDANAU = jattn.init_bahdanau_decoder(RNG, attention=ADDITIVE, **DECODER)
LUONG = jattn.init_luong_decoder(RNG, attention=ADDITIVE, **DECODER)
MEMORY = jattn.encode(ENCODER, np.array([1, 2, 3]))
HEADS = jattn.init_multi_head(RNG, heads=1, query_size=2)
BATCHED: Any = np.random.default_rng(0).standard_normal((1, 5, 1, 2))
TRANSFORMER_XL = jattn.init_transformer_xl(RNG, key_size=2, features=4)
SHAW = jattn.init_shaw(RNG, key_size=2, value_size=2, limit=1)
EMPTY = jattn.init_cache(1, capacity=8, key_value_heads=1, key_size=2)


def attend_in_chunks(size):
    return jattn.in_chunks(jattn.dot_attention, size)(SEQUENCE, SEQUENCE, SEQUENCE)


def search(search, **options):
    options = {"start": 1, "stop": 0, "max_steps": 2} | options
    return search(PROBABILITIES, None, **options)


def attend_batched(**options):
    return jattn.dot_product_attention(BATCHED, BATCHED, BATCHED, **options)


# Of each argument of integers: its name, a value, and a call with it.
INTEGERS = {
    "embedding": ("tokens", [1, 2], lambda x: jattn.embedding(jattn.EmbeddingParams(WEIGHT), x)),
    "embedding of one": (
        *("tokens", 2),
        lambda x: jattn.embedding(jattn.EmbeddingParams(WEIGHT), x),
    ),
    "encode": ("tokens", [1, 2], lambda x: jattn.encode(ENCODER, x)),
    "encode length": ("length", 2, lambda x: jattn.encode(ENCODER, np.arange(3), length=x)),
    "gru": ("length", 2, lambda x: jattn.gru(GRU, SEQUENCE, length=x)),
    "bahdanau_decode": (
        *("tokens", [1, 2]),
        lambda x: jattn.bahdanau_decode(BAHDANAU, MEMORY, x),
    ),
    "luong_decode": ("tokens", [1, 2], lambda x: jattn.luong_decode(LUONG, MEMORY, x)),
    "local_monotonic_attention": (
        *("offset", 2),
        lambda x: jattn.local_monotonic_attention(
            SEQUENCE, SEQUENCE, SEQUENCE, half_width=1, offset=x
        ),
    ),
    "multi_head_attention": (
        *("query_offset", 2),
        lambda x: jattn.multi_head_attention(
            HEADS, SEQUENCE, SEQUENCE, SEQUENCE, turn=jattn.rotary, query_offset=x
        ),
    ),
    "forgetting_bias": ("offset", 2, lambda x: jattn.forgetting_bias(SEQUENCE[:, 0], offset=x)),
    "shaw_attention": (
        *("offset", 2),
        lambda x: jattn.shaw_attention(SHAW, SEQUENCE, SEQUENCE, SEQUENCE, offset=x),
    ),
    "transformer_xl_attention": (
        *("offset", 2),
        lambda x: jattn.transformer_xl_attention(
            TRANSFORMER_XL, SEQUENCE, SEQUENCE, SEQUENCE, offset=x
        ),
    ),
    "rotary": ("positions", [0, 1, 2, 3, 4], lambda x: jattn.rotary(SEQUENCE, x)),
    "sinusoidal_positions": ("offset", 2, lambda x: jattn.sinusoidal_positions(3, 4, offset=x)),
    "dense": ("offset", 2, lambda x: SLOPES.dense(3, 4, offset=x)),
    "dot_product_attention": (
        *("key_value_seq_lengths", [2]),
        lambda x: attend_batched(key_value_seq_lengths=x),
    ),
    "dot_product_attention of some": (
        *("query_seq_lengths", [2]),
        lambda x: attend_batched(query_seq_lengths=x),
    ),
    "dot_product_attention from": (
        *("query_offset", 2),
        lambda x: attend_batched(query_offset=x, is_causal=True),
    ),
    "dot_product_attention near": (
        *("local_window_size", 2),
        lambda x: attend_batched(local_window_size=x),
    ),
    "dot_product_attention by": ("chunk_size", 2, lambda x: attend_batched(chunk_size=x)),
    "extend_cache": (
        *("lengths", [2]),
        lambda x: jattn.extend_cache(EMPTY, BATCHED, BATCHED, lengths=x).length,
    ),
    "attend_to_cache": (
        *("query_offset", 2),
        lambda x: jattn.attend_to_cache(BATCHED[:, :2], EMPTY, query_offset=x),
    ),
    "beam_search": ("beam_size", 2, lambda x: search(jattn.beam_search, beam_size=x)),
    "greedy_search": ("stop", 2, lambda x: search(jattn.greedy_search, stop=x)),
    "in_chunks": ("chunk_size", 2, attend_in_chunks),
    "masks.causal": ("offset", 2, lambda x: masks.causal(x).dense(3, 4)),
    "masks.lengths": ("key_lengths", 2, lambda x: masks.lengths(x, x).dense(3, 4)),
    "masks.segments": ("query_ids", [1, 2, 1], lambda x: masks.segments(x).dense(3, 3)),
    "masks.blocks": ("size", 2, lambda x: masks.blocks(x, x).dense(3, 4)),
}


@pytest.mark.parametrize("name", INTEGERS)
def test_integers_of_any_dtype_are_the_same_number(name):
    _, number, call = INTEGERS[name]
    expected = call(np.asarray(number))
    for array in (np.asarray, jax.numpy.asarray):
        given = array(np.asarray(number, "uint8"))
        assert_trees_are_equal(call(given), expected)


def assert_trees_are_equal(actual, expected):
    for got, wanted in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("name", INTEGERS)
def test_booleans_and_fractions_are_no_integers(name):
    argument, number, call = INTEGERS[name]
    function = name.partition(" ")[0]
    wrong = [np.asarray(number, bool)]
    if name != "rotary":  # Positions may be fractional.
        wrong += [np.asarray(number, float), np.asarray(number) + 0.5]
    if not np.ndim(number):
        wrong += [True, 2.0]
    for value in wrong:
        with pytest.raises(
            ValueError, match=rf"^{function}: .*\b{argument}\b.* expected .*integer"
        ):
            call(value)


def of_encoder(function, option, **options):
    """A call of an encoder's block or stack with one option."""
    sizes = {"size": 2, "heads": 1, "hidden_size": 3}
    params = {
        "encoder_block": lambda: jattn.init_encoder_block(RNG, **sizes),
        "transformer_encoder": lambda: jattn.init_transformer_encoder(RNG, layers=1, **sizes),
    }[function]()
    return getattr(jattn, function)(params, SEQUENCE, **option, **options)


def of_decoder(function, option, **options):
    """A call of a decoder's block or stack with one option."""
    sizes = {"size": 2, "heads": 1, "hidden_size": 3}
    params = {
        "decoder_block": lambda: jattn.init_decoder_block(RNG, **sizes),
        "transformer_xl_attention": lambda option: jattn.transformer_xl_attention(
            TRANSFORMER_XL, SEQUENCE, SEQUENCE, SEQUENCE, **option
        ),
        "transformer_decoder": lambda: jattn.init_transformer_decoder(RNG, layers=1, **sizes),
    }[function]()
    return getattr(jattn, function)(params, SEQUENCE, SEQUENCE, **option, **options)


def of_causal_stack(option):
    params = jattn.init_transformer_encoder(RNG, layers=1, size=2, heads=1, hidden_size=3)
    caches = [jattn.init_cache(capacity=5, key_value_heads=1, key_size=2)]
    attend = jattn.engine.attend_with_cache
    return jattn.causal_decode(params, caches, SEQUENCE, attend=attend, **option)


def of_step(option):
    params = jattn.init_transformer_decoder(RNG, layers=1, size=2, heads=1, hidden_size=3)
    memory = jattn.transformer_memory(params, SEQUENCE)
    state = jattn.transformer_start(params, memory, capacity=2)
    return jattn.transformer_step(params, state, SEQUENCE[0], memory, **option)


DIFFERENTIAL = jattn.init_differential(RNG, heads=1, query_size=2, head_size=2)
LATENT = jattn.init_latent(
    RNG,
    heads=1,
    size=2,
    head_size=2,
    rotary_size=2,
    query_latent_size=2,
    key_latent_size=2,
)
LAYERS = jattn.init_stacked_gru(RNG, input_size=2, units=2, layers=2)
LAYER_NORM, RMS_NORM = jattn.init_layer_norm(size=2), jattn.init_rms_norm(size=2)
FREQUENCIES = np.array([1.0, 0.1, 0.01])
# Of each function with a number among its options, a call with one of them.
NUMBERS = {
    "attend_to_cache": lambda option: jattn.attend_to_cache(SEQUENCE[:, None], CACHE, **option),
    "bahdanau_decode": lambda option: jattn.bahdanau_decode(
        BAHDANAU, MEMORY, np.arange(2), rng=RNG, **option
    ),
    "beam_search": lambda option: search(jattn.beam_search, beam_size=2, **option),
    "by_parts_frequencies": lambda option: jattn.by_parts_frequencies(
        FREQUENCIES, **{"factor": 4.0, "length": 8.0, **option}
    ),
    "causal_decode": lambda option: of_causal_stack(option),
    "clip_latent_query_key": lambda option: jattn.clip_latent_query_key(
        LATENT, np.ones(1), **option
    ),
    "clip_query_key": lambda option: jattn.clip_query_key(HEADS, np.ones(1), **option),
    "decoder_block": lambda option: of_decoder("decoder_block", option, rng=RNG),
    "absorbed_latent_attention": lambda option: jattn.absorbed_latent_attention(
        LATENT, SEQUENCE, *jattn.latent_memory(LATENT, SEQUENCE), **option
    ),
    "differential_attention": lambda option: jattn.differential_attention(
        DIFFERENTIAL, SEQUENCE, SEQUENCE, SEQUENCE, **option
    ),
    "dot_product_attention": lambda option: attend_batched(**option),
    "dropout": lambda option: jattn.dropout(RNG, SEQUENCE, **option),
    "dynamic_graph_attention": lambda option: jattn.dynamic_graph_attention(
        jattn.init_dynamic_graph(RNG, query_size=2, key_size=2, units=3),
        *(SEQUENCE, SEQUENCE, SEQUENCE),
        **option,
    ),
    "dustbin_sinkhorn": lambda option: jattn.dustbin_sinkhorn(SEQUENCE, **option),
    "encode": lambda option: jattn.encode(ENCODER, np.arange(2), rng=RNG, **option),
    "encoder_block": lambda option: of_encoder("encoder_block", option, rng=RNG),
    "entmax": lambda option: jattn.entmax(SEQUENCE, **option),
    "flex_attention": lambda option: jattn.flex_attention(
        *(SEQUENCE[None, :, None],) * 3, dropout_rng=RNG, **option
    ),
    "gated_attention": lambda option: jattn.gated_attention(
        jattn.GatedParams(HEADS, WEIGHT[None, :2]), SEQUENCE, SEQUENCE, SEQUENCE, **option
    ),
    "graph_attention": lambda option: jattn.graph_attention(
        jattn.init_graph(RNG, size=2, units=3), SEQUENCE, SEQUENCE, SEQUENCE, **option
    ),
    "half_split_rotary": lambda option: jattn.half_split_rotary(SEQUENCE, np.arange(5), **option),
    "latent_attention": lambda option: jattn.latent_attention(LATENT, SEQUENCE, SEQUENCE, **option),
    "half_split_sinusoidal_positions": lambda option: jattn.half_split_sinusoidal_positions(
        3, 4, **option
    ),
    "hopfield_attention": lambda option: jattn.hopfield_attention(
        SEQUENCE, SEQUENCE, SEQUENCE, **option
    ),
    "interpolated_frequencies": lambda option: jattn.interpolated_frequencies(
        FREQUENCIES, **option
    ),
    "laser_attention": lambda option: jattn.laser_attention(SEQUENCE, SEQUENCE, SEQUENCE, **option),
    "linformer_attention": lambda option: jattn.linformer_attention(
        SEQUENCE, SEQUENCE, SEQUENCE, np.eye(5), **option
    ),
    "nystrom_attention": lambda option: jattn.nystrom_attention(
        SEQUENCE, SEQUENCE, SEQUENCE, **{"landmarks": 2, **option}
    ),
    "init_lstm": lambda option: jattn.init_lstm(RNG, input_size=2, units=2, **option),
    "layer_norm_gru_cell": lambda option: jattn.layer_norm_gru_cell(
        jattn.init_layer_norm_gru(RNG, input_size=2, units=2), SEQUENCE[0], SEQUENCE[0], **option
    ),
    "layer_norm": lambda option: jattn.layer_norm(LAYER_NORM, SEQUENCE, **option),
    "luong_decode": lambda option: jattn.luong_decode(
        LUONG, MEMORY, np.arange(2), rng=RNG, **option
    ),
    "multi_head_attention": lambda option: jattn.multi_head_attention(
        HEADS, SEQUENCE, SEQUENCE, SEQUENCE, dropout_rng=RNG, **option
    ),
    "multi_axis_rotary": lambda option: jattn.multi_axis_rotary(
        SEQUENCE, np.zeros((5, 1), int), axis_of_pair=np.zeros(1, int), **option
    ),
    "ntk_frequencies": lambda option: jattn.ntk_frequencies(FREQUENCIES, **option),
    "rms_norm": lambda option: jattn.rms_norm(RMS_NORM, SEQUENCE, **option),
    "rotary": lambda option: jattn.rotary(SEQUENCE, np.arange(5), **option),
    "rotary_frequencies": lambda option: jattn.rotary_frequencies(4, **option),
    "sample": lambda option: search(jattn.sample, rng=RNG, **option),
    "scalable_softmax": lambda option: jattn.scalable_softmax(SEQUENCE, **option),
    "scaled_dot_product_attention": lambda option: jattn.scaled_dot_product_attention(
        SEQUENCE, SEQUENCE, SEQUENCE, **option
    ),
    "sinusoidal_positions": lambda option: jattn.sinusoidal_positions(3, 4, **option),
    "slot_attention": lambda option: jattn.slot_attention(SEQUENCE, SEQUENCE, SEQUENCE, **option),
    "softpick": lambda option: jattn.softpick(SEQUENCE, **option),
    "sru": lambda option: jattn.sru(SRU, SEQUENCE, **option),
    "sru_cell": lambda option: jattn.sru_cell(SRU, SRU.zero_state(), SEQUENCE[0], **option),
    "stacked": lambda option: jattn.stacked(jattn.gru_cell, LAYERS, SEQUENCE, rng=RNG, **option),
    "stacked_gru": lambda option: jattn.stacked_gru(LAYERS, SEQUENCE, rng=RNG, **option),
    "talking_heads_attention": lambda option: jattn.talking_heads_attention(
        jattn.init_talking_heads(RNG, heads=1, query_size=2, head_size=2),
        *(SEQUENCE, SEQUENCE, SEQUENCE),
        **option,
    ),
    "slot_softmax": lambda option: jattn.slot_softmax(SEQUENCE, **option),
    "transformer_xl_attention": lambda option: jattn.transformer_xl_attention(
        TRANSFORMER_XL, SEQUENCE, SEQUENCE, SEQUENCE, **option
    ),
    "transformer_decoder": lambda option: of_decoder("transformer_decoder", option, rng=RNG),
    "transformer_encoder": lambda option: of_encoder("transformer_encoder", option, rng=RNG),
    "transformer_step": of_step,
    "value_residual_attention": lambda option: jattn.value_residual_attention(
        jattn.init_value_residual(RNG, heads=1, query_size=2),
        *(SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE[:, None]),
        **option,
    ),
    "xpos": lambda option: jattn.xpos(SEQUENCE, np.arange(5), **option),
    "yarn_attention_factor": lambda option: jattn.yarn_attention_factor(
        **{"factor": 2.0, **option}
    ),
    "yarn_frequencies": lambda option: jattn.yarn_frequencies(
        FREQUENCIES, **{"factor": 4.0, "length": 8.0, **option}
    ),
}


def numbers_of(function):
    """The options of a public function whose annotation names a float."""
    return [
        name
        for name, hint in get_type_hints(function).items()
        if name != "return" and float in (hint, *get_args(hint))
    ]


def test_every_function_with_a_number_is_in_the_table():
    functions = {name: exported for name, exported in vars(jattn).items() if callable(exported)}
    assert {
        name
        for name, function in functions.items()
        if inspect.isfunction(function) and numbers_of(function)
    } == set(NUMBERS)


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_are_finite(name):
    for argument in numbers_of(getattr(jattn, name)):
        for wrong in (np.inf, -np.inf, np.nan, np.float32(np.inf)):
            message = rf"^{name}: {argument} is -?(inf|nan), expected "
            with pytest.raises(ValueError, match=message):
                NUMBERS[name]({argument: wrong})


def test_arrays_of_one_number_are_finite_too():
    for scale in (np.asarray(np.inf), jax.numpy.asarray(np.nan)):
        with pytest.raises(ValueError, match=r"scale is (inf|nan), expected a finite number"):
            attend_batched(scale=scale)
    for cap in (0.0, -1.0):
        with pytest.raises(ValueError, match=f"cap is {cap}, expected a finite number above 0"):
            attend_batched(logits_soft_cap=cap)


def test_arguments_that_a_function_does_not_have_are_named():
    query, untyped = SEQUENCE, cast(Any, jattn.dot_attention)
    expected = "expected query, key, value, mask, bias, normalizer"
    for message, call in {
        f"unexpected argument temperature, {expected}": lambda: untyped(
            query, query, query, temperature=2.0
        ),
        f"missing a required argument: 'value', {expected}": lambda: untyped(query, query),
        f"too many positional arguments, {expected}": lambda: jattn.dot_attention(*([query] * 4)),
    }.items():
        for kind in (ValueError, TypeError):
            with pytest.raises(kind, match=f"^dot_attention: {message}$"):
                call()


def test_parameters_of_another_function_are_refused_by_name():
    """Also where the fields that are read would be there."""
    for wrong, given in (
        (None, "None"),
        ({"scale": np.ones(2)}, "a dict"),
        (jattn.init_layer_norm(size=2), "a LayerNormParams"),
    ):
        message = f"^rms_norm: params is {given}, expected RMSNormParams with fields scale$"
        with pytest.raises(ValueError, match=message):
            jattn.rms_norm(wrong, SEQUENCE)
    block = jattn.init_encoder_block(RNG, size=2, heads=1, hidden_size=3)
    wrong = block._replace(feed_forward=block.attention)
    message = "^encoder_block: params.feed_forward.output_weight has shape "
    with pytest.raises(ValueError, match=message):
        jattn.encoder_block(wrong, SEQUENCE)


class OfAnotherLibrary:
    """An array whose dtype NumPy does not know."""

    shape, ndim, dtype = (5, 2), 2, "another.float32"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (OfAnotherLibrary(), "is a test_axes.OfAnotherLibrary, expected an array of NumPy or JAX"),
        (SEQUENCE.astype(">f4"), "has dtype >f4, expected the byte order of this machine"),
        (np.ma.masked_array(SEQUENCE), "is a masked array of NumPy, expected a plain array"),
        (SEQUENCE.astype(np.longdouble), f"has dtype {np.dtype(np.longdouble)}, expected a fl"),
        (jax.ShapeDtypeStruct((5, 2), "float32"), "is a ShapeDtypeStruct, expected an array with"),
        (SEQUENCE.astype(jax.numpy.float8_e5m2), "has dtype float8_e5m2, expected .* 16 bits"),
    ],
)
def test_arrays_that_jax_does_not_compute_with_are_refused(wrong, message):
    calls = {
        "dot_attention": lambda: jattn.dot_attention(wrong, SEQUENCE, SEQUENCE),
        "affine": lambda: jattn.affine(jattn.AffineParams(wrong), SEQUENCE),
    }
    if hasattr(wrong, "__getitem__"):
        batched = wrong[None, :, None]
        calls["dot_product_attention"] = lambda: attend_batched(bias=wrong[None, :, :1])
        calls["attend_to_cache"] = lambda: jattn.attend_to_cache(batched, EMPTY)
    for name, call in calls.items():
        with pytest.raises(ValueError, match=rf"^{name}: [\w.]+ {message}"):
            call()


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_a_mask_of_zeros_and_ones_is_said_to_be_one(dtype):
    """A bias of 0 and 1 would hide nothing, in silence."""
    mask = np.eye(5).astype(dtype)
    for call in (
        lambda mask: jattn.dot_attention(SEQUENCE, SEQUENCE, SEQUENCE, mask=mask),
        lambda mask: attend_batched(mask=mask),
        masks.dense,
    ):
        with pytest.raises(ValueError, match=r"mask\.astype\(bool\)") as caught:
            call(mask)
        assert "bias" not in str(caught.value) or "a bias of 0 hides nothing" in str(caught.value)


INITS = [function for function in WITH_SIZES if function.__name__.startswith("init_")]


@pytest.mark.parametrize("function", INITS, ids=lambda function: function.__name__)
def test_D1_parameters_are_drawn_in_every_dtype(function):
    """And are finite in the one that ends first."""
    parameters = inspect.signature(function).parameters.values()
    required = [p.name for p in parameters if p.default is p.empty and p.kind != p.VAR_POSITIONAL]
    sizes = {argument: NO_SIZES.get(argument, 3) for argument in required}
    floats = lambda tree: [
        x for x in jax.tree.leaves(tree) if jax.numpy.issubdtype(x.dtype, jax.numpy.floating)
    ]
    for dtype in ("bfloat16", "float16", "float32", "float64"):
        draw = functools.partial(function, **sizes, dtype=dtype)
        assert {x.dtype.name for x in floats(jax.eval_shape(draw))} == {dtype}
    drawn = jax.jit(functools.partial(function, **sizes, dtype="float16"))()
    assert all(np.isfinite(np.asarray(x, float)).all() for x in floats(drawn))
