"""Labels of samples: +1 is good, -1 is defective."""

import warnings
from collections.abc import Sized
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_consistent_length, column_or_1d

from skpadim._estimators import caller_level


def good_samples(
    X: Any, y: Any, *, at_least: int = 1, plain: bool = False
) -> NDArray[np.intp] | slice:
    """Return where in X the good samples are: those labelled +1, or all without labels.

    `plain` says that X has the shape (n_samples, n_features). Labels 0, 1, 2 and so on are then
    ignored, with a warning, since scikit-learn's checks of estimators demand it.
    """
    if y is None:
        return _enough(slice(None), X, at_least)
    labels = column_or_1d(y)
    if plain and _are_classes(labels):
        warnings.warn(
            f"y is ignored, since its labels {_some(labels)} are not +1 for good and -1 for "
            "defective samples: all samples are taken for good. " + _how_to_turn(labels),
            UserWarning,
            stacklevel=caller_level(),
        )
        return _enough(slice(None), X, at_least)
    check_labels(labels)
    # What is no sequence at all is for others to refuse.
    if isinstance(X, Sized) and not isinstance(X, str):
        check_consistent_length(labels, np.empty(len(X)))
    good = np.flatnonzero(labels == 1)
    if len(good) == 0:
        raise ValueError("y has no label +1, and all else is left out: there is no good sample.")
    return _enough(good, good, at_least)


def _enough(good: Any, kept: Any, at_least: int) -> Any:
    """Return what was chosen; raise if it is too little to learn from."""
    if isinstance(kept, Sized) and not isinstance(kept, str) and 0 < len(kept) < at_least:
        raise ValueError(
            f"X has n_samples={len(kept)} good sample: one sample has no covariance. Give at least "
            f"{at_least} good ones, and 1 / false_alarm_rate - 1 or more for the rate to hold."
        )
    return good


def check_labels(y: ArrayLike | None) -> None:
    """Raise if there are labels other than +1 and -1; None is no labels."""
    if y is None:
        return
    labels = np.ravel(np.asarray(y))
    if _are_booleans(labels) or not set(labels.tolist()) <= {1, -1}:
        raise ValueError(
            f"y has the labels {_some(labels)}; as everywhere in scikit-learn's outlier "
            "detection, +1 is good and -1 is defective. " + _how_to_turn(labels)
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


def _are_booleans(labels: NDArray) -> bool:
    # In Python, True is 1.
    return labels.dtype.kind == "b" or any(isinstance(label, bool) for label in labels.tolist())


def _are_classes(labels: NDArray) -> bool:
    """Whether labels are such as scikit-learn's checks give: 0, 1, 2 and so on, not 1 alone."""
    found = set(labels.tolist())
    return (
        not _are_booleans(labels)
        and found != {1}
        and all(isinstance(label, int | float) and label >= 0 for label in found)
    )


def _some(labels: NDArray) -> list[Any]:
    """Return up to five different labels, sorted if they can be."""
    found = list(dict.fromkeys(labels.tolist()))
    if all(isinstance(label, int | float) for label in found):
        found = sorted(found)
    return found[:5]


def _how_to_turn(labels: NDArray) -> str:
    """Return the line that turns labels of a known kind."""
    found = set(labels.tolist())
    if _are_booleans(labels):
        return "From True = defective: y = np.where(y, -1, 1)."
    if any(isinstance(label, str) for label in found):
        names = [label for label in _some(labels) if isinstance(label, str)]
        good = "good" if "good" in found else names[0]
        return f"From {good!r} = good: y = np.where(np.asarray(y) == {good!r}, 1, -1)."
    if found <= {0, 1}:
        return "From 1 = defective: y = 1 - 2 * y. From 1 = good: y = 2 * y - 1."
    return "From 0 = good: y = np.where(np.asarray(y) == 0, 1, -1)."
