"""The machine of a run: processor and memory, without names."""

import os
import platform
from pathlib import Path

VECTORS = {"avx512f": "AVX-512", "avx2": "AVX2", "asimd": "NEON"}


def machine() -> dict[str, str | int]:
    """Returns the kind of the machine, without user or host name."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cores": cores or 1,
        "architecture": platform.machine(),
        "vectors": vectors(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": platform.system(),
    }


def vectors() -> str:
    """Returns the widest vector instructions."""
    try:
        flags = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return "unknown"
    return next((name for flag, name in VECTORS.items() if flag in flags), "none")
