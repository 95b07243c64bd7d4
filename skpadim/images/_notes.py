"""What is noted of pictures on their way to the network."""

import numpy as np
from numpy.typing import NDArray

from skpadim._known_samples import content_hash

# Of each picture as the network sees it: whether it has been seen yet, the hash of its bytes, its
# extreme values, whether all channels are equal, and the difference of two of them.
NOTES = np.dtype(
    [
        ("seen", "?"),
        ("hash", "<u8"),
        ("darkest", "u1"),
        ("brightest", "u1"),
        ("grey", "?"),
        ("red_minus_blue", "<f4"),
    ]
)

# Every eighth pixel along each side tells the colours.
_STEP = 8


def note_of(picture: NDArray[np.uint8], *, hashed: bool) -> tuple:
    """Return what is noted of a picture of shape (height, width, 3); its hash only on demand."""
    red, green, blue = np.ascontiguousarray(picture[::_STEP, ::_STEP].reshape(-1, 3).T)
    return (
        True,
        content_hash(picture) if hashed else 0,
        picture.min(),
        picture.max(),
        np.array_equal(red, green) and np.array_equal(green, blue),
        (int(red.sum()) - int(blue.sum())) / len(red),
    )
