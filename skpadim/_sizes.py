"""Sizes of images, heatmaps and masks."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any, TypeAlias

import numpy as np

#: Height and width, in pixels.
Size: TypeAlias = tuple[int, int]


def check_size(size: Any, name: str, *, smallest: int = 1, also: str = "") -> Size:
    """Return (height, width) from one number for both, or two; errors list what is taken `also`."""
    sides = size.tolist() if isinstance(size, np.ndarray) else size
    pair = (sides, sides) if isinstance(sides, Integral) else sides
    if (
        not isinstance(pair, Sequence)
        or len(pair) != 2
        or any(isinstance(side, bool) or not isinstance(side, Integral) for side in pair)
        or min(pair) < smallest
    ):
        number = "positive integer" if smallest == 1 else f"integer of at least {smallest}"
        raise ValueError(
            f"{name}={size!r} must be {also}one {number} or two, (height, width), in pixels."
        )
    height, width = pair
    return int(height), int(width)
