"""A pytree in one safetensors file: every leaf bit for bit, or an error that names the file."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import safetensors
import safetensors.numpy

from jattn.atomic import write_atomically
from jattn.training.leaves import Description, describe, named_leaves, pack, unpack

FORMAT = "jattn checkpoint 1"


class Checkpoint(NamedTuple):
    """What `load_checkpoint` returns: the tree (or a dict of its leaves) and the metadata."""

    tree: Any
    metadata: dict[str, Any]


def save_checkpoint(
    path: str | os.PathLike, tree: Any, *, metadata: Mapping[str, Any] | None = None
) -> None:
    """Writes `tree` and `metadata` to one file, which is replaced whole or not at all.

    Leaves are arrays of any dtype (bfloat16 too), typed PRNG keys, Python numbers and None; they
    are named by their path, as in `state/params/encoder/bias`. The JSON in the header holds what
    safetensors has no word for, and a checksum. Equal contents give equal bytes.

    Args:
        metadata: anything that JSON can say, a configuration for example.

    Raises:
        ValueError: a leaf or the metadata cannot be stored, or two leaves have the same name.
        OSError: it cannot be written (a full disk); the file keeps its old content.
    """
    leaves = named_leaves("save_checkpoint", tree)
    kinds = {name: describe("save_checkpoint", name, leaf) for name, leaf in leaves.items()}
    arrays = {name: pack(kinds[name], leaf) for name, leaf in leaves.items() if leaf is not None}
    try:
        body = {"format": FORMAT, "leaves": kinds, "metadata": dict(metadata or {})}
        body = json.loads(json.dumps(body))
    except (TypeError, ValueError) as error:
        raise ValueError(f"save_checkpoint: metadata is not JSON: {error}") from error
    bits = {name: array.reshape(-1).view(np.uint8) for name, array in arrays.items()}
    header = json.dumps({"checksum": _checksum(body, bits), **body})
    # One entry alone: safetensors writes several in an order that changes from call to call.
    write_atomically(path, safetensors.numpy.save(arrays, {"jattn": header}))


def load_checkpoint(path: str | os.PathLike, *, like: Any = None, part: str = "") -> Checkpoint:
    """Reads what `save_checkpoint` wrote.

    Args:
        like: a tree with the structure, shapes and dtypes to expect (`jax.eval_shape` makes one
            at no cost). Its arrays come back as jax arrays, or as NumPy's where it holds NumPy's.
            Without it, the leaves come back in a dict by name, arrays as NumPy's.
        part: the branch to read, `state/params` say; names then start below it.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged or no checkpoint, or it does not fit `like`; the message
            names the leaves that differ.
    """
    body, stored = _read(path)
    kinds = {n: Description(k, tuple(s), impl) for n, (k, s, impl) in body["leaves"].items()}
    kinds = _branch(kinds, part)
    stored = _branch(stored, part)
    if not kinds and part:
        raise ValueError(f"load_checkpoint: {path} has no branch {part}")
    if like is None:
        leaves = {name: unpack(kind, stored.get(name)) for name, kind in kinds.items()}
        return Checkpoint(leaves, body["metadata"])
    wanted = named_leaves("load_checkpoint", like)
    _check(path, kinds, {n: describe("load_checkpoint", n, leaf) for n, leaf in wanted.items()})
    leaves = [unpack(kinds[n], stored.get(n), type(leaf)) for n, leaf in wanted.items()]
    structure = jax.tree.structure(like, is_leaf=lambda leaf: leaf is None)
    return Checkpoint(jax.tree.unflatten(structure, leaves), body["metadata"])


def _branch(named: dict[str, Any], part: str) -> dict[str, Any]:
    """The entries at or below `part`, named from there."""
    below = f"{part}/" if part else ""
    return {n[len(below) :]: v for n, v in named.items() if n.startswith(below) or n == part}


def _check(path, found: dict[str, Description], wanted: dict[str, Description]) -> None:
    """Raises ValueError when the two differ; a key that is only a shape has no `impl` to match."""
    differences = [
        f"{name or 'the leaf'} is {found.get(name, 'missing')} in the file"
        f" and {wanted.get(name, 'missing')} in like"
        for name in {**wanted, **found}
        if name not in found or name not in wanted or found[name][:2] != wanted[name][:2]
    ]
    if differences:
        more = f"; and {len(differences) - 5} more" if len(differences) > 5 else ""
        listed = "; ".join(differences[:5])
        raise ValueError(f"load_checkpoint: {path} does not fit: {listed}{more}")


def _read(path: str | os.PathLike) -> tuple[dict[str, Any], dict[str, bytearray]]:
    """The JSON and the arrays' bytes, once they are known to be what was saved."""
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError as error:
        raise FileNotFoundError(error.errno, "there is no checkpoint", str(path)) from error
    try:
        stored = {name: array["data"] for name, array in safetensors.deserialize(content)}
    except safetensors.SafetensorError as error:
        raise ValueError(
            f"load_checkpoint: {path} is damaged or not a safetensors file ({error})"
        ) from error
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size]).get("__metadata__", {})
    try:
        body = json.loads(header["jattn"])
        checksum = body.pop("checksum")
        known = body["format"] == FORMAT
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"load_checkpoint: {path} is not a checkpoint of jattn") from error
    if checksum != _checksum(body, stored):
        raise ValueError(f"load_checkpoint: {path} is damaged (its checksum is wrong)")
    if not known:
        raise ValueError(
            f"load_checkpoint: {path} has format {body['format']}, this version reads {FORMAT}"
        )
    return body, stored


def _checksum(body: dict[str, Any], arrays: Mapping[str, Any]) -> str:
    """Of the JSON, and of the name, length and bytes of every array."""
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode())
    for name, content in sorted(arrays.items()):
        digest.update(json.dumps([name, len(content)]).encode())
        digest.update(content)
    return digest.hexdigest()
