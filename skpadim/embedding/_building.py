"""Networks are built and converted by one thread at a time, and survive a fork."""

import os
from functools import cache, partial
from threading import RLock

# Threads that want the same network wait for the one that builds it, half a module is not to be
# used, and a network is not to be traced twice at a time.
BUILDING = RLock()

_CAN_FORK = hasattr(os, "register_at_fork")  # not on Windows

if _CAN_FORK:
    # Whoever builds a network is waited for: the child has no half of one, and finds no lock that
    # nobody will ever release.
    os.register_at_fork(
        before=BUILDING.acquire, after_in_parent=BUILDING.release, after_in_child=BUILDING.release
    )


@cache
def survive_forks() -> None:
    """Let torch work in processes that are forked from now on, on one thread.

    A fork does not copy the threads that torch shares its work among: it would wait for them for
    ever.
    """
    import torch

    if _CAN_FORK:
        os.register_at_fork(after_in_child=partial(torch.set_num_threads, 1))
