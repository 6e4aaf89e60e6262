"""What a run is made on and of: processor, memory, versions, and jattn's own sources."""

import hashlib
import importlib.metadata
import os
import platform
from pathlib import Path

import jattn
from experiments.benchmark.prepared import PEERS

VECTORS = {"avx512f": "AVX-512", "avx2": "AVX2", "asimd": "NEON"}


def machine() -> dict[str, str | int]:
    """Its kind alone: no name and no host."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cores": cores or 1,
        "architecture": platform.machine(),
        "vectors": vectors(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": platform.system(),
    }


def vectors() -> str:
    """The widest vector instructions."""
    try:
        flags = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return "unknown"
    return next((name for flag, name in VECTORS.items() if flag in flags), "none")


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
    """A digest of jattn's modules, so that a run is not continued with others."""
    digest = hashlib.sha256()
    root = Path(jattn.__file__).parent
    for path in sorted(root.rglob("*.py")):
        digest.update(str(path.relative_to(root)).encode() + path.read_bytes())
    return digest.hexdigest()[:12]
