# pyright: reportArgumentType=false, reportOperatorIssue=false
"""Every mistake in an argument of a public function is a ValueError that says what and where."""

import inspect
import re
from collections import Counter
from typing import get_args, get_type_hints

import jax
import numpy as np
import pytest
from compiled import change, each, having, leaves_of, masked, with_options

import jattn
from jattn import masks
from jattn._axes import forms_of_arguments
from jattn._options import Count, Size

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
    uses = Counter(part for leaf in leaves for axis in leaf.axes for part in axis.split("+"))
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
        refused(call, (wrong, *call.inputs()[1:]), rf"params is a {kind}, expected fields .*")


@each("row", having("mask"))
def test_masks_are_boolean_and_of_the_right_size(row):
    call = masked(row)
    t, s = call.sizes["t"], call.sizes["s"]
    bias = r"; pass an additive mask as bias"
    for mask, message in (
        (np.zeros((t, s)), rf"mask has dtype float64, expected bool{bias}"),
        (np.zeros((t, s), np.float32), rf"mask has dtype float32, expected bool{bias}"),
        (np.ones((t, s), int), "mask has dtype int64, expected bool"),
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
CACHE = jattn.init_cache(capacity=5, key_value_heads=1, key_size=2)
OPTIONS = {
    "init_gru: units is 2.5, expected an integer": lambda: jattn.init_gru(
        RNG, input_size=3, units=2.5
    ),
    "init_gru: rng is int, expected a key of jax.random.key": lambda: jattn.init_gru(0, **UNITS),
    "init_gru: input_size is traced, expected an integer that is known before the run": traced(
        lambda size: jattn.init_gru(RNG, input_size=size, units=2)
    ),
    "init_linear: bias is 'no', expected True or False": lambda: jattn.init_linear(
        RNG, input_size=3, output_size=2, bias="no"
    ),
    "dot_attention: normalizer is 'softmax', expected a function": lambda: jattn.dot_attention(
        SEQUENCE, SEQUENCE, SEQUENCE, normalizer="softmax"
    ),
    "dot_attention: query has dtype float8_e5m2, expected a floating-point dtype of at least 16": (
        lambda: jattn.dot_attention(EIGHT, EIGHT, EIGHT)
    ),
    "dropout: rate is traced": traced(lambda rate: jattn.dropout(RNG, SEQUENCE, rate)),
    "rotary: base is traced": traced(
        lambda base: jattn.rotary(SEQUENCE, np.arange(5), base=base * 1.0)
    ),
    "alibi_bias: heads is 2.5, expected an integer": lambda: jattn.alibi_bias(2.5, 3, 3),
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
    "layer_norm: epsilon is nan, expected at least 0": lambda: jattn.layer_norm(
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


WITH_SIZES = [name for name in dir(jattn) if name.startswith("init_")]
WITH_SIZES += ["alibi_bias", "sinusoidal_positions"]


@pytest.mark.parametrize("name", WITH_SIZES)
def test_sizes_and_dtypes_are_refused_by_name(name):
    """Of all functions that draw weights or make arrays: each size, and what is no dtype."""
    function = getattr(jattn, name)
    hints = get_type_hints(function, include_extras=True)
    arguments = inspect.signature(function).parameters
    given = {
        n: 2 for n, p in arguments.items() if p.default is p.empty and p.kind != p.VAR_POSITIONAL
    }
    given |= {"rng": RNG} if "rng" in given else {}
    function(**given)
    mistakes = [("dtype", wrong, "a floating-point dtype") for wrong in (int, "text", complex)]
    for argument in arguments:
        (least,) = {Size: [1], Count: [0]}.get(hints[argument], [None])
        least = 1 if Size in get_args(hints[argument]) else least
        if least is not None and argument != "batch":
            mistakes.append((argument, least - 1, f"at least {least}"))
            mistakes.append((argument, 1.5, "an integer"))
    tried = {argument for argument, *_ in mistakes}
    assert tried >= (given.keys() - {"rng"}) | {"dtype"}  # Guards the guard.
    for argument, wrong, expected in mistakes:
        message = re.escape(f"{name}: {argument} is {wrong!r}, expected {expected}")
        with pytest.raises(ValueError, match=f"^{message}"):
            function(**{**given, argument: wrong})
