"""Labels of samples: +1 is good, -1 is defective."""

import warnings
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_consistent_length, column_or_1d

from skpadim._estimators import caller_level

Samples = TypeVar("Samples", bound=Any)


def good_samples(y: Any, n_samples: int) -> NDArray[np.intp] | None:
    """Return the positions of samples labelled +1; None if all are, or if there are other labels.

    Labels other than +1 and -1 are ignored, with a warning.
    """
    if y is None:
        return None
    y = column_or_1d(y)
    check_consistent_length(y, np.empty(n_samples))
    labels = np.unique(y).tolist()
    if not set(labels) <= {1, -1}:
        warnings.warn(
            f"y is ignored, since its labels {labels[:4]} are not +1 for good and -1 for defective "
            "samples: all samples are taken for good. If 1 means defective, give 1 - 2 * y.",
            UserWarning,
            stacklevel=caller_level(),
        )
        return None
    good = np.flatnonzero(y == 1)
    if len(good) == 0:
        raise ValueError("y has no label +1: there is no good sample to learn from.")
    return None if len(good) == n_samples else good


def only_good(samples: Samples, y: Any, at_least: int = 1) -> Samples:
    """Return the samples that are not labelled defective; raise if they are too few."""
    good = good_samples(y, len(samples))
    kept = samples if good is None else samples[good]
    if len(kept) < at_least:
        raise ValueError(
            f"X has n_samples={len(kept)} good sample: one sample has no covariance. Give at least "
            f"{at_least} good ones, and 1 / false_alarm_rate - 1 or more for the rate to hold."
        )
    return kept


def check_labels(y: NDArray) -> None:
    """Raise if there are labels other than +1 and -1."""
    labels = np.unique(np.asarray(y))
    if not set(labels.tolist()) <= {1, -1}:
        raise ValueError(
            f"y has the labels {labels.tolist()[:5]}; as everywhere in scikit-learn's outlier "
            "detection, +1 is good and -1 is defective. From 1 = defective: y = 1 - 2 * y."
        )


def image_labels(y: ArrayLike | None, n_images: int) -> NDArray | None:
    """Return the labels, one for each image; raise if they are not."""
    if y is None:
        return None
    labels = np.asarray(y)
    if labels.shape != (n_images,):
        raise ValueError(
            f"y has the shape {labels.shape} for {n_images} images; give one label for each."
        )
    check_labels(labels)
    return labels
