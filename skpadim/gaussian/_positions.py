"""Work on grid positions, a few at a time and on all cores."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any

from threadpoolctl import ThreadpoolController

from skpadim._threads import n_threads

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
    pool = ThreadPoolExecutor(min(len(chunks), n_threads()), "skpadim-gaussian")
    try:
        with _ONE_BLAS_THREAD:
            for _ in pool.map(work, chunks):
                pass
    finally:
        pool.shutdown(cancel_futures=True)


class _OneBlasThread:
    """Context in which BLAS stays on one thread, for all threads that are in it at a time.

    The first to enter sets the limit and the last to leave restores what was before: if each did
    so for itself, one might save another's limit and restore that.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._users = 0
        self._controller: ThreadpoolController | None = None
        self._limit: Any = None

    def __enter__(self) -> None:
        with self._lock:
            if self._users == 0:
                # Finding the libraries takes milliseconds, limiting them none.
                self._controller = self._controller or ThreadpoolController()
                self._limit = self._controller.limit(limits=1, user_api="blas")
            self._users += 1

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._limit.restore_original_limits()


_ONE_BLAS_THREAD = _OneBlasThread()
