"""Thresholds from the scores of good samples only."""

import warnings
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.exceptions import NotFittedError

from skpadim._estimators import caller_level
from skpadim._known_samples import refuse_known
from skpadim._labels import check_labels
from skpadim._suspects import warn_of_suspects
from skpadim._training_images import warn_of_copies


class ThresholdMixin(OutlierMixin):
    """Outlier detector that decides by a threshold on its scores.

    It has `fit`, `score_samples`, `_check_fitted` and the parameter `false_alarm_rate`.
    `_score_good(X, y)` returns the scores, hashes and names of samples that are not labelled
    defective.
    """

    grid_shape_: tuple[int, ...]
    _known_hashes: NDArray[np.uint64] | None = None  # None where the samples are not known

    offset_: float
    calibration_scores_: NDArray[np.float64]

    def calibrate(self, X: Any, y: Any = None) -> Self:
        """Set the threshold from good samples that the model has not seen.

        Parameters
        ----------
        X : images or embeddings, as in `fit`
            Good ones.
        y : array-like of shape (n_samples,), int, or None
            Labels: samples that are labelled -1, for defective, are left out. There must be no
            others than these and +1.

        Returns
        -------
        object
            The estimator itself, with an `offset_` that a fresh good sample is below with a
            probability of at most `false_alarm_rate`.

        Raises
        ------
        ValueError
            If there are other labels than +1 and -1, or no label +1, before a sample is read; if
            the model was trained on some of the samples, whose names or indices are told.
        """
        self._validate_params()
        check_labels(y)
        scores, hashes, names = self._score_good(X, y)
        refuse_known(hashes, self._known_hashes, names)
        if self.grid_shape_:  # plain samples may well be alike, or outliers
            warn_of_copies(names, hashes, what="calibration")
            warn_of_suspects(names, scores, what="calibration")
        self._set_offset(scores, "auto")
        return self

    def fit_predict(self, X: Any, y: Any = None) -> NDArray[np.intp]:
        """Learn from the good samples, then judge all of them.

        Decisions on samples that were learnt from are in-sample: such are seldom called defective.

        Parameters
        ----------
        X : images or embeddings, as in `fit`
            Samples.
        y : array-like of shape (n_samples,), int, or None
            Labels, as in `fit`: samples that are labelled -1, for defective, are not learnt from.

        Returns
        -------
        ndarray of shape (n_samples,), int
            ``fit(X, y).predict(X)``: +1 for good samples, -1 for defective ones.
        """
        return self.fit(X, y).predict(X)

    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """Score samples relative to the threshold.

        Parameters
        ----------
        X : images or embeddings, as in `fit`
            Samples to score.

        Returns
        -------
        ndarray of shape (n_samples,), float64
            ``score_samples(X) - offset_``; negative for defective samples, the outliers.
        """
        self._check_fitted()
        check_calibrated(self)
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> NDArray[np.intp]:
        """Return whether samples are good or defective.

        Parameters
        ----------
        X : images or embeddings, as in `fit`
            Samples to judge.

        Returns
        -------
        ndarray of shape (n_samples,), int
            +1 for good samples, the inliers, and -1 for defective ones, the outliers.
        """
        return np.where(self.decision_function(X) < 0, -1, 1)

    def _set_offset(self, scores: NDArray[np.float64], contamination: float | str) -> None:
        self.offset_ = choose_offset(scores, contamination, self.false_alarm_rate)
        self.calibration_scores_ = scores

    def _become(self, model: Self) -> Self:
        # At once, and only now that nothing can fail: errors and Ctrl-C leave the old model.
        self.__dict__ = model.__dict__
        return self


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
