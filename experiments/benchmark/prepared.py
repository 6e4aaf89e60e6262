"""A row as a library runs it: something to compile, to call, and to read the result of."""

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Result = dict[str, Any]


class Unsupported(Exception):
    """A function or option that a library lacks; the message is shown in place of a time."""


class Prepared(NamedTuple):
    """A row that is ready to run.

    call: returns when its work is finished.
    result: names the arrays that `call` returned.
    compile: the work that can be done before the first call.
    held: bytes of masks and the like that the library needs in addition to the row's own inputs.
    program: returns the text of the compiled program.
    """

    call: Callable[[], Any]
    result: Callable[[Any], Result]
    compile: Callable[[], Any] = lambda: None
    held: int = 0
    program: Callable[[], str] = lambda: ""


class Peer(NamedTuple):
    """A library.

    module: the beginning of the name of its module, which has a function for each kind of row.
    distribution: the package that has the version.
    title: its name on the page.
    """

    module: str
    distribution: str
    title: str


PEERS = {
    "jattn": Peer("jattn", "jattn", "jattn"),
    "jax.nn": Peer("jax", "jax", "jax.nn"),
    "torch": Peer("torch", "torch", "PyTorch"),
    "flax-nnx": Peer("flax", "flax", "Flax nnx"),
    "tokamax": Peer("tokamax", "tokamax", "tokamax"),
    "keras": Peer("keras", "keras", "Keras on JAX"),
    "onnxruntime": Peer("onnxruntime", "onnxruntime", "ONNX Runtime"),
}
OWN, TRUTH = "jattn", "float64"


def offered(peer: str, row: Any) -> Callable[..., Prepared]:
    """Returns the function of the peer's module for the row's kind.

    Raises:
        ImportError: the library is not installed.
        Unsupported: it has nothing of this kind.
    """
    name = "float64" if peer == TRUTH else PEERS[peer].module
    module = importlib.import_module(f"experiments.benchmark.libraries.{name}_functions")
    function = getattr(module, row.kind, None)
    if function is None:
        raise Unsupported("has no such function")
    return function


def gradients(arrays: Result) -> Result:
    """Returns gradients under the names `d_<name>`."""
    return {f"d_{name}": np.asarray(array) for name, array in arrays.items()}
