"""Functions of JAX, compiled ahead of the first call, with or without their gradient."""

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jattn
from experiments.benchmark.inputs import Arrays, causal_or_dense
from experiments.benchmark.prepared import Prepared, Result, Unsupported, gradients
from experiments.benchmark.rows import FORWARD, Row
from jattn import convert

Function = Callable[..., Any]
GELU = partial(jax.nn.gelu, approximate=False)  # Smooth, unlike ReLU: gradients are comparable.
LENGTHS = ("query_seq_lengths", "key_value_seq_lengths")


def same(arrays: Any) -> Any:
    return arrays


def placed(tree: Any) -> Any:
    """Returns the arrays on the device, or with their first axis sharded over several devices."""
    if jax.device_count() == 1:
        return jax.device_put(tree)
    mesh = jax.make_mesh((jax.device_count(),), ("batch",), axis_types=(AxisType.Auto,))
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec("batch")))


def prepared(
    function: Function,
    arrays: Any,
    fixed: Any,
    cotangent: Any,
    direction: str,
    *,
    native: Function = same,
    undone: Function = same,
    named: Callable[[Any], Result] = gradients,
    held: int = 0,
) -> Prepared:
    """Runs `function(native(arrays), fixed)`, and its gradient with respect to `native(arrays)`.

    `native` is the library's own form of the arrays, made before any clock starts. `undone`, its
    inverse, returns gradients in the form of `arrays`. `named` names them.
    """
    own, fixed, cotangent = jax.block_until_ready(placed((native(arrays), fixed, cotangent)))

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
        lambda: jax.block_until_ready(compiled[0](*arguments)),
        result,
        compile,
        held,
        lambda: compiled[0].as_text() or "",
    )


def attention(
    function: Function, row: Row, inputs: Arrays, direction: str, has: Collection[str] = ()
) -> Prepared:
    """Prepares a function of query, key, value and the options bias, mask and is_causal.

    `has` names its further options. Without one for a window, lengths or documents, the row is a
    Boolean mask, `b h t s`, made before any clock starts.

    Raises:
        Unsupported: if the function lacks an option that is no mask.
    """
    if row.soft_cap is not None and "logits_soft_cap" not in has:
        raise Unsupported("has no soft cap")
    static: dict[str, Any] = {"is_causal": row.causal}
    static |= {} if row.soft_cap is None else {"logits_soft_cap": row.soft_cap}
    needed = {"local_window_size": row.window, LENGTHS[1]: row.padded, "documents": row.documents}
    fixed, held = {}, 0
    if all(name in has for name, is_needed in needed.items() if is_needed):
        static |= {} if row.window is None else {"local_window_size": (row.window, 0)}
        fixed |= {name: inputs["lengths"] for name in LENGTHS if row.padded and name in has}
        fixed |= {"documents": inputs["documents"]} if row.documents else {}
    else:
        static["is_causal"], mask = causal_or_dense(row, inputs)
        fixed, held = ({}, 0) if mask is None else ({"mask": mask}, mask.nbytes)
    return prepared(
        lambda arrays, fixed: function(**arrays, **fixed, **static),
        differentiated(inputs), fixed, inputs["cotangent"], direction, held=held,
    )  # fmt: skip


def differentiated(inputs: Arrays) -> Arrays:
    names = ("query", "key", "value", "bias")
    return {name: inputs[name] for name in names if name in inputs}


def additive(function: Function, inputs: Arrays, direction: str) -> Prepared:
    """Prepares a function of `params, query, key, value`."""
    names = ("params", "query", "key", "value")

    def named(slopes):
        params = slopes.pop("params")._asdict()
        return gradients(slopes | {name: part for name, part in params.items() if part is not None})

    return prepared(
        lambda arrays, _fixed: function(*(arrays[name] for name in names)),
        {name: inputs[name] for name in names}, None, inputs["cotangent"], direction, named=named,
    )  # fmt: skip


def gru(
    function: Function, row: Row, inputs: Arrays, direction: str, *, library: str | None = None
) -> Prepared:
    """Prepares a function of `params, inputs, initial, lengths` with params of `library`.

    Rows with lengths have no initial state, so one of both is None.
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


def transformer(attend: Function | None, row: Row, inputs: Arrays, direction: str) -> Prepared:
    """Prepares jattn's stack of blocks with `attend`; the first block's gradients are compared."""
    encoder = partial(
        jattn.transformer_encoder,
        self_mask=jattn.masks.causal() if row.causal else None,
        feed_forward=partial(jattn.feed_forward, activation=GELU),
        attend=attend,
    )

    def called(arrays, _fixed):
        return jax.vmap(lambda rows: encoder(arrays["params"], rows).outputs)(arrays["inputs"])

    def named(slopes):
        block = slopes["params"].blocks[0]
        return gradients(
            {"inputs": slopes["inputs"], "hidden_weight": block.feed_forward.hidden_weight}
        )

    arrays = {name: inputs[name] for name in ("params", "inputs")}
    return prepared(called, arrays, None, inputs["cotangent"], direction, named=named)
