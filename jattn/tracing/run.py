"""Runs a jaxpr one equation at a time and keeps the values that it names."""

from collections.abc import Sequence
from typing import Any

import jax
from jax import core

from jattn.tracing.costs import CALLS, Cost, cost, inner_jaxprs
from jattn.tracing.graph import Entry, Node, attribute
from jattn.tracing.record import Intermediate


def run(closed: Any, arguments: Sequence[Node], tape: list[Entry]) -> list[Node]:
    """Runs the equations in order, appends each to `tape` and returns the results."""
    jaxpr = getattr(closed, "jaxpr", closed)
    constants = [Node(value) for value in getattr(closed, "consts", ())]
    variables = [*jaxpr.constvars, *jaxpr.invars]
    nodes = dict(zip(variables, [*constants, *arguments], strict=True))

    def read(atom: Any) -> Node:
        return Node(atom.val) if hasattr(atom, "val") else nodes[atom]

    for equation in jaxpr.eqns:
        results = _run_equation(jaxpr, equation, [read(atom) for atom in equation.invars], tape)
        nodes.update(zip(equation.outvars, results, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _run_equation(jaxpr: Any, equation: Any, operands: list[Node], tape: list[Entry]) -> list[Node]:
    primitive = equation.primitive.name
    if _is_name(equation):
        result = Node(operands[0].value)
        step, _, name = equation.params["name"].partition("/")
        tape.append(
            Entry(operands, [result], Cost(0, 0), [Intermediate(step, name, result.value, 0, 0)])
        )
        return [result]
    if _names_something(equation):
        if primitive == "scan":
            return _run_scan(equation, operands, tape)
        inner = inner_jaxprs(equation)
        if primitive == "cond" and not isinstance(operands[0].value, core.Tracer):
            results = run(inner[int(operands[0].value)], operands[1:], tape)
            tape.append(Entry(operands[:1], results, Cost(0, 0)))  # They depend on the index too.
            return results
        if not CALLS.fullmatch(primitive):
            raise ValueError(f"trace: a value that is named within {primitive} cannot be kept")
        return run(inner[0], operands, tape)
    # The equation as JAX runs it outside of jit, so that the bits are the same.
    variables = {
        atom: node.value
        for atom, node in zip(equation.invars, operands, strict=True)
        if not hasattr(atom, "val")
    }
    single = jaxpr.replace(
        constvars=[], invars=list(variables), outvars=equation.outvars, eqns=[equation]
    )
    values = core.eval_jaxpr(single, (), *variables.values())
    results = [Node(value) for value in values]
    tape.append(Entry(operands, results, cost(equation)))
    return results


def _is_name(equation: Any) -> bool:
    return equation.primitive.name == "name" and "/" in equation.params["name"]


def _names_something(equation: Any) -> bool:
    return _is_name(equation) or any(
        _names_something(part) for jaxpr in inner_jaxprs(equation) for part in jaxpr.eqns
    )


def _run_scan(equation: Any, operands: list[Node], tape: list[Entry]) -> list[Node]:
    """Runs a loop that also stacks the values that each of its iterations names."""
    params, (body,) = equation.params, inner_jaxprs(equation)
    if "ft_in" in params:  # From jax 0.11 on.
        constant_count, carry_count, _ = map(len, params["ft_in"].unpack())
    else:
        constant_count, carry_count = params["num_consts"], params["num_carry"]
    values = [node.value for node in operands]
    constants, values = values[:constant_count], values[constant_count:]
    named: list[Intermediate] = []

    def iteration(carry, inputs):
        inner_tape: list[Entry] = []
        results = run(body, [Node(value) for value in (*constants, *carry, *inputs)], inner_tape)
        named[:] = attribute(inner_tape, results)
        outputs = [node.value for node in results]
        stacked = (outputs[carry_count:], [value.value for value in named])
        return outputs[:carry_count], stacked

    carry, (outputs, stacked) = jax.lax.scan(
        iteration,
        values[:carry_count],
        values[carry_count:],
        length=params["length"],
        reverse=params["reverse"],
    )
    length = params["length"]
    kept = [
        value._replace(
            value=array, operations=value.operations * length, bytes=value.bytes * length
        )
        for value, array in zip(named, stacked, strict=True)
    ]
    results = [Node(value) for value in (*carry, *outputs)]
    tape.append(Entry(operands, results, Cost(0, 0) if kept else cost(equation), kept))
    return results
