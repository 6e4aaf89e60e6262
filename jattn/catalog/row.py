"""A row of the catalog, its cases, and each case as a function of differentiable arrays."""

import dataclasses
import functools
import importlib
import inspect
from collections.abc import Callable, Mapping
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np

from jattn.biases import Bias
from jattn.masks import Mask

# Sizes are distinct, so that no two axes can be taken for each other.
SIZES = {"t": 3, "s": 5, "k": 7, "q": 11, "v": 13, "p": 2, "i": 7, "n": 2, "d": 11, "w": 17}
DRAWN = object()  # In a case's options: a keyword array to draw, and to differentiate too.


@dataclasses.dataclass(frozen=True)
class Case:
    """One way to call a mechanism: keyword arguments, and sizes other than the row's.

    An option `params.bias` sets that field of the parameters, None to leave it out. Fields of
    fields, such as `params.norm.bias`, are set alike and are not part of the case's name.
    """

    options: Mapping[str, Any]
    sizes: Mapping[str, int]


def case(sizes: Mapping[str, int] | None = None, /, **options: Any) -> Case:
    """Returns a case with these options, and sizes other than the row's."""
    return Case(options, sizes or {})


@dataclasses.dataclass(frozen=True)
class Mechanism:
    """One row: a public function, where it was published, and how to exercise it.

    Floating-point positional arguments are drawn from a normal of deviation 1/2, divided by the
    root of the fan-in for parameters, and are differentiated. Other arguments come from `draw`
    and are not.

    Attributes:
        function: the public function.
        family: heading in docs/mechanisms.md, and the tests that apply to all of a kind.
        paper: authors, year, and the equation or section; empty if there is none.
        cost: leading terms of the operations, in the letters of the axes.
        cases: ways to call the function; the suite runs each.
        sizes: sizes of axes other than `SIZES`.
        draw: functions of a NumPy generator and the sizes, for arguments that are no floats.
        positive: arguments that have to be positive; their entries are at least 1/2.
        tolerance: the largest error in float64.
        conditioning: multiplies the bounds of float32.
        exceptions: maps the id of a numerical rule that does not hold to the reason.
    """

    function: Callable[..., Any]
    family: str
    paper: str
    cost: str
    cases: tuple[Case, ...] = (case(),)
    sizes: Mapping[str, int] = dataclasses.field(default_factory=dict)
    draw: Mapping[str, Callable[..., Any]] = dataclasses.field(default_factory=dict)
    positive: tuple[str, ...] = ()
    tolerance: float = 1e-12
    conditioning: float = 1.0
    exceptions: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.function.__name__

    @property
    def oracle(self) -> Callable[..., Any]:
        """The function of the same name in the module of the same path under `jattn.oracle`."""
        return oracle_of(self.function)

    def calls(self) -> tuple["CaseCall", ...]:
        return tuple(CaseCall(self, way) for way in self.cases)

    def hardest(self) -> "CaseCall":
        """Returns the case with the most options, for checks that are too slow for every case."""
        options_set = lambda way: sum(value is not None for value in way.options.values())
        return CaseCall(self, max(self.cases, key=options_set))


def oracle_of(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns the oracle of a public function.

    Raises:
        ValueError: if it has none, with the place where it belongs.
    """
    path = function.__module__.replace("jattn.", "jattn.oracle.", 1)
    try:
        return getattr(importlib.import_module(path), function.__name__)
    except (AttributeError, ModuleNotFoundError) as error:
        place = path.replace(".", "/")
        raise ValueError(
            f"{function.__name__} has no oracle: write {function.__name__} in {place}.py"
        ) from error


@dataclasses.dataclass(frozen=True)
class CaseCall:
    """A mechanism and one of its cases, as a function of differentiable arrays alone.

    A bias is the array of it, in the dtype of its parameters.
    """

    mechanism: Mechanism
    case: Case

    @property
    def name(self) -> str:
        options, sizes = self.case.options.items(), self.case.sizes.items()
        shown = [getattr(value, "__name__", name) for name, value in options if name.count(".") < 2]
        return "-".join([self.mechanism.name, *shown, *(f"{axis}={size}" for axis, size in sizes)])

    @property
    def sizes(self) -> dict[str, int]:
        return SIZES | dict(self.mechanism.sizes) | dict(self.case.sizes)

    def function(self, *inputs: Any) -> Any:
        args, options = self._arguments(inputs)
        result = self.mechanism.function(*args, **options)
        if isinstance(result, Bias):
            return result.dense(self.sizes["t"], self.sizes["s"], dtype=result.dtype)
        return result

    def oracle(self, *inputs: Any) -> tuple[Any, Callable[..., Any]]:
        args, options = self._arguments(inputs)
        result: Any = self.mechanism.oracle(*args, **(options | self._plain))
        if not isinstance(result, tuple):
            return result(np.arange(self.sizes["s"]) - np.arange(self.sizes["t"])[:, None])
        return result

    def inputs(self, seed: int = 0) -> tuple[Any, ...]:
        """Returns the differentiable arrays in float64: positional ones, then drawn keywords."""
        rng = np.random.default_rng(seed)
        hints = get_type_hints(self.mechanism.function)
        return tuple(self._draw(rng, name, hints[name]) for name in self.input_names)

    def _arguments(self, inputs: tuple[Any, ...]) -> tuple[list[Any], dict[str, Any]]:
        drawn = dict(zip(self.input_names, inputs, strict=True))
        fixed = {n: d(np.random.default_rng(0), self.sizes) for n, d in self.mechanism.draw.items()}
        args = [(drawn | fixed)[name] for name in self._positional]
        return args, {n: drawn.get(n, o) for n, o in self.case.options.items() if "." not in n}

    @functools.cached_property
    def _plain(self) -> dict[str, Any]:
        """The options for the oracle, made once: dense masks, and the oracle's own functions."""
        plain = {n: o for n, o in self.case.options.items() if "." not in n and o is not DRAWN}
        for name, option in plain.items():
            if isinstance(option, Mask):
                plain[name] = np.asarray(option.dense(self.sizes["t"], self.sizes["s"]))
            elif callable(option) and getattr(option, "__module__", "").startswith("jattn."):
                plain[name] = oracle_of(option)
        return plain

    @functools.cached_property
    def _positional(self) -> list[str]:
        parameters = inspect.signature(self.mechanism.function).parameters.values()
        return [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY and p.default is p.empty]

    @functools.cached_property
    def input_names(self) -> list[str]:
        """The names of the arrays that `inputs` returns."""
        signature = inspect.signature(self.mechanism.function).parameters
        keywords = [n for n in signature if self.case.options.get(n) is DRAWN]
        return [n for n in self._positional if n not in self.mechanism.draw] + keywords

    def _draw(self, rng: np.random.Generator, path: str, hint: Any) -> Any:
        if self.case.options.get(path, DRAWN) is not DRAWN:
            return self.case.options[path]
        choices = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
        hint = next(c for c in choices if hasattr(c, "_fields") or hasattr(c, "dim_str"))
        if hasattr(hint, "_fields"):
            fields = get_type_hints(hint)
            return hint(*(self._draw(rng, f"{path}.{f}", h) for f, h in fields.items()))
        size = lambda part: int(part) if part.isdigit() else self.sizes[part]
        shape = [sum(map(size, axis.split("+"))) for axis in hint.dim_str.split()]
        fan_in = shape[-1] if "." in path and shape else 1
        # Half of the usual deviation: saturated weights are a subject of their own.
        drawn = np.asarray(rng.standard_normal(shape) / 2 / np.sqrt(fan_in))
        return np.abs(drawn) + 0.5 if path in self.mechanism.positive else drawn
