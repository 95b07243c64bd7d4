"""Work on grid positions, a few at a time and on all cores."""

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from math import ceil

import numpy as np

from skpadim._threads import n_threads, one_blas_thread

# What a core works at is small enough for the cache that cores share, and large enough for the time
# that a hand-over takes.
_CHUNK_BYTES = 8 * 2**20
# Less than this in all is done before another core would have begun.
_SHARED_BYTES = 2**20


def for_positions(work: Callable[[slice], None], n_positions: int, bytes_per_position: int) -> None:
    """Do some work, which takes a slice of grid positions, at all of them.

    Positions are independent, and the matrices of one are small: cores share the positions, and
    BLAS stays on one core for each. Its own threads would spend their time on waiting for one
    another, much of it on a busy machine. `bytes_per_position` is what the work reads and writes.
    """
    if n_positions == 1 or n_positions * bytes_per_position <= _SHARED_BYTES:
        work(slice(0, n_positions))
        return
    n_cores, pool = _cores(os.getpid())
    step = max(1, min(_CHUNK_BYTES // bytes_per_position, ceil(n_positions / n_cores)))
    chunks = [slice(start, min(start + step, n_positions)) for start in range(0, n_positions, step)]
    n_workers = min(len(chunks), n_cores)
    # Whoever is free takes the next chunk; each worker ends at a None of its own.
    waiting = deque([*chunks, *[None] * n_workers])

    errors = np.geterr()  # which other threads do not have

    def take_turns() -> None:
        with np.errstate(**errors):
            for chunk in iter(waiting.popleft, None):
                work(chunk)

    with one_blas_thread():
        # This thread works as well, or else it would wait for another core to wake up.
        others = [pool.submit(take_turns) for _ in range(n_workers - 1)]
        try:
            take_turns()
        finally:
            waiting.extendleft([None] * n_workers)
            begun = [other for other in others if not other.cancel()]
            wait(begun)
    for other in begun:
        other.result()


@cache
def _cores(process_id: int) -> tuple[int, ThreadPoolExecutor]:
    # Counting cores and starting threads takes a fifth of the time of one image. A process that was
    # forked has none of its parent's threads, hence its id among the arguments.
    n_cores = n_threads()
    return n_cores, ThreadPoolExecutor(n_cores, "skpadim-gaussian")
