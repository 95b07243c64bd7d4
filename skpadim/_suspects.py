"""Good samples that look defective by the scores that a threshold is to come from."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from skpadim._known_samples import listed
from skpadim._training_images import warn_of_images

# Fewer scores do not tell how far good ones lie apart.
_MIN_SAMPLES = 10

# Distances of good samples are compared as logarithms. Sets differ in how far these are apart, and
# the largest of a small set is that of a good sample as well: hence no spread is taken for less.
_MIN_SPREAD = 0.1

# A warning needs a distance this many spreads above the median, or one that is less far from it
# but three times the median. Then others are named too that alone would not have been enough.
_FAR, _FAR_OF_LARGE, _LARGE = 7.0, 4.0, 3.0
_ALSO_FAR, _ALSO_LARGE = 3.0, 2.5


def suspects(scores: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the positions of samples that look defective, the worst one first.

    The spread is the largest of three estimates, none of which a tenth of defects changes by much.
    """
    none = np.array([], np.intp)
    distances = -scores
    if len(distances) < _MIN_SAMPLES or not np.median(distances) > 0:
        return none
    logarithms = np.log(np.clip(distances, 1e-300, 1e300))
    low, median, high = np.quantile(logarithms, [0.16, 0.5, 0.75])
    above = logarithms - median
    deviation = 1.4826 * np.median(np.abs(above))
    spreads = above / max(median - low, deviation, (high - median) / 0.6745, _MIN_SPREAD)
    ratios = np.exp(above)
    if not np.any((spreads > _FAR) | ((spreads > _FAR_OF_LARGE) & (ratios > _LARGE))):
        return none
    named = (spreads > _FAR) | ((spreads > _ALSO_FAR) & (ratios > _ALSO_LARGE))
    found = np.flatnonzero(named)
    return found[np.argsort(scores[found], kind="stable")]


def warn_of_suspects(
    names: Sequence[str], scores: NDArray[np.float64], what: str = "training"
) -> None:
    """Warn of samples that look defective by the scores that a threshold is to come from."""
    found = suspects(scores)
    if len(found):
        examples = listed([f"{names[i]} ({scores[i]:.2f})" for i in found.tolist()])
        warn_of_images(
            "suspects",
            f"{len(found)} of {len(scores)} {what} samples look defective by their scores: "
            f"{examples}; the median is {np.median(scores):.2f}. Defects among good samples make "
            "others be missed. Look at them, and leave out what is defective.",
        )
