"""Reader of a model in CTranslate2's binary format, version 6.

The file is little-endian: its version, the name and revision of the model's form, the arrays, and
second names of arrays. An array is its name, rank, sizes, a code of its dtype, its number of bytes,
and these bytes.
"""

import struct
from typing import NamedTuple

import numpy as np

VERSION = 6
DTYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}


class WeightFile(NamedTuple):
    """The form of a model, such as WhisperSpec, its revision, and its arrays by name."""

    form: str
    revision: int
    arrays: dict[str, np.ndarray]


def read_weight_file(content: bytes, name: str) -> WeightFile:
    """Reads the arrays of a file; a second name refers to the same array.

    Raises:
        ValueError: naming the file, if it is of another version or damaged.
    """
    place = 0

    def take(count: int) -> bytes:
        nonlocal place
        if place + count > len(content):
            raise ValueError(f"{name}: is cut off after {len(content):,} bytes")
        place += count
        return content[place - count : place]

    def number(code: str) -> int:
        return struct.unpack(f"<{code}", take(struct.calcsize(code)))[0]

    def text() -> str:
        return take(number("H"))[:-1].decode("utf-8", "replace")  # A zero byte ends it.

    version = number("I")
    if version != VERSION:
        raise ValueError(f"{name}: is of version {version}, expected {VERSION} of CTranslate2")
    form, revision, arrays = text(), number("I"), {}
    for _ in range(number("I")):
        key = text()
        shape = [number("I") for _ in range(number("B"))]
        code, size = number("B"), number("I")
        dtype = np.dtype(DTYPES.get(code, np.void))
        if code not in DTYPES or size != dtype.itemsize * int(np.prod(shape)):
            raise ValueError(
                f"{name}: {key!r} has shape {tuple(shape)}, dtype code {code} and {size:,} bytes,"
                " which do not fit"
            )
        arrays[key] = np.frombuffer(take(size), dtype.newbyteorder("<")).reshape(shape)
    for _ in range(number("I")):
        alias, key = text(), text()
        if key not in arrays:
            raise ValueError(f"{name}: {alias!r} is a name of {key!r}, which is not there")
        arrays[alias] = arrays[key]
    if place != len(content):
        raise ValueError(f"{name}: has {len(content) - place:,} bytes after its last array")
    return WeightFile(form, revision, arrays)
