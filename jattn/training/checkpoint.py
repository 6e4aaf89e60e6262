"""A pytree in one safetensors file: every leaf bit for bit, or an error that names the file."""

import hashlib
import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import safetensors
import safetensors.numpy

from jattn.atomic import write_atomically
from jattn.training.leaves import Description, describe, named_leaves, pack, placed_as, unpack
from jattn.training.round_trip import json_round_trip

FORMAT = "jattn checkpoint 1"
RESERVED = "__metadata__"
_NUMPY = np.zeros(())


class Checkpoint(NamedTuple):
    """Contents of a file: the tree (or a dict of its leaves) and the metadata."""

    tree: Any
    metadata: dict[str, Any]


def save_checkpoint(
    path: str | os.PathLike, tree: Any, *, metadata: Mapping[str, Any] | None = None
) -> None:
    """Writes `tree` and `metadata` to one file, which is replaced whole or not at all.

    Leaves are arrays of any dtype (bfloat16 too), typed PRNG keys, Python numbers and None. They
    are named by their path, as in `state/params/encoder/bias`. JSON in the header holds the parts
    that safetensors cannot, and checksums. Equal contents give equal bytes.

    Args:
        metadata: anything that JSON can hold, a configuration for example. Tuples come back as
            lists, and keys as strings.

    Raises:
        ValueError: if a leaf or the metadata cannot be stored, if two leaves have the same name,
            or if one has the name that safetensors uses itself.
        OSError: if the file cannot be written (a full disk); it keeps its old content.
    """
    write_atomically(path, checkpoint_bytes(tree, metadata))


def checkpoint_bytes(tree: Any, metadata: Mapping[str, Any] | None = None) -> bytes:
    """Returns the content of the file that `save_checkpoint` writes."""
    leaves = named_leaves("save_checkpoint", tree)
    if RESERVED in leaves:
        raise ValueError(f"save_checkpoint: tree has a leaf {RESERVED}, a name of safetensors")
    kinds = {name: describe("save_checkpoint", name, leaf) for name, leaf in leaves.items()}
    arrays = {name: pack(kinds[name], leaf) for name, leaf in leaves.items() if leaf is not None}
    bits = {name: array.reshape(-1).view(np.uint8) for name, array in arrays.items()}
    metadata = json_round_trip("save_checkpoint: metadata", dict(metadata or {}))
    sums = {name: zlib.crc32(content.data) for name, content in bits.items()}
    body = {"format": FORMAT, "leaves": kinds, "sums": sums, "metadata": metadata}
    body = json.loads(json.dumps(body))
    header = json.dumps({"checksum": _checksum(body, bits), **body})
    # One entry alone: safetensors writes several in an order that changes from call to call.
    return safetensors.numpy.save(arrays, {"jattn": header})


def load_checkpoint(path: str | os.PathLike, *, like: Any = None, part: str = "") -> Checkpoint:
    """Reads a file that `save_checkpoint` wrote.

    Args:
        like: a tree with the structure, shapes and dtypes to expect (`jax.eval_shape` makes one
            at no cost). Its arrays come back as jax arrays, or as NumPy's where it holds NumPy's.
            An array with a sharding comes back with the same one, and a committed array on the
            same device. Without `like`, the leaves come back in a dict by name, arrays as NumPy's.
        part: the branch to read, `state/params` say; names then start below it.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is damaged or no checkpoint, if it does not fit `like`, or if jax
            arrays cannot hold a dtype (64 bits without `jax_enable_x64`). The message names the
            file and the leaves.
    """
    body, kinds, stored = _read(path)
    kinds = _branch(kinds, part)
    stored = _branch(stored, part)
    if not kinds and part:
        raise ValueError(f"load_checkpoint: {path} has no branch {part}")

    def leaf_of(name: str, leaf: Any = _NUMPY) -> Any:
        try:
            return placed_as(leaf, unpack(kinds[name], stored.get(name), type(leaf)))
        except (TypeError, ValueError) as error:
            stated = f"{name or 'the leaf'} is {kinds[name]}"
            raise ValueError(f"load_checkpoint: {path}: {stated}: {error}") from error

    if like is None:
        return Checkpoint({name: leaf_of(name) for name in kinds}, body["metadata"])
    expected = named_leaves("load_checkpoint", like)
    _check(path, kinds, {n: describe("load_checkpoint", n, leaf) for n, leaf in expected.items()})
    leaves = [leaf_of(name, leaf) for name, leaf in expected.items()]
    structure = jax.tree.structure(like, is_leaf=lambda leaf: leaf is None)
    return Checkpoint(jax.tree.unflatten(structure, leaves), body["metadata"])


def _branch(named: dict[str, Any], part: str) -> dict[str, Any]:
    """Returns the entries at or below `part`, named from there."""
    below = f"{part}/" if part else ""
    return {n[len(below) :]: v for n, v in named.items() if n.startswith(below) or n == part}


def _check(path, stored: dict[str, Description], expected: dict[str, Description]) -> None:
    """Raises ValueError when the two differ; a key that is only a shape has no `impl` to match."""
    differences = [
        f"{name or 'the leaf'} is {stored.get(name, 'missing')} in the file"
        f" and {expected.get(name, 'missing')} in like"
        for name in {**expected, **stored}
        if name not in stored or name not in expected or stored[name][:2] != expected[name][:2]
    ]
    if differences:
        more = f"; and {len(differences) - 5} more" if len(differences) > 5 else ""
        listed = "; ".join(differences[:5])
        raise ValueError(f"load_checkpoint: {path} does not fit: {listed}{more}")


def _read(
    path: str | os.PathLike,
) -> tuple[dict[str, Any], dict[str, Description], dict[str, bytearray]]:
    """Returns the JSON, the leaves' descriptions and their bytes, once they are as saved."""
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
    try:
        body = json.loads(json.loads(content[8 : 8 + size])[RESERVED]["jattn"])
        checksum = body.pop("checksum")
        written_as = body["format"]
        is_damaged = checksum != _checksum(body, stored)
        kinds = {n: Description(k, tuple(s), impl) for n, (k, s, impl) in body["leaves"].items()}
        sums = dict(body.get("sums", {}))  # Files of earlier versions have none.
        dict(body["metadata"])
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"load_checkpoint: {path} is not a checkpoint of jattn") from error
    if is_damaged:
        leaves = [name for name in sums if sums[name] != zlib.crc32(stored.get(name, b""))]
        where = f" at {', '.join(map(repr, leaves[:5]))}" if leaves else ""
        raise ValueError(f"load_checkpoint: {path} is damaged{where} (its checksum is wrong)")
    if written_as != FORMAT:
        raise ValueError(
            f"load_checkpoint: {path} has format {written_as}, this version reads {FORMAT}"
        )
    return body, kinds, stored


def _checksum(body: dict[str, Any], arrays: Mapping[str, Any]) -> str:
    """Returns a hash of the JSON, and of the name, length and bytes of every array."""
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode())
    for name, content in sorted(arrays.items()):
        digest.update(json.dumps([name, len(content)]).encode())
        digest.update(content)
    return digest.hexdigest()
