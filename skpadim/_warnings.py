"""Warnings that one thread ignores, and no other."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import get_ident


@contextmanager
def ignoring(*categories: type[Warning]) -> Iterator[None]:
    """Ignore warnings in this thread.

    The filters are those of all threads. `warnings.catch_warnings` puts back those it has found: of
    two threads, the one that ends last puts back what the other has set for a while. Here, a filter
    is added that only this thread's warnings match, and that one is taken away.
    """
    thread, active = get_ident(), True

    class OfThisThread(type):
        # What decides whether a warning matches a filter.
        def __subclasscheck__(cls, category: type) -> bool:
            return active and get_ident() == thread and issubclass(category, categories)

    class Ignored(Warning, metaclass=OfThisThread):
        pass

    found = warnings.filters
    try:
        warnings.simplefilter("ignore", Ignored)
        yield
    finally:
        active = False
        # Another thread may have put a copy in place. Both are lists, which typeshed does not say.
        for filters in (found, warnings.filters):
            with suppress(ValueError):
                filters.remove(("ignore", None, Ignored, None, 0))  # type: ignore[attr-defined]
