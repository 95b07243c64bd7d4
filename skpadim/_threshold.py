"""Thresholds from the scores of good samples only."""

import warnings
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils._param_validation import validate_parameter_constraints

from skpadim._estimators import caller_level, shallow_copy
from skpadim._known_samples import refuse_known
from skpadim._labels import check_labels
from skpadim._suspects import warn_of_suspects
from skpadim._training_images import warn_of_copies

# A score below this is that of a distance that is not finite, smoothed or not. Finite ones in
# float32 end at 2e19, the root of its largest number.
_INFINITE = -1e20


# What a threshold is, in an estimator's `__dict__`.
_ATTRIBUTES = ("offset_", "calibration_scores_", "_choice")


class _Choice(NamedTuple):
    """What a threshold was chosen by, and the parameters then, so that a change is noticed."""

    by: str  # "fit", "calibrate" or "user"
    contamination: float | str  # of calibrate always "auto"
    false_alarm_rate: float
    for_scores: dict[str, Any]  # parameters that change scores at once


class ThresholdMixin(OutlierMixin):
    """Outlier detector that decides by a threshold on its scores.

    It has `fit`, `score_samples`, `_check_fitted` and the parameters `false_alarm_rate` and
    `contamination`. `_score_good(X, y)` returns the scores, hashes and names of samples that are
    not labelled defective.
    """

    _parameter_constraints: dict
    contamination: float | str
    false_alarm_rate: float
    grid_shape_: tuple[int, ...]
    _known_hashes: NDArray[np.uint64] | None = None  # None where the samples are not known
    calibration_scores_: NDArray[np.float64]

    @property
    def offset_(self) -> float:
        """Threshold on scores: samples whose score is at least this are good.

        It follows `false_alarm_rate`, and a `contamination` that is a share, at once when they are
        set after `fit`: it is chosen from the same `calibration_scores_` then. One that is set by
        hand stays as it is.

        Returns
        -------
        float
            The threshold; ``decision_function = score_samples - offset_``.

        Raises
        ------
        AttributeError
            If the detector has no threshold.
        ValueError
            If `false_alarm_rate` or `contamination` is invalid.
        """
        return self._threshold()[0]

    @offset_.setter
    def offset_(self, offset: float) -> None:
        number = np.asarray(offset)
        if number.ndim > 0 or number.dtype.kind not in "iuf" or np.isnan(number):
            raise ValueError(f"offset_={offset!r} must be a number: it is compared with scores.")
        self._note_offset(float(number), "user", self.contamination)

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
            If there are other labels than +1 and -1, before a sample is read; if the model was
            trained on some of the samples, whose names or indices are told; or if so many distances
            are not finite that the threshold would call everything good.
        """
        model = shallow_copy(self)
        model._validate_params()
        check_labels(y)
        scores, hashes, names = model._score_good(X, y)
        refuse_known(hashes, model._known_hashes, names)
        if model.grid_shape_:  # plain samples may well be alike, or outliers
            warn_of_copies(names, hashes, what="calibration")
            warn_of_suspects(names, scores, what="calibration")
        model._set_offset(scores, "calibrate")
        return self._become(model)

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
        model = shallow_copy(self)
        model._check_fitted()
        check_calibrated(model)
        return model.score_samples(X) - model.offset_

    def predict(self, X: Any) -> NDArray[np.intp]:
        """Return whether samples are good or defective.

        Parameters
        ----------
        X : images or embeddings, as in `fit`
            Samples to judge.

        Returns
        -------
        ndarray of shape (n_samples,), int
            +1 for good samples, the inliers, and -1 for defective ones, the outliers. A sample is
            good only where its score is a number and at least `offset_`.
        """
        # The opposite of "less" would let what is not a number pass for good.
        return np.where(self.decision_function(X) >= 0, 1, -1)

    def _set_offset(self, scores: NDArray[np.float64], by: str) -> None:
        """Choose the threshold from scores of good samples, for "fit" or "calibrate"."""
        contamination = self.contamination if by == "fit" else "auto"
        if contamination == "auto":
            _warn_of_too_few(len(scores), self.false_alarm_rate)
        offset = choose_offset(scores, contamination, self.false_alarm_rate)
        if not offset > _INFINITE:
            raise ValueError(
                f"{np.sum(~(scores > _INFINITE))} of {len(scores)} good samples have distances "
                "that are not finite, so that a threshold from their scores would call everything "
                "good: bring the embeddings to a smaller scale, or raise reg_covar."
            )
        self.calibration_scores_ = scores
        self._note_offset(offset, by, contamination)

    def _note_offset(self, offset: float, by: str, contamination: float | str) -> None:
        # Both at once, for other threads.
        self.__dict__.update(offset_=offset, _choice=self._choose(by, contamination))

    def _choose(self, by: str, contamination: float | str) -> _Choice:
        return _Choice(by, contamination, self.false_alarm_rate, self._get_score_parameters())

    def _drop_threshold(self) -> None:
        for name in _ATTRIBUTES:
            self.__dict__.pop(name, None)

    def _take_threshold(self, other: Self) -> None:
        """Set the threshold to that of another model of the same scores."""
        self.__dict__.update({name: vars(other)[name] for name in _ATTRIBUTES})

    def _get_score_parameters(self) -> dict[str, Any]:
        """Return the parameters that change scores at once, without another fit."""
        return {}

    def _threshold(self) -> tuple[float, _Choice | None]:
        """Return the threshold for the present parameters, and what it is chosen by.

        None stands for a choice that is not known: pickles of older versions do not have it.
        """
        state = vars(self).copy()
        if "offset_" not in state:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute 'offset_'")
        offset: float = state["offset_"]
        choice: _Choice | None = state.get("_choice")
        if choice is None or choice.by == "user":
            return offset, choice
        contamination, rate = choice.contamination, state["false_alarm_rate"]
        if choice.by == "fit" and not _needs_other_scores(choice, state["contamination"]):
            contamination = state["contamination"]
        present = choice._replace(contamination=contamination, false_alarm_rate=rate)
        if present == choice:
            return offset, choice
        names = ("contamination", "false_alarm_rate")
        validate_parameter_constraints(
            {name: self._parameter_constraints[name] for name in names},
            {name: state[name] for name in names},
            caller_name=type(self).__name__,
        )
        return choose_offset(state["calibration_scores_"], contamination, rate), present

    def _restore_threshold(self, offset: float, record: dict[str, Any] | None) -> None:
        """Set a threshold of a file; where it does not say what it was chosen by, find out."""
        scores = vars(self).get("calibration_scores_")
        if record is not None:
            choice = _Choice(**record)
            known = choice.by in ("fit", "user") or choice[:2] == ("calibrate", "auto")
            if not known or not isinstance(choice.for_scores, dict):
                raise ValueError(f"its threshold was chosen by {choice}")
            if choice.by != "user" and scores is None:
                raise ValueError("it has no scores that its threshold was chosen from")
        else:
            choice = self._choose("user", self.contamination)
            for by, contamination in (("calibrate", "auto"), ("fit", self.contamination)):
                rule = contamination, self.false_alarm_rate
                if scores is not None and offset == choose_offset(scores, *rule):
                    choice = self._choose(by, contamination)
        self.__dict__.update(offset_=offset, _choice=choice)

    def _warn_of_stale_threshold(self) -> None:
        """Warn where the threshold was chosen with other parameters and cannot follow."""
        choice: _Choice | None = vars(self).get("_choice")
        if choice is None:
            return
        scores_now = self._get_score_parameters()
        if scores_now != choice.for_scores:
            self._validate_params()  # an invalid one is not stale but wrong
        for name, before in choice.for_scores.items():
            now = scores_now.get(name)
            if now != before:
                _warn(
                    f"{name} was {before!r} when the threshold was set and is {now!r} now: scores "
                    "have changed, and the threshold is stale. Call calibrate with good samples, "
                    "or set offset_."
                )
        if choice.by == "user":
            for name in ("contamination", "false_alarm_rate"):
                before, now = getattr(choice, name), getattr(self, name)
                if now != before:
                    _warn(
                        f"{name} was {before!r} when offset_ was set by hand and is {now!r} now: "
                        "the threshold is stale, since one that is set by hand stays. Call "
                        "calibrate with good samples, or set offset_ again."
                    )
        elif choice.by == "fit" and _needs_other_scores(choice, self.contamination):
            _warn(
                f"contamination was {choice.contamination!r} at fit and is {self.contamination!r} "
                "now: the threshold is stale, since it takes other scores than fit has kept. Fit "
                "again, or call calibrate with good samples."
            )
        elif choice.contamination == "auto" and self.false_alarm_rate != choice.false_alarm_rate:
            _warn_of_too_few(len(self.calibration_scores_), self.false_alarm_rate)

    def _become(self, model: Self) -> Self:
        # At once, and only now that nothing can fail: errors and Ctrl-C leave the old model.
        self.__dict__ = model.__dict__
        return self


def _needs_other_scores(choice: _Choice, contamination: float | str) -> bool:
    """Whether the threshold of a fit is now to come from other scores than the fit has kept.

    With "auto" it has kept those of each sample by the model without it.
    """
    return (contamination == "auto") != (choice.contamination == "auto")


def choose_offset(
    scores: NDArray[np.float64], contamination: float | str, false_alarm_rate: float
) -> float:
    """Return the conformal threshold with "auto", else a quantile of the scores."""
    if n_bad := int(np.isnan(scores).sum()):
        raise ValueError(
            f"{n_bad} of {len(scores)} scores are NaN, from which no threshold can be set: leave "
            "out images that cannot be read."
        )
    if contamination == "auto":
        return conformal_offset(scores, false_alarm_rate)
    return float(np.percentile(scores, 100 * float(contamination)))


def conformal_offset(scores: NDArray[np.float64], false_alarm_rate: float) -> float:
    """Return the threshold that a fresh good sample is below with at most a given probability.

    Of n exchangeable scores the k-th smallest, ``k = floor((n + 1) * false_alarm_rate)``,
    is undercut by a fresh one with probability at most ``k / (n + 1)`` [1]_. With too few scores
    for the rate it is the smallest.

    References
    ----------
    .. [1] Vovk, V., Gammerman, A., & Shafer, G. (2005). Algorithmic learning in a random world.
       Springer.
    """
    rank = np.clip(_rank(len(scores), false_alarm_rate), 1, len(scores))
    return float(np.sort(scores)[rank - 1])


def _rank(n_scores: int, false_alarm_rate: float) -> int:
    # The guard keeps 0.05 * 20 from becoming 0.99999.
    return int(np.floor((n_scores + 1) * false_alarm_rate + 1e-9))


def _warn_of_too_few(n_scores: int, false_alarm_rate: float) -> None:
    """Warn where a rate cannot be promised from so few scores."""
    if _rank(n_scores, false_alarm_rate) < 1:
        needed = np.ceil(1 / false_alarm_rate - 1 - 1e-9)
        _warn(
            f"false_alarm_rate={false_alarm_rate} cannot be promised from {n_scores} good "
            f"samples; it takes at least {needed:.0f}. The threshold is the lowest of their "
            f"scores, which a fresh good sample undercuts with a probability of up to "
            f"{1 / (n_scores + 1):.2g}. Give more samples, or a larger false_alarm_rate."
        )


def _warn(message: str) -> None:
    warnings.warn(message, UserWarning, stacklevel=caller_level())


def check_calibrated(estimator: BaseEstimator) -> None:
    """Raise if a fitted detector has no threshold, and warn if it has a stale one."""
    if not hasattr(estimator, "offset_"):
        raise NotFittedError(
            f"this {type(estimator).__name__} has no threshold, since it was fitted in parts: call "
            "calibrate with good samples that it has not seen, or set offset_."
        )
    if np.any(np.isnan(estimator.offset_)):
        raise ValueError(
            f"offset_ of this {type(estimator).__name__} is {estimator.offset_}, and no score can "
            "be compared with that: call calibrate with good samples, or set offset_."
        )
    if isinstance(estimator, ThresholdMixin):
        estimator._warn_of_stale_threshold()
