"""Thresholds from the scores of good samples only."""

import warnings

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from skpadim.gaussian._validation import caller_level


def conformal_offset(scores: NDArray[np.float64], false_alarm_rate: float) -> float:
    """Threshold that a fresh good sample falls below with at most a given probability.

    Of n exchangeable scores the k-th smallest, ``k = floor((n + 1) * false_alarm_rate)``,
    is undercut by a fresh one with probability at most ``k / (n + 1)`` [1]_.

    Parameters
    ----------
    scores : ndarray of shape (n_samples,)
        Scores of good samples that the model has not seen, larger = more normal.
    false_alarm_rate : float
        Probability allowed.

    Returns
    -------
    float
        The threshold on scores.

    Warns
    -----
    UserWarning
        If there are too few scores for the rate; the smallest is the threshold then.

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
    """Threshold by either of the two rules that detectors have.

    Parameters
    ----------
    scores : ndarray of shape (n_samples,)
        Scores, larger = more normal: of unseen good samples for "auto", of the training samples
        themselves for a share.
    contamination : float or "auto"
        Share of the samples below the threshold, or "auto" for `false_alarm_rate`.
    false_alarm_rate : float
        See :func:`conformal_offset`.

    Returns
    -------
    float
        The threshold on scores.
    """
    if contamination == "auto":
        return conformal_offset(scores, false_alarm_rate)
    return float(np.percentile(scores, 100 * float(contamination)))


def check_calibrated(estimator: BaseEstimator) -> None:
    """Refuse to decide without a threshold.

    Parameters
    ----------
    estimator : estimator
        A fitted detector.

    Raises
    ------
    NotFittedError
        If it has no `offset_`.
    """
    if not hasattr(estimator, "offset_"):
        raise NotFittedError(
            f"this {type(estimator).__name__} has no threshold, since it was fitted in parts: call "
            "calibrate with good samples that it has not seen, or set offset_."
        )
