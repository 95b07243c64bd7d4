"""One Gaussian per grid position, as a scikit-learn outlier detector."""

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, _fit_context
from sklearn.exceptions import NotFittedError
from sklearn.utils import Tags, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from skpadim._callbacks import CallbackSupport
from skpadim._doc_link import DocLinkMixin
from skpadim._embeddings import validate_embeddings
from skpadim._estimators import (
    caller_level,
    check_unchanged,
    shallow_copy,
    snapshot,
    unfitted_copy,
)
from skpadim._known_samples import joined, sample_hashes
from skpadim._labels import good_samples
from skpadim._suspects import warn_of_suspects
from skpadim._threshold import ThresholdMixin
from skpadim._training_images import warn_of_copies
from skpadim.gaussian._factors import Factor, factorize, ridge_of
from skpadim.gaussian._leave_one_out import LeaveFoldOut, LeaveOneOut
from skpadim.gaussian._memory import check_available_memory, memory_needed
from skpadim.gaussian._moments import PatchMoments, check_moments
from skpadim.gaussian._reduction import (
    PRINCIPAL_COMPONENTS,
    PROJECTIONS,
    count_components,
    projection_matrix,
    reduce_dimensions,
    reduce_moments,
    select_dimensions,
)

# What the moments of a stream depend on: it may not change between two calls of partial_fit.
_STREAM_PARAMETERS = ("n_components", "reduction", "random_state")


class PatchGaussian(CallbackSupport, DocLinkMixin, ThresholdMixin, BaseEstimator):
    """Gaussian of each grid position of patch embeddings, and distances to it.

    At each position the embeddings of good samples have a mean m and a covariance S + R [1]_.
    A patch x is as anomalous as its Mahalanobis distance ``sqrt((x - m)' (S + R)^-1 (x - m))``
    is large, and a sample as its most anomalous patch. Plain samples of shape
    (n_samples, n_features) are one position, so this is an ordinary outlier detector as well.

    Parameters
    ----------
    n_components : int, float or None, default=None
        Dimensions left after the reduction: a number, a share of those there are, in (0, 1],
        or None for all.
    reduction : {"random", "orthogonal", "semi-orthogonal", "pca", "npca"} or array-like of int, \
            default="random"
        How dimensions are reduced. "random" keeps a random subset [1]_. "orthogonal" takes
        orthonormal combinations of the standardised dimensions, "semi-orthogonal" those of the
        dimensions as they are [2]_. "pca" takes the principal components of all patches with the
        largest variances, "npca" those with the smallest [3]_. Indices name the dimensions to keep.
    reg_covar : float, default=0.1
        Strength of the ridge R that is added to each covariance.
    reg_relative : bool, default=True
        Whether `reg_covar` counts in variances of each dimension over all positions and samples,
        so that it has no scale. With False, R is ``reg_covar`` times the identity; the paper has
        0.01 [1]_.
    compact : bool, default=False
        Whether to keep the factor in 16-bit integers, which halves the model, in memory and on
        disk. Distances change by about 1e-5 of themselves.
    contamination : "auto" or float, default="auto"
        With "auto" the threshold comes from `false_alarm_rate`. A share in (0, 0.5] of the
        training samples that are defective, as in other detectors of scikit-learn: that share
        of them falls below the threshold.
    false_alarm_rate : float, default=0.05
        Share of fresh good samples that may be called outliers. The threshold is the conformal
        quantile of leave-one-out scores: each training sample is scored by the model fitted
        without it, in closed form. With "pca" and "npca" a twentieth of the samples is left out
        at a time, which takes as many factors.
    random_state : int, RandomState instance or None, default=None
        Draws the reductions "random", "orthogonal" and "semi-orthogonal".

    Attributes
    ----------
    location_ : ndarray of shape (n_positions, n_components)
        Mean of each position.
    factor_ : ndarray of shape (n_positions, n_entries) or (n_positions, rank, n_components)
        Factor of each position's S + R. It is the inverse of the upper Cholesky factor, cut into
        four blocks of columns, each without the rows below the diagonal; or, where that is smaller,
        ``rank = n_samples_seen_ - 1`` directions. Integers with ``compact=True``.
    factor_units_ : ndarray of shape (n_positions, n_components) or None
        With ``compact=True``, what the integers of `factor_` count in at each dimension.
    eigenvalues_ : ndarray of shape (n_positions, rank) or None
        Eigenvalues of R^-1/2 S R^-1/2 along the directions; None if `factor_` holds none.
    ridge_ : ndarray of shape (n_components,)
        Diagonal of R.
    components_ : ndarray of shape (n_components,), int, or (n_components, n_dimensions), or None
        Indices of the dimensions kept, or the projection, or None if nothing is reduced.
    offset_ : float
        The threshold on scores: ``decision_function = score_samples - offset_``. It follows
        `false_alarm_rate`, and may be set by hand.
    calibration_scores_ : ndarray of shape (n_samples,), float64
        The scores that `offset_` was chosen from.
    n_samples_seen_ : int
        Number of training samples.
    grid_shape_ : tuple of int
        Shape of the grid of positions; () for plain samples.
    n_features_in_ : int
        Number of dimensions of an embedding.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where X is a data frame.

    See Also
    --------
    skpadim.PaDiM : The same on images, with heatmaps.
    sklearn.covariance.EllipticEnvelope : One robust Gaussian for plain samples.

    References
    ----------
    .. [1] Defard, T., Setkov, A., Loesch, A., & Audigier, R. (2021). PaDiM: a patch distribution
       modeling framework for anomaly detection and localization. ICPR workshops.
       https://arxiv.org/abs/2011.08785
    .. [2] Kim, J.-H., Kim, D.-H., Yi, S., & Lee, T. (2021). Semi-orthogonal embedding for
       efficient unsupervised anomaly segmentation. https://arxiv.org/abs/2105.14737
    .. [3] Rippel, O., Mertens, P., & Merhof, D. (2021). Modeling the distribution of normal data in
       pre-trained deep features for anomaly detection. ICPR. https://arxiv.org/abs/2005.14140

    Examples
    --------
    >>> import numpy as np
    >>> from skpadim import PatchGaussian
    >>> rng = np.random.default_rng(0)
    >>> good = rng.normal(size=(100, 4, 4, 8))
    >>> new = rng.normal(size=(3, 4, 4, 8))
    >>> new[2, 1, 3] += 5
    >>> detector = PatchGaussian().fit(good)
    >>> detector.predict(new)
    array([ 1,  1, -1])
    >>> np.unravel_index(detector.patch_distances(new)[2].argmax(), (4, 4))
    (np.int64(1), np.int64(3))
    """

    _parameter_constraints: dict = {
        "n_components": [
            Interval(Integral, 1, None, closed="left"),
            Interval(Real, 0, 1, closed="right"),
            None,
        ],
        "reduction": [StrOptions({"random", *PROJECTIONS}), "array-like"],
        "reg_covar": [Interval(Real, 0, np.inf, closed="left")],
        "reg_relative": ["boolean"],
        "compact": ["boolean"],
        "contamination": [StrOptions({"auto"}), Interval(Real, 0, 0.5, closed="right")],
        "false_alarm_rate": [Interval(Real, 0, 1, closed="neither")],
        "random_state": ["random_state"],
    }

    _private_state = (
        "_moments",
        "_moments_components",
        "_stream_parameters",
        "_seed",
        "_choice",
        "_known_hashes",
    )

    def __init__(
        self,
        *,
        n_components: int | float | None = None,
        reduction: Any = "random",
        reg_covar: float = 0.1,
        reg_relative: bool = True,
        compact: bool = False,
        contamination: float | str = "auto",
        false_alarm_rate: float = 0.05,
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.reduction = reduction
        self.reg_covar = reg_covar
        self.reg_relative = reg_relative
        self.compact = compact
        self.contamination = contamination
        self.false_alarm_rate = false_alarm_rate
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: Any = None) -> "PatchGaussian":
        """Learn the Gaussians and the threshold from good samples.

        Parameters
        ----------
        X : array-like of shape (n_samples, height, width, n_dimensions), \
                (n_samples, n_positions, n_dimensions) or (n_samples, n_dimensions)
            Embeddings of good samples, at least two.
        y : array-like of shape (n_samples,), int, or None
            Labels: samples that are labelled -1, for defective, are left out. Others than these and
            +1 raise, but for 0, 1, 2 and so on of plain samples: as scikit-learn demands it of all
            detectors, those are ignored, with a warning.

        Returns
        -------
        PatchGaussian
            The fitted estimator.

        Raises
        ------
        ValueError
            If X is not finite, has another number of axes or only one sample, or if the
            reduction asks for dimensions that X does not have.
        MemoryError
            If moments and factors are larger than the memory that is available.
        """
        task = self._begin_fit(X, y)
        model = unfitted_copy(self)
        embeddings = validate_embeddings(model, X, reset=True, ensure_min_samples=2)
        good = good_samples(embeddings, y, at_least=2, plain=not model.grid_shape_)
        indices, embeddings = np.arange(len(embeddings))[good], embeddings[good]
        selected = model._select(embeddings.shape[2])
        n_kept = embeddings.shape[2] if selected is None else len(selected)
        model._check_memory(*embeddings.shape[:2], n_kept)
        moments = PatchMoments(len(embeddings)).update(reduce_dimensions(embeddings, selected))
        distances = _finite(embeddings, model._solve_for_calibration(moments, selected))
        scores = -distances.max(axis=1).astype(np.float64)
        model._set_offset(scores, "fit")
        model._remember(embeddings, indices)
        if model.contamination == "auto" and model.grid_shape_:
            warn_of_suspects(_names(indices), scores)
        self._become(model)
        task.end(X, y)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: ArrayLike, y: Any = None) -> "PatchGaussian":
        """Learn from more good samples, exactly as if all had come at once.

        The moments stay in the model, which makes it larger, and the factor is made anew at each
        call. There is no second look at the samples, hence no threshold: set it with
        :meth:`calibrate`. After `fit`, a projection stays as `fit` has made it.

        Parameters
        ----------
        X : array-like of shape (n_samples, height, width, n_dimensions), \
                (n_samples, n_positions, n_dimensions) or (n_samples, n_dimensions)
            Embeddings of good samples.
        y : array-like of shape (n_samples,), int, or None
            Labels: samples that are labelled -1, for defective, are left out. Others than these and
            +1 raise, but for 0, 1, 2 and so on of plain samples: as scikit-learn demands it of all
            detectors, those are ignored, with a warning.

        Returns
        -------
        PatchGaussian
            The estimator, fitted to all samples so far.

        Raises
        ------
        ValueError
            If X differs in grid or dimensions from what was seen before, or if a parameter that
            the moments depend on has changed.
        """
        model = shallow_copy(self)
        model._validate_params()
        first = not hasattr(model, "n_samples_seen_")
        X = validate_embeddings(
            model, X, reset=first, dtype=None if first else model.location_.dtype
        )
        good = good_samples(X, y, plain=not model.grid_shape_)
        indices, X = np.arange(len(X))[good], X[good]
        selected = model._select(X.shape[2]) if first else model._components_so_far()
        model._join(PatchMoments().update(reduce_dimensions(X, selected)), selected)
        model._remember(X, indices)
        return self._become(model)

    @_fit_context(prefer_skip_nested_validation=True)
    def fit_moments(self, moments: PatchMoments) -> "PatchGaussian":
        """Learn the Gaussians from moments, say those of shards that were merged.

        The threshold is left to :meth:`calibrate`.

        Parameters
        ----------
        moments : PatchMoments
            Moments of all dimensions of at least two good samples; left as they are.

        Returns
        -------
        PatchGaussian
            The fitted estimator, for embeddings of shape (n_samples, n_positions, n_dimensions).

        Raises
        ------
        ValueError
            If the moments are of fewer than two samples.
        """
        check_moments(moments, at_least=2)
        model = unfitted_copy(self)
        model._note_shape(moments)
        selected = model._select(model.n_features_in_)
        model._solve(reduce_moments(moments, selected), selected)
        return self._become(model)

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit_moments(self, moments: PatchMoments) -> "PatchGaussian":
        """Let the samples behind moments join what was learnt, as `partial_fit` does.

        Parameters
        ----------
        moments : PatchMoments
            Moments of all dimensions of good samples; left as they are.

        Returns
        -------
        PatchGaussian
            The estimator, fitted to all samples so far.

        Raises
        ------
        ValueError
            If the moments are of another shape than what was seen before, or if a parameter that
            the moments depend on has changed.
        """
        model = shallow_copy(self)
        model._validate_params()
        check_moments(moments, at_least=1)
        first = not hasattr(model, "n_samples_seen_")
        if first:
            model._note_shape(moments)
        elif moments.mean.shape != (len(model.location_), model.n_features_in_):
            raise ValueError(
                f"moments of shape {moments.mean.shape} (positions, dimensions) cannot join a "
                f"model of shape {(len(model.location_), model.n_features_in_)}."
            )
        selected = model._select(model.n_features_in_) if first else model._components_so_far()
        model._join(PatchMoments().merge(reduce_moments(moments, selected)), selected)
        return self._become(model)

    def patch_distances(self, X: ArrayLike) -> NDArray:
        """Mahalanobis distance of each patch to the Gaussian of its position.

        Parameters
        ----------
        X : array-like
            Embeddings, shaped as in `fit`.

        Returns
        -------
        ndarray of shape (n_samples, height, width), (n_samples, n_positions) or (n_samples,)
            Distances, not squared, unitless; larger is more anomalous. Those that are too large
            for the dtype, or no number, are the largest number that it has.
        """
        model = shallow_copy(self)
        embeddings = model._open(X)
        return model._distances(embeddings).reshape(len(embeddings), *model.grid_shape_)

    def score_samples(self, X: ArrayLike) -> NDArray[np.float64]:
        """Score samples; larger is more normal.

        Parameters
        ----------
        X : array-like
            Embeddings, shaped as in `fit`.

        Returns
        -------
        ndarray of shape (n_samples,), float64
            Minus the largest distance among a sample's patches.
        """
        model = shallow_copy(self)
        return model._scores(model._open(X))

    def score(self, X: ArrayLike, y: Any = None) -> float:
        """Mean log-likelihood of a patch of good samples.

        It compares values of `reg_covar`, but not numbers of dimensions.

        Parameters
        ----------
        X : array-like
            Embeddings, shaped as in `fit`, of samples that were not used to fit.
        y : array-like of shape (n_samples,), int, or None
            Labels, as in `fit`: samples that are labelled -1, for defective, are left out.

        Returns
        -------
        float
            Mean over samples and positions of the logarithm of the Gaussian density.
        """
        model = shallow_copy(self)
        embeddings = model._open(X)
        good = good_samples(embeddings, y, plain=not model.grid_shape_)
        with np.errstate(over="ignore"):  # of distances that are as large as can be
            squared = model._distances(embeddings[good]).astype(np.float64) ** 2
        log_volume = model.location_.shape[1] * np.log(2 * np.pi)
        log_volume = log_volume + model._factor.log_determinants()
        return float(-0.5 * (squared.mean() + log_volume.mean()))

    def _score_good(
        self, X: ArrayLike, y: Any
    ) -> tuple[NDArray[np.float64], NDArray, Sequence[str]]:
        X = self._open(X)
        good = np.arange(len(X))[good_samples(X, y)]
        X = X[good]
        return self._scores(X), sample_hashes(X), _names(good)

    def _scores(self, X: NDArray) -> NDArray[np.float64]:
        return -self._distances(X).max(axis=1).astype(np.float64)

    def _open(self, X: ArrayLike) -> NDArray:
        """Return samples as (n_samples, n_positions, n_dimensions), once they are checked."""
        self._check_fitted()
        return validate_embeddings(self, X, reset=False, dtype=self.location_.dtype)

    def _remember(self, X: NDArray, indices: NDArray[np.intp]) -> None:
        """Remember samples that were learnt from, and warn of copies of others."""
        hashes = sample_hashes(X)
        if self.grid_shape_:  # plain samples may well be alike
            warn_of_copies(_names(indices), hashes, self._known_hashes)
        self._known_hashes = joined(self._known_hashes, hashes)

    def _learn(self, moments: PatchMoments) -> Callable[[NDArray], NDArray]:
        """Fit to moments, which are used up; see `_solve_for_calibration`."""
        self._note_shape(moments)
        selected = self._select(self.n_features_in_)
        distances = self._solve_for_calibration(reduce_moments(moments, selected), selected)
        return partial(_finite, distances=distances)

    def _solve_for_calibration(
        self, moments: PatchMoments, selected: NDArray | None
    ) -> Callable[[NDArray], NDArray]:
        """Fit to moments, which are used up.

        Return the distances of training samples that the threshold is chosen from: each by the
        model without it, unless a share of them is to be below the threshold.
        """
        reduced = self._solve(moments, selected, overwrite=True)
        if self.contamination != "auto":
            return self._distances
        if self._learns_projection():
            project = partial(
                projection_matrix,
                n_components=self.n_components,
                reduction=self.reduction,
                random_state=self._seed,
            )
            ridge = partial(ridge_of, reg_covar=self.reg_covar, relative=self.reg_relative)
            return LeaveFoldOut(moments, project, ridge).distances
        return LeaveOneOut(reduced, self._factor, self.components_).distances

    def _distances(self, X: NDArray) -> NDArray:
        return _finite(X, self._roots)

    def _roots(self, X: NDArray) -> NDArray:
        X = reduce_dimensions(X, self.components_)
        return np.sqrt(self._factor.squared_distances(X, self.location_))

    @property
    def _factor(self) -> Factor:
        return Factor(self.factor_, self.eigenvalues_, self.ridge_, self.factor_units_)

    def _check_fitted(self) -> None:
        check_is_fitted(self, "n_samples_seen_")
        if not hasattr(self, "factor_"):
            raise NotFittedError(
                "one sample has been learnt so far, which has no covariance: give at least one "
                "more to partial_fit."
            )

    def _select(self, n_dimensions: int) -> NDArray[np.intp] | None:
        """Draw the dimensions to keep, and note what the draw depended on."""
        self._stream_parameters = snapshot(self._get_stream_parameters())
        # A projection is drawn anew whenever more samples have come, and must stay the same.
        self._seed = (
            check_random_state(self.random_state).randint(2**31 - 1) if self._projects() else 0
        )
        return select_dimensions(n_dimensions, self.n_components, self.reduction, self.random_state)

    def _check_memory(self, n_samples: int, n_positions: int, n_dimensions: int) -> None:
        """Refuse to learn from selected dimensions what does not fit in memory."""
        left = (
            count_components(self.n_components, n_dimensions) if self._projects() else n_dimensions
        )
        needed = memory_needed(
            n_samples,
            n_positions,
            n_dimensions,
            left,
            compact=self.compact,
            leaves_out=self.contamination == "auto",
            learns_projection=self._learns_projection(),
        )
        what = f"{n_positions} positions of {n_dimensions} dimensions"
        check_available_memory(needed, what, self.compact)

    def _get_stream_parameters(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _STREAM_PARAMETERS}

    def _solve(
        self, moments: PatchMoments, selected: NDArray | None, overwrite: bool = False
    ) -> PatchMoments:
        """Fit to moments of the selected dimensions; return those of the reduced ones."""
        self._drop_threshold()
        for name in ("_moments", "_moments_components"):
            self.__dict__.pop(name, None)
        self.components_ = selected
        if selected is None and self._projects():
            self.components_ = projection_matrix(
                moments, self.n_components, self.reduction, self._seed
            )
            moments = reduce_moments(moments, self.components_)
        self.location_ = moments.mean.astype(moments.dtype)
        self.n_samples_seen_ = moments.n_samples
        if moments.n_samples > 1:
            ridge = ridge_of(moments, self.reg_covar, self.reg_relative)
            factor = factorize(moments, ridge, compact=self.compact, overwrite=overwrite)
            self.factor_, self.eigenvalues_, self.ridge_, self.factor_units_ = factor
        return moments

    def _projects(self) -> bool:
        return isinstance(self.reduction, str) and self.reduction in PROJECTIONS

    def _learns_projection(self) -> bool:
        return isinstance(self.reduction, str) and self.reduction in PRINCIPAL_COMPONENTS

    def _join(self, moments: PatchMoments, selected: NDArray | None) -> None:
        # The new moments take up the old ones, not the reverse, which may belong to the model that
        # this one is a copy of.
        if hasattr(self, "_moments"):
            moments.merge(self._moments)
        elif hasattr(self, "factor_"):
            moments.merge(self._factor.to_moments(self.n_samples_seen_, self.location_))
        self._solve(moments, selected)
        self._moments: PatchMoments = moments
        self._moments_components = selected

    def _components_so_far(self) -> NDArray | None:
        """Return the reduction of the samples before they joined the moments."""
        check_unchanged(self._stream_parameters, self._get_stream_parameters())
        return self._moments_components if hasattr(self, "_moments") else self.components_

    def _note_shape(self, moments: PatchMoments) -> None:
        n_positions, self.n_features_in_ = moments.mean.shape
        self.grid_shape_ = (n_positions,)
        self.__dict__.pop("feature_names_in_", None)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_skpadim_version": version("skpadim")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        saved, now = state.pop("_skpadim_version", None), version("skpadim")
        if saved != now:
            warnings.warn(
                f"this model was saved by skpadim {saved} and is loaded by skpadim {now}: its "
                "scores may differ. Check it on known images, or fit it again.",
                UserWarning,
                stacklevel=caller_level(),
            )
        super().__setstate__(state)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags


def _finite(X: NDArray, distances: Callable[[NDArray], NDArray]) -> NDArray:
    """Compute distances; the largest number stands for what is too large, or no number."""
    with np.errstate(over="ignore", invalid="ignore"):
        found = distances(X)
    return np.fmin(found, np.finfo(found.dtype).max)  # of a number and none, the number


def _names(indices: NDArray[np.intp]) -> list[str]:
    return [f"X[{index}]" for index in indices.tolist()]
