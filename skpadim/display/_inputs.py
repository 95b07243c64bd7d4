"""What several displays are given: detectors that have heatmaps, and masks."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from skpadim.embedding import PatchEmbedder
from skpadim.images import ImageSequence


def check_heatmap_detector(detector: Any) -> None:
    """Refuse what has no heatmaps of images."""
    if not hasattr(detector, "predict_heatmap"):
        raise TypeError(
            f"detector is a {type(detector).__name__}, which has no predict_heatmap; give a "
            "fitted PaDiM."
        )
    check_is_fitted(detector, "gaussian_")
    if not isinstance(detector.embedder_, PatchEmbedder):
        raise ValueError(
            "the detector takes embeddings, not images: use from_predictions with the heatmaps "
            "that it predicts."
        )


def predict_heatmaps(detector: Any, images: ImageSequence) -> NDArray[np.float32]:
    """Compute heatmaps of whole images at the network's scale, on which decisions are made."""
    # Nothing is interpolated, and the zeros outside a crop change no maximum. Other sizes could
    # miss a peak, and would need a second look for the scores.
    return detector.predict_heatmap(images, size=detector.embedder_.image_size)
