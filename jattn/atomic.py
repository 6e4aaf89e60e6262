"""Files that are replaced whole or not at all."""

import os
from pathlib import Path


def write_atomically(path: str | os.PathLike, data: bytes) -> None:
    """Writes `data` beside `path` under a hidden name, and renames it once it is on the disk.

    Whatever stops it, a full disk, Ctrl-C or the power, `path` holds its old content or the new.
    The hidden name is fixed, so what a killed process left behind is overwritten the next time.

    Raises:
        OSError: naming `path`; nothing is left beside it.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(partial, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OSError(error.errno, f"cannot write: {error.strerror}", str(path)) from error
    if os.name == "posix":  # The new name itself is on the disk once the directory is.
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
