"""What several displays are given: detectors that have heatmaps, and masks."""

from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from skpadim.datasets._masks import read_mask
from skpadim.images import ImageSequence


def check_heatmap_detector(detector: Any) -> None:
    """Refuse what has no heatmaps of images."""
    if not hasattr(detector, "predict_heatmap"):
        raise TypeError(
            f"detector is a {type(detector).__name__}, which has no predict_heatmap; give a "
            "fitted PaDiM."
        )
    check_is_fitted(detector, "gaussian_")
    if isinstance(detector.embedder_, str):
        raise ValueError(
            "the detector takes embeddings, not images: use from_predictions with the heatmaps "
            "that it predicts."
        )


def predict_heatmaps(detector: Any, images: ImageSequence) -> NDArray[np.float32]:
    """Compute heatmaps of whole images at the network's scale, on which decisions are made.

    At this size nothing is interpolated, and the zeros outside a crop change no maximum. Other
    sizes could miss a peak, and would need a second look for the scores.
    """
    return detector.predict_heatmap(images, size=detector.embedder_.image_size)


def check_masks(masks: Any, sizes: list[tuple[int, int]]) -> list[NDArray[np.bool_]]:
    """Return masks as arrays of the sizes of the images."""
    if len(masks) != len(sizes):
        raise ValueError(f"there are {len(masks)} masks for {len(sizes)} images.")
    return [
        _check_mask(mask, size, f"masks[{index}]")
        for index, (mask, size) in enumerate(zip(masks, sizes, strict=True))
    ]


def _check_mask(mask: Any, size: tuple[int, int], name: str) -> NDArray[np.bool_]:
    if mask is None:
        return np.zeros(size, dtype=bool)
    if isinstance(mask, str | PathLike):
        return read_mask(mask, size, name)
    pixels: NDArray = np.asarray(mask)
    if pixels.shape != size:
        raise ValueError(f"{name} has the shape {pixels.shape}, but its image {size}.")
    return pixels != 0
