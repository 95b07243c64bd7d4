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

# Every fourth pixel along each side tells the colours.
_STEP = 4


def note_of(picture: NDArray[np.uint8], *, hashed: bool) -> tuple:
    """Return what is noted of a picture of shape (height, width, 3); its hash only on demand."""
    red, green, blue = np.moveaxis(picture[::_STEP, ::_STEP].astype(np.int16), 2, 0)
    return (
        True,
        content_hash(picture) if hashed else 0,
        picture.min(),
        picture.max(),
        bool((red == green).all() and (green == blue).all()),
        (red - blue).mean(),
    )
