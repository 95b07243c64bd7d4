"""Scores of images, beside the threshold."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skpadim._estimators import shallow_copy
from skpadim._labels import image_labels
from skpadim._threshold import check_calibrated
from skpadim.display._drawing import (
    BLUE,
    GREY,
    VERMILION,
    format_number,
    import_pyplot,
    make_axes,
)


@dataclass(kw_only=True, eq=False, repr=False)
class ScoreDisplay:
    """Scores of images, beside the threshold.

    Each image is a mark, in a row of its kind; scores are those of `score_samples`: larger is more
    normal, and left of the threshold an image is called defective. Each row tells how many are.

    It is recommended to use :meth:`from_estimator` or :meth:`from_predictions`. All parameters
    are stored as attributes.

    Parameters
    ----------
    scores : ndarray of shape (n_images,)
        Scores, larger = more normal.
    offset : float
        The threshold on scores, as a detector's `offset_`.
    y : ndarray of shape (n_images,), int, default=None
        +1 for images that are good in truth, -1 for defective ones. None makes one row of all.
    calibration_scores : ndarray of shape (n_calibration,), default=None
        The scores that the threshold was chosen from.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure.
    ax_ : matplotlib Axes
        The axes.
    scatters_ : dict of str to matplotlib PathCollection
        The marks of each row: "calibration" if there are such scores, then "good" and "defective",
        or "images" without `y`.
    line_ : matplotlib Line2D
        The threshold.

    See Also
    --------
    HeatmapDisplay : Where images are unusual.

    Examples
    --------
    >>> from skpadim import PaDiM
    >>> from skpadim.datasets import make_inspection_images
    >>> from skpadim.display import ScoreDisplay
    >>> parts = make_inspection_images(24, 4, image_size=128, random_state=0)
    >>> detector = PaDiM().fit(parts.images[:20])
    >>> display = ScoreDisplay.from_estimator(detector, parts.images[20:], parts.y[20:])
    >>> list(display.scatters_)
    ['calibration', 'good', 'defective']
    """

    scores: NDArray
    offset: float
    y: NDArray | None = None
    calibration_scores: NDArray | None = None

    @classmethod
    def from_estimator(
        cls,
        detector: Any,
        X: Any,
        y: ArrayLike | None = None,
        *,
        ax: Any = None,
        scatter_kwargs: dict | None = None,
        line_kwargs: dict | None = None,
    ) -> "ScoreDisplay":
        """Score images and show them beside the scores that the threshold was chosen from.

        Parameters
        ----------
        detector : PaDiM, PatchGaussian, other outlier detector or pipeline of them
            Fitted, with `score_samples` and `offset_`. Its `calibration_scores_`, where there are
            any, are shown as well: after `fit` leave-one-out scores of the training images, and
            after `calibrate` scores of the images given to it.
        X : images, or what else the detector takes
            Images to score.
        y : array-like of shape (n_images,), int, default=None
            The truth: +1 for good images, -1 for defective ones.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        scatter_kwargs, line_kwargs : dict, default=None
            Keyword arguments for matplotlib, see :meth:`plot`.

        Returns
        -------
        ScoreDisplay
            The display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        NotFittedError
            If the detector is not fitted or has no threshold.
        ValueError
            If there are no images, if `y` is of another length, or if a label is neither +1
            nor -1.
        """
        import_pyplot()
        if not isinstance(detector, Pipeline):
            detector = shallow_copy(detector)
        final = detector[-1] if isinstance(detector, Pipeline) else detector
        check_is_fitted(final)
        check_calibrated(final)
        image_labels(y, len(X))
        return cls.from_predictions(
            detector.score_samples(X),
            offset=final.offset_,
            y=y,
            calibration_scores=getattr(final, "calibration_scores_", None),
            ax=ax,
            scatter_kwargs=scatter_kwargs,
            line_kwargs=line_kwargs,
        )

    @classmethod
    def from_predictions(
        cls,
        scores: ArrayLike,
        *,
        offset: float,
        y: ArrayLike | None = None,
        calibration_scores: ArrayLike | None = None,
        ax: Any = None,
        scatter_kwargs: dict | None = None,
        line_kwargs: dict | None = None,
    ) -> "ScoreDisplay":
        """Show scores that are at hand.

        Parameters
        ----------
        scores : array-like of shape (n_images,)
            Scores, larger = more normal.
        offset : float
            The threshold on scores, as a detector's `offset_`.
        y : array-like of shape (n_images,), int, default=None
            The truth: +1 for good images, -1 for defective ones.
        calibration_scores : array-like of shape (n_calibration,), default=None
            The scores that the threshold was chosen from, as a detector's `calibration_scores_`.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        scatter_kwargs, line_kwargs : dict, default=None
            Keyword arguments for matplotlib, see :meth:`plot`.

        Returns
        -------
        ScoreDisplay
            The display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If there are no scores, if scores are not finite or not of one axis, if `y` is of
            another length, or if a label is neither +1 nor -1.
        """
        import_pyplot()
        scores = _check_scores(scores, "scores")
        display = cls(
            scores=scores,
            offset=float(offset),
            y=image_labels(y, len(scores)),
            calibration_scores=(
                None
                if calibration_scores is None
                else _check_scores(calibration_scores, "calibration_scores")
            ),
        )
        return display.plot(ax=ax, scatter_kwargs=scatter_kwargs, line_kwargs=line_kwargs)

    def plot(
        self,
        ax: Any = None,
        *,
        scatter_kwargs: dict | None = None,
        line_kwargs: dict | None = None,
    ) -> "ScoreDisplay":
        """Draw the scores.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        scatter_kwargs : dict, default=None
            Keyword arguments for the `scatter` of all rows.
        line_kwargs : dict, default=None
            Keyword arguments for the `axvline` of the threshold.

        Returns
        -------
        ScoreDisplay
            The display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        rows = {}
        if self.calibration_scores is not None:
            rows["calibration"] = self.calibration_scores, GREY, "o"
        if self.y is None:
            rows["images"] = self.scores, BLUE, "o"
        else:
            rows["good"] = self.scores[self.y == 1], BLUE, "o"
            rows["defective"] = self.scores[self.y == -1], VERMILION, "x"
        self.ax_ = make_axes((7, 0.9 + 0.8 * len(rows))) if ax is None else ax
        self.figure_ = self.ax_.figure
        self.scatters_, names = {}, []
        for row, (name, (scores, colour, marker)) in enumerate(rows.items()):
            # Multiples of the golden ratio spread marks evenly in height, without drawing lots.
            heights = row + 0.6 * (np.arange(len(scores)) * 0.618034 % 1 - 0.5)
            style = {"color": colour, "marker": marker, "s": 18, "alpha": 0.7, "linewidths": 1}
            self.scatters_[name] = self.ax_.scatter(
                scores, heights, **{**style, **(scatter_kwargs or {})}
            )
            alarms = np.count_nonzero(~(scores >= self.offset))
            names.append(f"{name}\n{alarms} of {len(scores)} below")
        self.line_ = self.ax_.axvline(
            self.offset, **{"color": "black", "linewidth": 1, **(line_kwargs or {})}
        )
        self.ax_.set_yticks(range(len(rows)), names)
        self.ax_.set_ylim(len(rows) - 0.5, -0.5)
        self.ax_.set_xlabel(f"score, larger is more normal; threshold {format_number(self.offset)}")
        for side, align in (
            ("called defective \N{LEFTWARDS ARROW} ", "right"),
            (" \N{RIGHTWARDS ARROW} called good", "left"),
        ):
            self.ax_.annotate(
                side,
                (self.offset, 1),
                xycoords=("data", "axes fraction"),
                xytext=(0, 4),
                textcoords="offset points",
                horizontalalignment=align,
            )
        return self


def _check_scores(scores: ArrayLike, name: str) -> NDArray[np.float64]:
    checked: NDArray = np.asarray(scores, dtype=np.float64)
    if checked.ndim != 1 or checked.size == 0 or not np.isfinite(checked).all():
        raise ValueError(f"{name} must be one finite number an image, and at least one.")
    return checked
