"""Sizes of pictures as arguments."""

from collections.abc import Sequence
from numbers import Integral


def check_size(size: int | Sequence[int], *, argument: str, smallest: int = 1) -> tuple[int, int]:
    """Return (height, width) from one number for both, or two."""
    sides = tuple(size) if isinstance(size, Sequence) else (size, size)
    if len(sides) != 2 or not all(isinstance(s, Integral) and s >= smallest for s in sides):
        raise ValueError(
            f"{argument} must be an int of at least {smallest}, or two of them, (height, width); "
            f"got {size!r}."
        )
    return sides
