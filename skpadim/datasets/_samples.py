"""Images with what is known of them, and the form in which loaders return them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import Bunch

from skpadim._formats import reason_of
from skpadim._masks import mask_size
from skpadim._orientation import read_size
from skpadim.datasets._files import mask_array, path_array


class Sample(NamedTuple):
    """An image, its defect ("good" if it has none), and its mask if it has one."""

    image: Path
    defect: str = "good"
    mask: Path | None = None


def labelled(samples: Sequence[Sample], *, part: str = "", check: bool = True) -> dict[str, Any]:
    """Return paths ``X``, labels ``y``, ``masks`` and ``defects``, with `part` behind each name."""
    for sample in samples if check else ():
        check_mask(sample)
    defects = np.array([sample.defect for sample in samples], dtype=np.str_)
    return {
        f"X{part}": path_array([sample.image for sample in samples]),
        f"y{part}": np.where(defects == "good", 1, -1),
        f"masks{part}": mask_array([sample.mask for sample in samples]),
        f"defects{part}": defects,
    }


def split(
    train: Sequence[Path], test: Sequence[Sample], *, check: bool = True, **more: Any
) -> Bunch:
    """Return a Bunch of good images to learn from and labelled ones to test."""
    return Bunch(X_train=path_array(train), **labelled(test, part="_test", check=check), **more)


def check_mask(sample: Sample) -> None:
    """Raise if a mask has another size than its image, as both are to be seen."""
    if sample.mask is None:
        return
    try:
        image_height, image_width = read_size(sample.image)
    except Exception as error:
        raise ValueError(f"{sample.image} {reason_of(error)}.") from error
    height, width = mask_size(sample.mask)
    if (height, width) != (image_height, image_width):
        raise ValueError(
            f"{sample.mask} has {width} x {height} pixels, but its image {sample.image} has "
            f"{image_width} x {image_height}. Resize one to the other; masks to the nearest pixel."
        )
