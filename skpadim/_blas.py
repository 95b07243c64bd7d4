"""BLAS on one thread, for matrices so small that its own threads are in the way."""

from threading import Lock
from typing import Any

from threadpoolctl import ThreadpoolController


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


ONE_BLAS_THREAD = _OneBlasThread()
