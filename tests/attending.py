"""Calls of `dot_product_attention` with their arrays, on each of its paths, each compiled once."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

import jattn
from jattn import engine, masks, testing
from jattn.engine.plan import Plan, Planner, Problem
from jattn.engine.schedule import Loops
from jattn.masks import Mask
from jattn.oracle.engine.dot_product import dot_product_attention as oracle
from jattn.testing.properties import STEP
from jattn.testing.trees import draw_like

Tree = Any
B, T, S, K, V = 2, 5, 7, 11, 13
QUICK = {"xla_backend_optimization_level": 0}  # Whatever the rule: these are many programs.
# How they are compiled, whatever conftest.py makes of a rule's name. Empty, it is as that says.
LEVEL: dict[str, Any] = {"compiler_options": QUICK}
DIFFERENTIABLE = ("query", "key", "value", "bias", "scale", "sinks")


def attention(*args: Any, **options: Any) -> Any:
    return jattn.dot_product_attention(*args, **options)


def planned(chunk_size: int, planner: Planner | None = None) -> Callable[..., Any]:
    def chunked(*args, **options):
        return attention(*args, **options, chunk_size=chunk_size, planner=planner)

    return chunked


def narrowed(problem: Problem) -> Plan:
    """Blocks that are narrowed as they run, also to widths that would not pay."""
    plan, s = engine.narrowed(problem), problem.s
    widths = tuple(sorted({0, s // 2, s}))
    runs = tuple(run._replace(widths=widths) for run in plan.runs)
    return dataclasses.replace(plan, runs=runs, loops=Loops(batch=True, groups=True))


def looped(planner: Planner, **loops: bool) -> Planner:
    """The planner's plan with other loops over batch and groups of heads."""
    return lambda problem: dataclasses.replace(planner(problem), loops=Loops(**loops))


# The ways to compute it; five queries do not divide into blocks of two or three.
PATHS: dict[str, Callable[..., Any]] = {
    "default": attention,
    "chunks of 2": planned(2, engine.chunked),
    "grouped": planned(2, looped(engine.grouped, batch=True)),
    "banded": planned(3, looped(engine.banded, batch=True, groups=True)),
    "narrowed": planned(2, narrowed),
}
FEW = list(PATHS)[:2]


class Case(NamedTuple):
    """What a call is given beside query, key and value; `given` names the arrays."""

    name: str
    heads: int
    groups: int
    given: frozenset[str]
    options: dict[str, Any]

    @property
    def differentiable(self) -> tuple[str, ...]:
        return tuple(n for n in DIFFERENTIABLE if n in self.given | {"query", "key", "value"})

    def call(self, function: Callable[..., Any], inputs: Tree, given: dict[str, Any]) -> Any:
        named = dict(zip(self.differentiable, inputs, strict=True))
        return function(**named, **given, **self.options)

    def inputs(self, seed: int = 0, t: int = T, s: int = S) -> tuple[np.ndarray, ...]:
        """The differentiable arrays in float64, in the order in which gradients come back."""
        shapes = {
            "query": (B, t, self.heads, K),
            "key": (B, s, self.groups, K),
            "value": (B, s, self.groups, V),
            "bias": (1, self.heads, t, s),
            "scale": (),
            "sinks": (self.heads,),
        }
        rng = np.random.default_rng(seed)
        return tuple(np.asarray(rng.standard_normal(shapes[n])) for n in self.differentiable)

    def others(self, t: int = T, s: int = S, **chosen: Any) -> dict[str, Any]:
        """The arrays that are not differentiated, hiding nothing but what is `chosen`."""
        everything = {
            "mask": np.ones((B, 1, t, s), bool),
            "query_seq_lengths": np.full(B, t, np.int32),
            "key_value_seq_lengths": np.full(B, s, np.int32),
            "query_offset": np.zeros(B, np.int32),
        }
        return {n: chosen.get(n, everything[n]) for n in everything if n in self.given}


def case(name: str, heads: int, groups: int, given: str = "", **options: Any) -> Case:
    return Case(name, heads, groups, frozenset(given.split()), options)


BOTH = {"return_residual": True, "return_weights": True}
LENGTHS = "query_seq_lengths key_value_seq_lengths"
CASES = {
    one.name: one
    for one in (
        case("plain", 3, 3),
        case("dense", 6, 3, f"bias mask {LENGTHS}", **BOTH),
        case("causal", 6, 2, f"{LENGTHS} query_offset", is_causal=True, return_residual=True),
        case(
            "window",
            5,
            1,
            "mask query_offset",
            local_window_size=(2, 1),
            return_residual=True,
        ),
        case(
            "everything",
            6,
            2,
            f"bias mask scale sinks query_offset {LENGTHS}",
            is_causal=True,
            local_window_size=(3, None),
            logits_soft_cap=1.5,
            return_residual=True,
        ),
        case(
            "known positions",
            6,
            2,
            "bias mask scale sinks",
            is_causal=True,
            local_window_size=(2, None),
            query_offset=1,
            logits_soft_cap=1.5,
            return_residual=True,
        ),
        case(
            "rule",
            6,
            3,
            "bias",
            mask=(masks.causal(offset=1) | masks.prefix(2)) & ~masks.dilated(3),
            return_residual=True,
        ),
    )
}


# Every case on the default path, which is dense at such sizes, and on the other paths those that
# each treats in a way of its own. All have one with bias, soft cap, sinks, masks and shared heads.
OTHERS = {
    "chunks of 2": ("everything", "causal"),
    "grouped": ("rule", "known positions"),
    "banded": ("window", "known positions"),
    "narrowed": ("everything",),
}


class Evaluated(NamedTuple):
    """What a call returns, its gradient, and the derivatives of both along a direction."""

    output: Tree
    gradient: Tree
    tangent: Tree
    gradient_tangent: Tree


def cotangent_of(one: Case, inputs: Tree, given: dict[str, Any], seed: int = 1) -> Tree:
    if one.name not in _shapes:
        call = functools.partial(one.call, attention)
        _shapes[one.name] = jax.eval_shape(call, inputs, given)
    return draw_like(_shapes[one.name], seed)


def evaluate(
    path: str, one: Case, inputs: Tree, given: dict[str, Any], cotangent: Tree = None
) -> Evaluated:
    """The value and the derivatives, compiled once for each path, case and level."""
    way = path, one.name, bool(LEVEL)
    if way not in _compiled:
        _compiled[way] = jax.jit(_derivatives(PATHS[path], one), **LEVEL)
    cotangent = cotangent_of(one, inputs, given) if cotangent is None else cotangent
    result = _compiled[way](inputs, given, cotangent, draw_like(inputs, 2))
    return jax.tree.map(np.asarray, result)


def judge(one: Case, inputs: Tree, given: dict[str, Any], cotangent: Tree) -> Evaluated:
    """The same by the oracle, whose derivatives along a direction are complex steps."""
    options = {n: dense(x) for n, x in one.options.items()}
    named = lambda inputs: dict(zip(one.differentiable, inputs, strict=True))
    output, pullback = oracle(**named(inputs), **given, **options)
    step = STEP
    moved = jax.tree.map(lambda x, d: x + 1j * step * d, inputs, draw_like(inputs, 2))
    moved_output, moved_pullback = oracle(**named(moved), **given, **options)
    along = lambda tree: jax.tree.map(lambda x: np.imag(x) / step, tree)
    return Evaluated(
        output, pullback(cotangent), along(moved_output), along(moved_pullback(cotangent))
    )


def allowed(one: Case, inputs: Tree, given: dict[str, Any]) -> np.ndarray:
    """True for the pairs [b, h, t, s] that count, by the oracle's weights."""
    options = {n: dense(x) for n, x in one.options.items()} | {"return_weights": True}
    named = dict(zip(one.differentiable, inputs, strict=True))
    return np.asarray(oracle(**named, **given, **options)[0][-1] != 0.0)


def dense(option: Any) -> Any:
    return np.asarray(option.dense(T, S)) if isinstance(option, Mask) else option


def without_infinity(output: Tree) -> Tree:
    """The log-sum-exp of a query without keys, -inf, replaced by a number like no other."""
    return jax.tree.map(lambda x: np.where(np.isneginf(x), -1e3, x), output)


def hiding(one: Case, inputs: Tree, pairs: np.ndarray) -> Tree:
    """The inputs with a bias of -inf at `pairs`, where the case takes a bias."""
    return tuple(
        np.where(pairs, -np.inf, x) if name == "bias" else x
        for name, x in zip(one.differentiable, inputs, strict=True)
    )


def at_queries(one: Case, output: Tree, queries: np.ndarray) -> Tree:
    """What is returned, as it is for `queries` [b, t] and zero for all others."""
    arrays, structure = jax.tree.flatten(output)
    shapes = [(B, T, 1, 1)]
    shapes += [(B, T, 1)] * one.options.get("return_residual", False)
    shapes += [(B, 1, T, 1)] * one.options.get("return_weights", False)
    kept = [
        np.where(queries.reshape(shape), array, 0.0)
        for array, shape in zip(arrays, shapes, strict=True)
    ]
    return jax.tree.unflatten(structure, kept)


def check(path: str, one: Case, inputs: Tree, given: dict[str, Any], tolerance: float) -> None:
    """Value and derivatives of a call on one path against the oracle's."""
    cotangent = cotangent_of(one, inputs, given)
    actual = evaluate(path, one, inputs, given, cotangent)
    expected = judge(one, inputs, given, cotangent)
    infinite = lambda tree: [np.isneginf(leaf) for leaf in jax.tree.leaves(tree)]
    for got, wanted in zip(infinite(actual.output), infinite(expected.output), strict=True):
        np.testing.assert_array_equal(got, wanted)
    for what, got, wanted in zip(Evaluated._fields, actual, expected, strict=True):
        testing.assert_close(
            without_infinity(got), without_infinity(wanted), tolerance, f"{one.name} {path} {what}"
        )


_compiled: dict[tuple[str, str, bool], Callable[..., Evaluated]] = {}
_shapes: dict[str, Tree] = {}


def _derivatives(function: Callable[..., Any], one: Case) -> Callable[..., Evaluated]:
    def run(inputs, given, cotangent, direction):
        def first(inputs):
            output, pullback = jax.vjp(lambda inputs: one.call(function, inputs, given), inputs)
            return output, pullback(cotangent)[0]

        (output, gradient), tangents = jax.jvp(first, (inputs,), (direction,))
        return Evaluated(output, gradient, *tangents)

    return run
