"""A row as a library runs it: something to compile, to call, and to read the result of."""

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Result = dict[str, Any]


class Unsupported(Exception):
    """A function or option that a library lacks; the message is shown in place of a time."""


class Prepared(NamedTuple):
    """`call` has finished what it does when it returns; `result` names the arrays it returned.

    compile: what can be done before the first call.
    held: bytes of masks and the like that the library needs beside the row's own inputs.
    """

    call: Callable[[], Any]
    result: Callable[[Any], Result]
    compile: Callable[[], Any] = lambda: None
    held: int = 0


class Peer(NamedTuple):
    """A library or one of its functions; `module` has a function a kind, which makes a `Prepared`.

    distribution: what carries the version.
    title: how it is called on the page.
    """

    module: str
    distribution: str
    title: str


PEERS = {
    "jattn": Peer("jattn", "jattn", "jattn"),
    "jax.nn": Peer("jax", "jax", "jax.nn"),
    "jnp": Peer("formula", "jax", "plain jnp"),
    "flax-nnx": Peer("flax_nnx", "flax", "Flax nnx"),
    "flax-linen": Peer("flax_linen", "flax", "Flax linen"),
    "equinox": Peer("equinox", "equinox", "Equinox"),
    "haiku": Peer("haiku", "dm-haiku", "Haiku"),
    "keras": Peer("keras", "keras", "Keras on JAX"),
    "tokamax-xla": Peer("tokamax_xla", "tokamax", "tokamax, xla"),
    "tokamax-chunked": Peer("tokamax_chunked", "tokamax", "tokamax, xla_chunked"),
    "attnax": Peer("attnax", "attnax", "attnax, standard"),
    "attnax-chunked": Peer("attnax_chunked", "attnax", "attnax, memory-efficient"),
    "torch": Peer("torch", "torch", "PyTorch"),
    "torch-flex": Peer("torch_flex", "torch", "PyTorch FlexAttention"),
    "onnxruntime": Peer("onnxruntime", "onnxruntime", "ONNX Runtime"),
}
KINDS = {
    "attention": "attention",
    "additive": "additive attention",
    "gru": "a GRU",
    "bidirectional": "a GRU both ways",
    "training": "this, nor a model written for it here",
    "product": "a matrix product",
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
        raise Unsupported(f"has no function for {KINDS[row.kind]}")
    return function


def gradients(arrays: Result) -> Result:
    """Returns gradients under the names `d_<name>`."""
    return {f"d_{name}": np.asarray(array) for name, array in arrays.items()}
