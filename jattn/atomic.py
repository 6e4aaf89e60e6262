"""Files that are replaced whole or not at all."""

import contextlib
import errno
import io
import os
import re
import secrets
import stat
import sys
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

CHUNK = 1 << 20


def write_atomically(path: str | os.PathLike, data: bytes) -> None:
    """Writes `data` to a hidden file beside `path`, and renames it once it is on the disk.

    Whatever interrupts the write (a full disk, Ctrl-C, a power cut), `path` holds its old content
    or the new. Each writer has a hidden file of its own, so with several writers the last one to
    finish wins. The next write to `path` removes the hidden files of killed processes.

    Otherwise `path` is treated as `open` treats it: a symbolic link is followed and stays, the mode
    and owner of an existing file are kept, and a new file gets those of the umask. Other hard links
    to the file keep the old content. A device, a pipe and the standard output of this process
    cannot be replaced; they are written to directly.

    Raises:
        OSError: if `path` cannot be written; its old content is kept, and nothing is left beside.
    """
    path = Path(path)
    try:
        if is_replaceable(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            _replace(Path(os.path.realpath(path)), data)
        else:
            with open_directly(path, "wb") as file:
                _write_all(file, data)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(error.errno, f"cannot write: {reason}", str(path)) from error


def is_replaceable(path: str | os.PathLike) -> bool:
    """Returns whether `path` is a regular file or nothing yet, and not a standard output."""
    status = _status(path)
    return status is None or (stat.S_ISREG(status.st_mode) and _descriptor(status) is None)


def open_directly(path: str | os.PathLike, mode: str) -> io.FileIO:
    """Opens a file without a buffer, as `open` does; standard outputs by their descriptor.

    Opening `/dev/stdout` by name would truncate the file to which the shell redirects it.
    """
    status = _status(path)
    descriptor = None if status is None else _descriptor(status)
    if descriptor is None:
        return io.FileIO(path, mode)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    return io.FileIO(descriptor, mode, closefd=False)


def _status(path: str | os.PathLike) -> os.stat_result | None:
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None


def _descriptor(status: os.stat_result) -> int | None:
    """Returns the descriptor of the standard output that is this file, None if none is."""
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):  # A process may have closed it.
            if os.path.samestat(status, os.fstat(descriptor)):
                return descriptor
    return None


def _write_all(file: io.FileIO, data: bytes) -> None:
    remaining = memoryview(data)
    while remaining:  # A pipe, or a disk that is filling up, takes a part.
        remaining = remaining[file.write(remaining) :]


def _replace(target: Path, data: bytes) -> None:
    """Replaces a regular file, or creates it."""
    status = _status(target)
    if status is not None and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    _remove_leftovers(target)
    # Private until it has the mode of the file that it replaces.
    partial, descriptor = _create_partial(target, 0o666 if status is None else 0o600)
    try:
        with io.FileIO(descriptor, "wb") as file:
            _write_all(file, data)
            if status is not None and hasattr(os, "fchown"):
                with contextlib.suppress(PermissionError):
                    os.fchown(descriptor, status.st_uid, status.st_gid)
                os.fchmod(descriptor, stat.S_IMODE(status.st_mode))
            os.fsync(descriptor)
            if not _holds(partial, data):
                raise OSError(errno.EIO, "the file was changed or cut while it was written")
            if fcntl is None:  # Windows renames no open file; elsewhere, closing it unlocks it.
                file.close()
            os.replace(partial, target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    if os.name == "posix":
        _sync_folder(target.parent)


def _create_partial(target: Path, mode: int) -> tuple[Path, int]:
    """Creates a hidden file that no other writer has, locked for as long as it is open."""
    while True:
        # A name of 50 characters leaves room for the rest in the 255 bytes of a name.
        partial = target.with_name(f".{target.name[:50]}.{secrets.token_hex(8)}.partial")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        descriptor = os.open(partial, flags, mode)
        # Another writer may take the new file for a leftover before it is locked.
        if _is_locked_elsewhere(descriptor) or not partial.exists():
            os.close(descriptor)
            partial.unlink(missing_ok=True)
            continue
        return partial, descriptor


def _remove_leftovers(target: Path) -> None:
    """Removes the hidden files of writers that were killed: no process holds their lock."""
    if fcntl is None:
        return
    leftover = re.compile(re.escape(f".{target.name[:50]}.") + r"[0-9a-f]{16}\.partial")
    for name in os.listdir(target.parent):
        if leftover.fullmatch(name):
            with contextlib.suppress(OSError):
                descriptor = os.open(target.parent / name, os.O_RDWR)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os.unlink(target.parent / name)
                finally:
                    os.close(descriptor)


def _is_locked_elsewhere(descriptor: int) -> bool:
    """Locks an open file; returns whether another process holds its lock."""
    if fcntl is not None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # A file system without locks: leftovers stay there.
            pass
    return False


def _holds(path: Path, data: bytes) -> bool:
    """Returns whether the file holds exactly `data`."""
    remaining = memoryview(data)
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            if chunk != remaining[: len(chunk)]:
                return False
            remaining = remaining[len(chunk) :]
    return not remaining


def _sync_folder(folder: Path) -> None:
    """Waits until the new name itself is on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # Not every file system can.
            raise
    finally:
        os.close(descriptor)
