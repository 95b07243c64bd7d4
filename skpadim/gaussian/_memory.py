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
    leaves_out: bool,
    learns_projection: bool = False,
) -> int:
    """Return the bytes of moments and factors, in float32, that a fit needs at its peak."""
    rank, size = n_samples - 1, 2 if compact else 4
    moments = _size_of_moments(rank, n_dimensions)
    is_full = rank * n_components >= count_entries(n_components)
    n_entries = count_entries(n_components) if is_full else rank * n_components
    if is_full or compact or learns_projection or n_components < n_dimensions:
        factors = size * n_entries
    else:
        factors = 0  # in the place of the moments
    if leaves_out and learns_projection:
        # The factor without a fold, in the place of its moments if they are as small.
        factors += _size_of_moments(rank, n_components) + (4 * n_entries if is_full else 0)
    elif leaves_out and is_full:
        factors *= 2
    return n_positions * (moments + factors)


def _size_of_moments(rank: int, n_dimensions: int) -> int:
    return 4 * rank * n_dimensions if rank <= n_dimensions else 8 * n_dimensions**2


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
