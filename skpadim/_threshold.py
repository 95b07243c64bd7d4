"""Thresholds from the scores of good samples only."""

import warnings

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from skpadim._estimators import caller_level


def conformal_offset(scores: NDArray[np.float64], false_alarm_rate: float) -> float:
    """Return the threshold that a fresh good sample is below with at most a given probability.

    Of n exchangeable scores the k-th smallest, ``k = floor((n + 1) * false_alarm_rate)``,
    is undercut by a fresh one with probability at most ``k / (n + 1)`` [1]_. With too few scores
    for the rate it is the smallest, and a warning says so.

    References
    ----------
    .. [1] Vovk, V., Gammerman, A., & Shafer, G. (2005). Algorithmic learning in a random world.
       Springer.
    """
    # The guard keeps 0.05 * 20 from becoming 0.99999.
    rank = int(np.floor((len(scores) + 1) * false_alarm_rate + 1e-9))
    if rank < 1:
        needed = np.ceil(1 / false_alarm_rate - 1 - 1e-9)
        warnings.warn(
            f"false_alarm_rate={false_alarm_rate} cannot be promised from {len(scores)} good "
            f"samples; it takes at least {needed:.0f}. The threshold is the lowest of their "
            f"scores, which a fresh good sample undercuts with a probability of up to "
            f"{1 / (len(scores) + 1):.2g}. Give more samples, or a larger false_alarm_rate.",
            UserWarning,
            stacklevel=caller_level(),
        )
    return float(np.sort(scores)[np.clip(rank, 1, len(scores)) - 1])


def choose_offset(
    scores: NDArray[np.float64], contamination: float | str, false_alarm_rate: float
) -> float:
    """Return the conformal threshold with "auto", else a quantile of the scores."""
    if contamination == "auto":
        return conformal_offset(scores, false_alarm_rate)
    return float(np.percentile(scores, 100 * float(contamination)))


def check_calibrated(estimator: BaseEstimator) -> None:
    """Raise NotFittedError if a fitted detector has no threshold."""
    if not hasattr(estimator, "offset_"):
        raise NotFittedError(
            f"this {type(estimator).__name__} has no threshold, since it was fitted in parts: call "
            "calibrate with good samples that it has not seen, or set offset_."
        )
