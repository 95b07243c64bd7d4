"""How many threads this process may use, and BLAS."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

import joblib
from threadpoolctl import LibController, ThreadpoolController


def n_threads() -> int:
    """Return how many threads this process may use."""
    n_cores = joblib.cpu_count()
    # It tells the workers of joblib, dask and ray their share of a machine.
    limit = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return max(1, min(n_cores, int(limit))) if limit.isdecimal() else n_cores


class _BlasLimit:
    """One thread for BLAS, as long as there are users.

    The first user notes how many threads there were, and the last one sets them again: if each did
    so for itself, one might note another's limit and set that. Ctrl-C can come anywhere: what was
    noted is kept until it is set again, and everything may be done twice.
    """

    def __init__(self) -> None:
        self._controllers: list[LibController] = []
        self._before: list[int] = []
        self._begin()
        if hasattr(os, "register_at_fork"):  # not on Windows
            os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        # A process that was forked has none of its parent's threads.
        self._lock = Lock()
        self._users: set[object] = set()

    def take(self, user: object) -> None:
        with self._lock:
            self._users.add(user)
            if len(self._users) > 1:
                return
            # Finding the libraries takes milliseconds, limiting them none.
            self._controllers = self._controllers or _blas_controllers()
            self._before = self._before or [blas.num_threads for blas in self._controllers]
            for blas in self._controllers:
                blas.set_num_threads(1)

    def leave(self, user: object) -> None:
        with self._lock:
            self._users.discard(user)
            if not self._users and self._before:
                for blas, number in zip(self._controllers, self._before, strict=True):
                    blas.set_num_threads(number)
                self._before = []


def _blas_controllers() -> list[LibController]:
    return ThreadpoolController().select(user_api="blas").lib_controllers


_LIMIT = _BlasLimit()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep BLAS on one thread, for all threads that are in this context at a time."""
    user = object()
    try:
        _LIMIT.take(user)
        yield
    finally:
        try:
            _LIMIT.leave(user)
        except BaseException:
            _LIMIT.leave(user)  # Ctrl-C has come there
            raise
