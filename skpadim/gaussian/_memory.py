"""Whether a model fits in memory, told before long work."""

import os
from pathlib import Path

from skpadim.gaussian._triangles import count_entries

# What a container may use, by the second and the first version of cgroups.
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def memory_needed(
    n_samples: int,
    n_positions: int,
    n_dimensions: int,
    n_components: int,
    *,
    compact: bool,
    leaves_one_out: bool,
) -> int:
    """Return the bytes of moments and factors, in float32, that a fit needs at its peak."""
    rank, size = n_samples - 1, 2 if compact else 4
    moments = 4 * rank * n_dimensions if rank < n_dimensions else 8 * n_dimensions**2
    if rank * n_components >= count_entries(n_components):
        factors = (2 if leaves_one_out else 1) * size * count_entries(n_components)
    elif compact or n_components < n_dimensions:
        factors = size * rank * n_components
    else:
        factors = 0  # in the place of the moments
    return n_positions * (moments + factors)


def memory_available() -> float:
    """Return the bytes of memory that this process can still have; infinity where nobody knows."""
    limits = [float("inf")]
    for path in map(Path, _LIMITS):
        if path.exists() and (text := path.read_text().strip()).isdecimal():
            limits.append(int(text))
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        sizes = dict(line.split(":") for line in meminfo.read_text().splitlines())
        kib = [sizes.get(name, "0 kB").split()[0] for name in ("MemAvailable", "SwapFree")]
        limits.append(1024 * sum(map(int, kib)))
    elif "SC_PHYS_PAGES" in getattr(os, "sysconf_names", {}):
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min(limits)


def check_available_memory(needed: int, what: str, compact: bool) -> None:
    """Raise MemoryError if a fit needs more bytes than there are; it says what to change."""
    available = memory_available()
    if needed > available:
        raise MemoryError(
            f"moments and factors of {what} take {needed / 1e9:,.1f} GB, but "
            f"{available / 1e9:,.1f} GB of memory are available. Lower n_components, or make the "
            "grid coarser: raise grid_stride or lower image_size of the embedder."
            f"{'' if compact else ' compact=True halves the factors.'}"
        )
