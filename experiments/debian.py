"""Data from Debian's packages, downloaded with apt-get and unpacked without being installed."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from experiments.archive import DataError, cache


def unpacked(name: str, packages: Sequence[str]) -> Path:
    """Returns the folder `name` of the cache with the files of all packages, as on Debian.

    The packages are downloaded the first time. The file `version` holds their versions.

    Raises:
        DataError: they cannot be had.
    """
    folder = cache() / name
    if not folder.exists():
        _download(folder, packages)
    return folder


def version(folder: Path) -> str:
    """Returns the versions of the packages in a folder."""
    return (folder / "version").read_text("utf-8").strip()


def _download(folder: Path, packages: Sequence[str]) -> None:
    """Unpacks all packages into the folder, whole or not at all."""
    for program in ("apt-get", "dpkg-deb"):
        if not shutil.which(program):
            raise DataError(f"{folder}: {program} is missing, and the data is in Debian's packages")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            _run(["apt-get", "download", *packages], temporary)
            files, found = sorted(Path(temporary).glob("*.deb")), Path(temporary) / "unpacked"
            for file in files:
                _run(["dpkg-deb", "--extract", str(file), str(found)], temporary)
            versions = {_run(["dpkg-deb", "--field", str(f), "Version"], temporary) for f in files}
            (found / "version").write_text(" and ".join(sorted(versions)), "utf-8")
            os.replace(found, folder)
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines()
        reason = next((line for line in lines if line.startswith("E:")), "".join(lines[-1:]))
        raise DataError(f"{folder}: cannot download {' and '.join(packages)}: {reason}") from None
    except OSError as error:
        raise DataError(f"{folder}: {error.strerror or error}") from None


def _run(command: list[str], folder: str) -> str:
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()
