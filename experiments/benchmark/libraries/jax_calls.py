"""Functions of JAX, compiled ahead of the first call, with or without their gradient."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from experiments.benchmark.inputs import Arrays
from experiments.benchmark.masks import dense, dense_unless_causal, only_causal
from experiments.benchmark.prepared import Prepared, Result, gradients
from experiments.benchmark.rows import FORWARD, Row
from jattn import convert

Function = Callable[..., Any]


def same(arrays: Any) -> Any:
    return arrays


def prepared(
    function: Function,
    arrays: Arrays,
    fixed: Any,
    cotangent: Any,
    direction: str,
    *,
    native: Function = same,
    undone: Function = same,
    named: Callable[[Arrays], Result] = gradients,
    held: int = 0,
) -> Prepared:
    """Runs `function(native(arrays), fixed)`, and its gradient with respect to `native(arrays)`.

    `native` is the library's own form of the arrays: it is made before any clock starts, and
    `undone`, its inverse, gives gradients the form of `arrays` after. `named` names them.
    """
    own, fixed, cotangent = jax.device_put((native(arrays), fixed, cotangent))
    own = jax.block_until_ready(own)

    def with_gradient(own, fixed, cotangent):
        output, pullback = jax.vjp(lambda own: function(own, fixed), own)
        return output, pullback(cotangent)[0]

    forward = direction == FORWARD
    arguments = (own, fixed) if forward else (own, fixed, cotangent)
    compiled = []

    def compile():
        compiled.append(jax.jit(function if forward else with_gradient).lower(*arguments).compile())

    def result(returned):
        if forward:
            return {"output": np.asarray(returned)}
        output, slope = returned
        return {"output": np.asarray(output), **named(undone(slope))}

    return Prepared(
        lambda: jax.block_until_ready(compiled[0](*arguments)), result, compile, held=held
    )


def attention(
    function: Function,
    row: Row,
    inputs: Arrays,
    direction: str,
    *,
    keeps_causal: bool = True,
    native: Function = same,
) -> Prepared:
    """Prepares a function of `query, key, value, bias=, mask=` and, optionally, `is_causal=`.

    The mask is Boolean, `b h t s`, and is made before any clock starts. `native` undoes itself.
    """
    arrays = differentiated(inputs)
    mask = (dense_unless_causal if keeps_causal else dense)(row, inputs)
    mask = None if mask is None else mask[:, None]
    options: dict[str, Any] = {"is_causal": only_causal(row)} if keeps_causal else {}

    def called(arrays, mask):
        bias = arrays.get("bias")
        given = dict(options) if bias is None else {"bias": bias, **options}
        return function(arrays["query"], arrays["key"], arrays["value"], mask=mask, **given)

    return prepared(
        called, arrays, mask, inputs["cotangent"], direction, native=native, undone=native,
        held=0 if mask is None else mask.nbytes,
    )  # fmt: skip


def differentiated(inputs: Arrays) -> Arrays:
    names = ("query", "key", "value", "bias")
    return {name: inputs[name] for name in names if name in inputs}


def gru(
    function: Function, row: Row, inputs: Arrays, direction: str, *, library: str | None = None
) -> Prepared:
    """Prepares a function of `params, inputs, initial, lengths` with params of `library`.

    Where there are lengths there is no initial state: both then are None in turn.
    """
    names = [name for name in ("params", "inputs", "initial") if name in inputs]
    arrays = {name: inputs[name] for name in names}

    def changed(way):
        one = getattr(convert, f"gru_{way}_{library}") if library else same
        return lambda arrays: {**arrays, "params": tuple(map(one, arrays["params"]))}

    def called(arrays, lengths):
        return function(arrays["params"], arrays["inputs"], arrays.get("initial"), lengths)

    return prepared(
        called, arrays, inputs.get("lengths"), inputs["cotangent"], direction,
        native=changed("to"), undone=changed("from"), named=gru_gradients,
    )  # fmt: skip


def gru_gradients(slopes: Arrays) -> Result:
    """Returns gradients without those of the biases, which libraries sum differently."""
    params = slopes.pop("params")
    weights = {
        f"{name}_{index}": getattr(one, name)
        for index, one in enumerate(params)
        for name in ("input_weight", "hidden_weight")
    }
    return gradients({**slopes, **weights})


def additive_gradients(slopes: Arrays) -> Result:
    params = {name: part for name, part in slopes["params"]._asdict().items() if part is not None}
    others = {name: slopes[name] for name in ("query", "key", "value")}
    return gradients({**others, **params})


def leaves(tree: Any) -> Result:
    """Returns the leaves of a tree, numbered."""
    return {str(index): leaf for index, leaf in enumerate(jax.tree.leaves(tree))}
