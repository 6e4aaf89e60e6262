"""Versions of the libraries, and a digest of jattn's sources."""

import hashlib
import importlib.metadata
import platform
from pathlib import Path

import jattn
from experiments.benchmark.prepared import PEERS


def versions() -> dict[str, str]:
    names = ["jaxlib", "numpy", *dict.fromkeys(peer.distribution for peer in PEERS.values())]
    found = {name: version(name) for name in names}
    return {"python": platform.python_version(), **found, "jattn sources": sources()}


def version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "of the checkout" if distribution == "jattn" else "not installed"


def sources() -> str:
    """Returns a digest of jattn's modules, so that no run is continued with other code."""
    digest = hashlib.sha256()
    root = Path(jattn.__file__).parent
    for path in sorted(root.rglob("*.py")):
        digest.update(str(path.relative_to(root)).encode() + path.read_bytes())
    return digest.hexdigest()[:12]
