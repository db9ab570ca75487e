"""The machine in words, and CPU time of process families from /proc (through psutil)."""

import os
import platform
from collections.abc import Mapping
from pathlib import Path

import psutil


def describe() -> str:
    """One sentence about what the figures were measured on."""
    memory = psutil.virtual_memory().total / 1024**3
    system = f"{platform.system()} {platform.release()}"
    return (
        f"{cores()} cores ({_processor()}), {memory:.0f} GB of memory, {system}, "
        f"Python {platform.python_version()}; the broker, the database and the load generator "
        "share these cores with Concert"
    )


def cores() -> int:
    """How many cores this machine has."""
    return os.cpu_count() or 1


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def load_average() -> float:
    """Processes that wanted a core in the last minute."""
    return os.getloadavg()[0]


def stolen_seconds() -> float:
    """Time so far in which a core had work and the host gave it to others, over all cores.

    A virtual machine on Linux knows; elsewhere it is 0.
    """
    return float(getattr(psutil.cpu_times(), "steal", 0.0))


def cpu_seconds(pids: Mapping[str, int]) -> dict[str, float]:
    """CPU time so far of each named process with all its children, the ended ones included."""
    return {name: _family(psutil.Process(pid)) for name, pid in pids.items()}


def _family(process: psutil.Process) -> float:
    own = process.cpu_times()
    total = own.user + own.system + own.children_user + own.children_system
    return float(total + sum(_child(child) for child in process.children()))


def _child(process: psutil.Process) -> float:
    """Of a child that has just ended its parent knows the time, from the next look on."""
    try:
        return _family(process)
    except psutil.NoSuchProcess:
        return 0.0


def memory_mb(pids: Mapping[str, int]) -> dict[str, float]:
    """Resident memory of each named process alone, in MB."""
    return {name: psutil.Process(pid).memory_info().rss / 1024**2 for name, pid in pids.items()}
