"""How many threads this process may use, and BLAS."""

import os
from threading import Lock
from typing import Any

import joblib
from threadpoolctl import ThreadpoolController


def n_threads() -> int:
    """Return how many threads this process may use."""
    n_cores = joblib.cpu_count()
    # It tells the workers of joblib, dask and ray their share of a machine.
    limit = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return max(1, min(n_cores, int(limit))) if limit.isdecimal() else n_cores


class _OneBlasThread:
    """Context in which BLAS stays on one thread, for all threads that are in it at a time."""

    def __init__(self) -> None:
        self._lock = Lock()
        # The first sets the limit, the last restores what was before: if each did so for itself,
        # one might save another's limit and restore that.
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
