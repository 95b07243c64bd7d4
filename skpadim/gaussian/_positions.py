"""Work on grid positions, a few at a time and on all cores."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import joblib
from threadpoolctl import ThreadpoolController

# What a few positions need stays within a core's cache.
_CHUNK_BYTES = 2 * 2**20


def for_positions(work: Callable[[slice], None], n_positions: int, bytes_per_position: int) -> None:
    """Do some work at all grid positions.

    Positions are independent, and the matrices of one are small: cores share the positions, and
    BLAS stays on one core for each. Its own threads would spend their time on waiting for one
    another, much of it on a busy machine.

    Parameters
    ----------
    work : callable
        Takes the slice of positions to work at.
    n_positions : int
        Number of grid positions.
    bytes_per_position : int
        Size in bytes of what the work reads and writes at one position.
    """
    step = max(1, _CHUNK_BYTES // max(1, bytes_per_position))
    chunks = [slice(start, min(start + step, n_positions)) for start in range(0, n_positions, step)]
    if len(chunks) == 1:
        work(chunks[0])
        return
    pool = ThreadPoolExecutor(min(len(chunks), joblib.cpu_count()), "skpadim-gaussian")
    try:
        with _controller().limit(limits=1, user_api="blas"):
            for _ in pool.map(work, chunks):
                pass
    finally:
        pool.shutdown(cancel_futures=True)


@lru_cache(maxsize=1)
def _controller() -> ThreadpoolController:
    # Finding the libraries takes milliseconds, limiting them none.
    return ThreadpoolController()
