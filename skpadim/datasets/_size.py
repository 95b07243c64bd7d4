"""Sizes of pictures as arguments."""

from collections.abc import Sequence
from numbers import Integral


def check_size(size: int | Sequence[int], *, argument: str, smallest: int = 1) -> tuple[int, int]:
    """Take height and width from one number for both, or two.

    Parameters
    ----------
    size : int or (int, int)
        What the user has given.
    argument : str
        What errors call it.
    smallest : int, default=1
        Least that a side may be.

    Returns
    -------
    (int, int)
        Height and width.

    Raises
    ------
    ValueError
        If a side is too small or no integer, or there are more or fewer than two.
    """
    sides = tuple(size) if isinstance(size, Sequence) else (size, size)
    if len(sides) != 2 or not all(isinstance(s, Integral) and s >= smallest for s in sides):
        raise ValueError(
            f"{argument} must be an int of at least {smallest}, or two of them, (height, width); "
            f"got {size!r}."
        )
    return sides
