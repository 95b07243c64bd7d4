"""The estimator: composes images, embedding, Gaussians and heatmaps."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from copy import copy
from functools import partial
from itertools import chain
from math import prod
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, _fit_context, clone
from sklearn.utils import Tags
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from skpadim._callbacks import CallbackSupport
from skpadim._doc_link import DocLinkMixin
from skpadim._embeddings import validate_embeddings
from skpadim._estimators import check_unchanged, shallow_copy, snapshot, unfitted_copy
from skpadim._inspection import Inspection, target_size
from skpadim._known_samples import joined
from skpadim._labels import good_samples
from skpadim._passes import Work, passes_over
from skpadim._sizes import Size
from skpadim._streams import Embedder, Stream
from skpadim._suspects import warn_of_suspects
from skpadim._threshold import ThresholdMixin, check_calibrated
from skpadim._training_images import TrainingImages, warn_of_copies, warn_of_training_images
from skpadim.embedding import Passthrough, PatchEmbedder
from skpadim.gaussian import PatchGaussian, PatchMoments
from skpadim.gaussian._reduction import PROJECTIONS, select_dimensions
from skpadim.heatmaps import Smoothing, heatmap_scores, to_heatmaps
from skpadim.images import ImageSequence

# Embeddings of the first training images stay in memory for the second pass, up to this size; the
# others are computed again. So a small set is embedded once, and memory does not grow with a large
# one.
_SPOOL_BYTES = 128 * 2**20

# Parameters of the embedder that decide how it works but not what comes out: they may change after
# fit, and hold at once.
_FREE_EMBEDDER_PARAMETERS = ("batch_size", "device", "engine", "verbose")


class PaDiM(CallbackSupport, DocLinkMixin, ThresholdMixin, BaseEstimator):
    """Detect and locate defects in images after seeing good ones only.

    Each image is turned into embeddings of its patches by a pretrained network. Good images give
    a Gaussian for each position of the patch grid; the Mahalanobis distances of a new image to
    them, brought to image size and smoothed, are its heatmap, whose maximum is its score [1]_.

    Everywhere below, *images* are a list of paths; a uint8 array of shape
    (n_images, height, width, 3) or (n_images, height, width); a list of arrays or PIL images of any
    sizes; float arrays in [0, 1]; uint16 arrays; or torch tensors of shape
    (n_images, n_channels, height, width).

    Parameters
    ----------
    embedder : str, PatchEmbedder or Passthrough, default="efficientnet_lite0"
        Name of a backbone, or a :class:`~skpadim.PatchEmbedder` for everything else about the
        embedding, as ``PatchEmbedder(image_size=320)``; ``set_params(embedder__image_size=320)``
        works with a name, too. When X already holds embeddings: "passthrough" if their cells are 8
        pixels apart, as those of a PatchEmbedder with its defaults, else a
        :class:`~skpadim.embedding.Passthrough`.
    n_components : int, float or None, default=None
        Dimensions left after the reduction: a number, a share of those there are, in (0, 1],
        or None for all.
    reduction : {"random", "stratified", "orthogonal", "semi-orthogonal", "pca", "npca"} or \
            array-like of int, default="random"
        How dimensions are reduced, see :class:`~skpadim.PatchGaussian`. "stratified" is a random
        subset with as many dimensions of each layer as of any other, as far as it has them.
        Dimensions that are not selected are not computed to the end.
    reg_covar : float, default=0.1
        Strength of the ridge on each covariance.
    reg_relative : bool, default=True
        Whether `reg_covar` counts in variances of each dimension. The paper's ridge [1]_ is
        ``reg_covar=0.01, reg_relative=False``.
    compact : bool, default=False
        Whether to keep the factors of the Gaussians in 16-bit integers, which halves the model, in
        memory and on disk. Scores change by about 1e-5 of themselves.
    smoothing : float or Smoothing, default=4.0
        Standard deviation of the Gaussian filter on heatmaps, in pixels of the network's input; 0
        for none. A :class:`~skpadim.heatmaps.Smoothing` for other filters, borders and
        interpolations. It may be changed after `fit`: the threshold is stale then, and decisions
        warn until :meth:`calibrate` has set it anew.
    contamination : "auto" or float, default="auto"
        With "auto" the threshold comes from `false_alarm_rate`. A share in (0, 0.5] of the training
        images that are defective: that share of them falls below the threshold.
    false_alarm_rate : float, default=0.05
        Share of fresh good images that may be called defective. The threshold is the conformal
        quantile of leave-one-out scores: each training image is scored by the model fitted
        without it, in closed form. With "pca" and "npca" a twentieth of the images is left out at a
        time, which takes as many factors. It may be changed after `fit`, and the threshold follows,
        unless it was set by hand.
    memory : str or object with the joblib.Memory interface, default=None
        Where to keep embeddings, so that a search over what comes after them embeds no image
        twice. By default nothing is kept. joblib keeps pickles there, which are code: name a folder
        that only you can write to.
    n_jobs : int or None, default=None
        Number of workers that images are shared among, by joblib, in `fit` and in scoring. None
        is 1 unless there is a :func:`joblib.parallel_config` around, which may also choose another
        kind of workers, such as those of a dask cluster; -1 is one for each core. A single worker
        uses all cores already: see the guide to scaling for when more are faster.
    random_state : int, RandomState instance or None, default=None
        Draws the reductions "random", "stratified", "orthogonal" and "semi-orthogonal".
    verbose : int, default=0
        1 shows progress in images per second.

    Attributes
    ----------
    embedder_ : PatchEmbedder or Passthrough
        The embedder in use.
    gaussian_ : PatchGaussian
        The Gaussians, of the selected dimensions.
    components_ : ndarray or None
        Indices of the dimensions kept, or the projection, or None if nothing is reduced.
    offset_ : float
        The threshold on scores: ``decision_function = score_samples - offset_``. It follows
        `false_alarm_rate`, and may be set by hand.
    calibration_scores_ : ndarray of shape (n_images,), float64
        The scores that `offset_` was chosen from: leave-one-out scores of the training images, or
        those given to `calibrate`.
    n_samples_seen_ : int
        Number of training images.
    grid_shape_ : tuple of int (height, width)
        Shape of the patch grid; with "passthrough" that of X between its first and last axis.
    weights_hash_ : str
        SHA-256 of the backbone's weights; predictions with others are refused. Not with
        "passthrough".
    n_features_in_ : int
        Number of dimensions of an embedding; only with "passthrough".
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Only with "passthrough", where X is a data frame.

    See Also
    --------
    skpadim.PatchEmbedder : Images to embeddings.
    skpadim.PatchGaussian : Embeddings to distances.

    References
    ----------
    .. [1] Defard, T., Setkov, A., Loesch, A., & Audigier, R. (2021). PaDiM: a patch distribution
       modeling framework for anomaly detection and localization. ICPR workshops.
       https://arxiv.org/abs/2011.08785

    Examples
    --------
    >>> from skpadim import PaDiM
    >>> from skpadim.datasets import make_inspection_images
    >>> parts = make_inspection_images(22, 2, image_size=128, random_state=0)
    >>> detector = PaDiM().fit(parts.images[:20])
    >>> detector.predict(parts.images[20:])
    array([ 1,  1, -1, -1])
    >>> detector.predict_heatmap(parts.images[20:]).shape
    (4, 224, 224)
    """

    _parameter_constraints: dict = {
        "embedder": [str, PatchEmbedder, Passthrough],
        "n_components": [
            Interval(Integral, 1, None, closed="left"),
            Interval(Real, 0, 1, closed="right"),
            None,
        ],
        "reduction": [StrOptions({"random", "stratified", *PROJECTIONS}), "array-like"],
        "reg_covar": [Interval(Real, 0, np.inf, closed="left")],
        "reg_relative": ["boolean"],
        "compact": ["boolean"],
        "smoothing": [Interval(Real, 0, np.inf, closed="left"), Smoothing],
        "contamination": [StrOptions({"auto"}), Interval(Real, 0, 0.5, closed="right")],
        "false_alarm_rate": [Interval(Real, 0, 1, closed="neither")],
        "memory": [str, HasMethods(["cache"]), None],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    _private_state = ("_stream_parameters", "_choice", "_known_hashes", "_training_images")

    _training_images: TrainingImages | None = None

    def __init__(
        self,
        *,
        embedder: str | PatchEmbedder | Passthrough = "efficientnet_lite0",
        n_components: int | float | None = None,
        reduction: Any = "random",
        reg_covar: float = 0.1,
        reg_relative: bool = True,
        compact: bool = False,
        smoothing: float | Smoothing = 4.0,
        contamination: float | str = "auto",
        false_alarm_rate: float = 0.05,
        memory: Any = None,
        n_jobs: int | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.embedder = embedder
        self.n_components = n_components
        self.reduction = reduction
        self.reg_covar = reg_covar
        self.reg_relative = reg_relative
        self.compact = compact
        self.smoothing = smoothing
        self.contamination = contamination
        self.false_alarm_rate = false_alarm_rate
        self.memory = memory
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def set_params(self, **params: Any) -> "PaDiM":
        """Set parameters, those of the embedder and of the smoothing included.

        Parameters
        ----------
        **params : object
            Names and values. ``embedder__image_size=320`` is for the embedder, and
            ``smoothing__filter="uniform"`` for the smoothing: where that is a name or a number, a
            :class:`~skpadim.PatchEmbedder` or a :class:`~skpadim.heatmaps.Smoothing` of it takes
            its place.

        Returns
        -------
        PaDiM
            The estimator itself.

        Raises
        ------
        ValueError
            If there is no parameter of a name; "passthrough" has none.
        """
        makers: dict[str, tuple[type, Callable[[Any], Any]]] = {
            "embedder": (str, PatchEmbedder),
            "smoothing": (Real, Smoothing),
        }
        for name, (plain, make) in makers.items():
            value = params.get(name, getattr(self, name))
            nested = [key for key in params if key.startswith(f"{name}__")]
            if nested and value == "passthrough":
                raise ValueError(f"embedder='passthrough' has no parameters, hence no {nested[0]}.")
            if nested and isinstance(value, plain):
                params = {**params, name: make(value)}
        return super().set_params(**params)

    def _validate_params(self) -> None:
        super()._validate_params()
        if isinstance(self.smoothing, Smoothing):
            self.smoothing._validate_params()

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None) -> "PaDiM":
        """Learn from good images.

        Parameters
        ----------
        X : images, or embeddings with "passthrough"
            Good ones, at least two.
        y : array-like of shape (n_images,), int, or None
            Labels: images that are labelled -1, for defective, are left out. Others than these and
            +1 raise, but for 0, 1, 2 and so on of plain samples: as scikit-learn demands it of all
            detectors, those are ignored, with a warning.

        Returns
        -------
        PaDiM
            The fitted estimator.

        Raises
        ------
        ValueError
            If there are other labels than +1 and -1, or no label +1; if X is empty or of one image
            only, if an image cannot be read (its name and index are told), or if the reduction asks
            for dimensions that the backbone does not have.
        TypeError
            If X is not images.
        MemoryError
            If moments and factors are larger than the memory that is available. This is told before
            the first image is embedded.
        """
        task = self._begin_fit(X, y, n_subtasks=2)
        model = unfitted_copy(self)
        stream = model._start(X, y, at_least=2)
        gaussian = model._make_gaussian()
        gaussian._check_memory(len(stream), prod(stream.grid_shape), stream.n_channels)
        passes = passes_over(stream, model.n_jobs, _SPOOL_BYTES)
        notes = stream.take_notes(hashes=True)
        with closing(passes.learn()) as steps:
            moments = _last(task.follow("learn", steps, passes.n_steps))
        distances = gaussian._learn(moments)
        del moments
        model._set_fitted(stream, gaussian)
        work = partial(_scores, heatmaps=model._heatmaps(distances))
        with closing(passes.map(work, "Calibrating")) as steps:
            scores = np.concatenate(list(task.follow("calibrate", steps, passes.n_steps)))
        model._set_offset(scores, "fit")
        model._remember(stream, notes)
        if model.contamination == "auto" and model.grid_shape_:
            names = stream.names
            warn_of_suspects([names[i] for i in np.flatnonzero(notes["seen"])], scores)
        self._become(model)
        task.end(X, y)
        return self

    @_fit_context(prefer_skip_nested_validation=False)
    def partial_fit(self, X: Any, y: Any = None) -> "PaDiM":
        """Learn from more good images, exactly as if all had come at once.

        The moments stay in the model, which makes it larger. There is no second look at the
        images, hence no threshold: set it with :meth:`calibrate`.

        Parameters
        ----------
        X : images, or embeddings with "passthrough"
            Good ones.
        y : array-like of shape (n_images,), int, or None
            Labels: images that are labelled -1, for defective, are left out. Others than these and
            +1 raise, but for 0, 1, 2 and so on of plain samples: as scikit-learn demands it of all
            detectors, those are ignored, with a warning.

        Returns
        -------
        PaDiM
            The estimator, fitted to all images so far.

        Raises
        ------
        ValueError
            If a parameter that the moments depend on has changed since the first images, or as
            in `fit`.
        """
        model = shallow_copy(self)
        model._validate_params()
        if hasattr(model, "gaussian_"):
            check_unchanged(model._stream_parameters, model._get_stream_parameters())
            stream = model._open(_strict(X), y)
            gaussian = copy(model.gaussian_).set_params(
                reg_covar=model.reg_covar, reg_relative=model.reg_relative, compact=model.compact
            )
        else:
            model = unfitted_copy(model)
            stream, gaussian = model._start(X, y), model._make_gaussian()
        notes = stream.take_notes(hashes=True)
        with closing(passes_over(stream, model.n_jobs).learn()) as steps:
            moments = _last(steps)
        model._set_fitted(stream, gaussian.partial_fit_moments(moments))
        model._remember(stream, notes)
        return self._become(model)

    def score_samples(self, X: Any) -> NDArray[np.float64]:
        """Score images; larger is more normal.

        Parameters
        ----------
        X : images, or embeddings with "passthrough"
            Images to score.

        Returns
        -------
        ndarray of shape (n_images,), float64
            ``-predict_heatmap(X).max(axis=(1, 2))``.
        """
        model = shallow_copy(self)
        stream = model._open(X)
        return model._map(partial(_scores, heatmaps=model._heatmaps()), stream)

    def predict_heatmap(
        self, X: Any, size: int | tuple[int, int] | str | None = None
    ) -> NDArray[np.float32] | list[NDArray[np.float32]]:
        """Show where images are anomalous.

        Parameters
        ----------
        X : images, or embeddings with "passthrough"
            Images to inspect.
        size : int, tuple of int (height, width), "image" or None, default=None
            Size of the heatmaps in pixels: None is that of the network's input, on which scores
            and decisions are made; another size is interpolated from it; "image" is each image's
            own. With a crop, None shows the crop and other sizes the whole image, where what
            lies outside the crop is 0.

        Returns
        -------
        ndarray of shape (n_images, height, width), float32, or list of n_images such arrays
            Smoothed Mahalanobis distance, unitless; larger is more anomalous. A list of arrays
            of shape (height, width) with ``size="image"``.

        Raises
        ------
        ValueError
            If `size` is none of these.
        """
        return shallow_copy(self)._collect(X, size, Inspection.heatmap_at, np.float32)

    def predict_mask(
        self, X: Any, size: int | tuple[int, int] | str | None = None
    ) -> NDArray[np.bool_] | list[NDArray[np.bool_]]:
        """Show the pixels that make images defective.

        Parameters
        ----------
        X : images, or embeddings with "passthrough"
            Images to inspect.
        size : int, tuple of int (height, width), "image" or None, default=None
            As in :meth:`predict_heatmap`.

        Returns
        -------
        ndarray of shape (n_images, height, width), bool, or list of n_images such arrays
            True where the heatmap exceeds the threshold ``-offset_``. At every size, an image has
            such a pixel exactly if `predict` calls it defective.
        """
        model = shallow_copy(self)
        model._check_fitted()
        check_calibrated(model)
        return model._collect(X, size, Inspection.mask_at, np.bool_)

    def iter_inspect(self, X: Any) -> Generator[Inspection, None, None]:
        """Inspect images one by one: score, decision, heatmap and mask from one pass.

        Parameters
        ----------
        X : images, or embeddings with "passthrough"
            Images to inspect.

        Returns
        -------
        generator of Inspection
            One :class:`~skpadim.Inspection` for each image, in their order. They are computed batch
            by batch; closing the generator early ends the work.

        Raises
        ------
        NotFittedError
            At once, if the detector is not fitted or has no threshold.
        TypeError, ValueError
            At once, if X is not images, or an image cannot be used.
        """
        model = shallow_copy(self)
        model._check_fitted()
        check_calibrated(model)
        # No yield here, or errors would wait for the first image.
        return model._inspect(model._open(X))

    def score(self, X: Any, y: Any = None) -> float:
        """Mean log-likelihood of a patch of good images.

        It compares values of `reg_covar`, but not backbones or numbers of dimensions.

        Parameters
        ----------
        X : images, or embeddings with "passthrough"
            Good images that were not used to fit.
        y : array-like of shape (n_images,), int, or None
            Labels, as in `fit`: images that are labelled -1, for defective, are left out.

        Returns
        -------
        float
            Mean over images and positions of the logarithm of the Gaussian density.

        Raises
        ------
        ValueError
            If there are other labels than +1 and -1, or no label +1; before an image is read.
        """
        model = shallow_copy(self)
        stream = model._open(X, y)
        work = partial(_log_likelihoods, gaussian=model._gaussian_alone())
        # Of images that could not be read there is none.
        return float(np.nanmean(model._map(work, stream)))

    def _score_good(self, X: Any, y: Any) -> tuple[NDArray[np.float64], NDArray, Sequence[str]]:
        stream = self._open(_strict(X), y)
        notes = stream.take_notes(hashes=True)
        scores = self._map(partial(_scores, heatmaps=self._heatmaps()), stream)
        return scores, notes["hash"], stream.names

    def _check_fitted(self) -> None:
        check_is_fitted(self, "gaussian_")

    def _start(self, X: Any, y: Any, at_least: int = 1) -> Stream:
        """Open good samples, to begin to learn from."""
        samples: Any
        embedder: Embedder
        if self._takes_embeddings():
            samples = validate_embeddings(self, X, reset=True)
            good = good_samples(samples, y, at_least=at_least, plain=not self.grid_shape_)
            named = isinstance(self.embedder, str)
            embedder = Passthrough() if named else clone(self.embedder)
            embedder.fit(samples.reshape(len(samples), *self.grid_shape_, self.n_features_in_))
        else:
            # Before images are read, the network is built, and its weights are perhaps downloaded.
            good = good_samples(X, y, at_least=at_least)
            named = isinstance(self.embedder, str)
            embedder = (PatchEmbedder(self.embedder) if named else clone(self.embedder)).fit()
            samples = ImageSequence(X).strict()
        indices = np.arange(len(samples))[good]
        channels = self._select(embedder)
        return Stream(samples[good], embedder, channels, self.memory, self.verbose, indices)

    def _open(self, X: Any, y: Any = None) -> Stream:
        """Open samples, or the good ones where there are labels, as the fitted model sees them."""
        self._check_fitted()
        samples: Any
        if isinstance(self.embedder_, Passthrough):
            dtype = self.gaussian_.location_.dtype
            samples = validate_embeddings(self, X, reset=False, dtype=dtype)
            good = good_samples(samples, y, plain=not self.grid_shape_)
        else:
            good = good_samples(X, y)
            samples = ImageSequence(X)
        # Else components_ are a projection.
        channels = self.components_ if self.gaussian_.components_ is None else None
        indices = np.arange(len(samples))[good]
        embedder = self._embedder_in_use()
        stream = Stream(samples[good], embedder, channels, self.memory, self.verbose, indices)
        # A file can claim anything of a network that is built only now.
        found = (*stream.grid_shape, stream.n_channels)
        expected = (*(1, 1, *self.grid_shape_)[-2:], self.gaussian_.n_features_in_)
        if found != expected:
            raise ValueError(
                f"the embeddings have {found} rows, columns and dimensions, but the model is of "
                f"{expected}: it cannot have been fitted to them. Fit it again."
            )
        if self._training_images is not None:
            self._training_images.warn_of_headers(*stream.headers(), stream.frame_size)
            stream.take_notes(hashes=False)
        return stream

    def _embedder_in_use(self) -> Any:
        """Return the embedder of the fit, made sure to have the weights that it had then."""
        embedder: Any = self.embedder_
        if isinstance(self.embedder, PatchEmbedder) and isinstance(embedder, PatchEmbedder):
            # A model may well be used on another device than it was fitted on.
            for name in _FREE_EMBEDDER_PARAMETERS:
                setattr(embedder, name, getattr(self.embedder, name))
        if embedder.weights_hash != getattr(self, "weights_hash_", None):
            raise ValueError(
                f"the weights of backbone={embedder.backbone!r} are not those that the model was "
                f"fitted with: their SHA-256 is {embedder.weights_hash[:8]}..., not "
                f"{self.weights_hash_[:8]}... All scores would be wrong. Give it those weights, or "
                "fit it again."
            )
        return embedder

    def _takes_embeddings(self) -> bool:
        return isinstance(self.embedder, Passthrough) or self.embedder == "passthrough"

    def _select(self, embedder: Embedder) -> NDArray[np.intp] | None:
        return select_dimensions(
            embedder.output_shape[2],
            self.n_components,
            self.reduction,
            self.random_state,
            embedder.layer_depths,
        )

    def _make_gaussian(self) -> PatchGaussian:
        # A selection is made by the stream; only a projection is the Gaussian's.
        projects = isinstance(self.reduction, str) and self.reduction in PROJECTIONS
        return PatchGaussian(
            n_components=self.n_components if projects else None,
            reduction=self.reduction if projects else "random",
            reg_covar=self.reg_covar,
            reg_relative=self.reg_relative,
            compact=self.compact,
            contamination=self.contamination,
            random_state=self.random_state,
        )

    def _set_fitted(self, stream: Stream, gaussian: PatchGaussian) -> None:
        """Set what was learnt; a threshold of before does not hold any more."""
        self._drop_threshold()
        self.embedder_ = stream.embedder
        if stream.embedder.weights_hash is not None:
            self.grid_shape_: tuple[int, ...] = stream.grid_shape
            self.weights_hash_ = stream.embedder.weights_hash
        self.gaussian_ = gaussian
        self.components_ = gaussian.components_ if stream.channels is None else stream.channels
        self.n_samples_seen_ = gaussian.n_samples_seen_
        self._stream_parameters = snapshot(self._get_stream_parameters())

    def _remember(self, stream: Stream, notes: NDArray) -> None:
        """Remember what was learnt from, and warn of what cannot be right."""
        learnt = np.flatnonzero(notes["seen"]).tolist()
        notes, all_names = notes[learnt], stream.names
        names = [all_names[i] for i in learnt]
        known = self._known_hashes
        self._known_hashes = joined(known, notes["hash"])
        if isinstance(stream.embedder, Passthrough):
            if self.grid_shape_:  # plain samples may well be alike
                warn_of_copies(names, notes["hash"], known)
            return
        shown = np.flatnonzero(notes["darkest"] < notes["brightest"]).tolist()
        warn_of_copies([names[i] for i in shown], notes["hash"][shown], known)
        _, all_sizes, all_depths = stream.headers()
        sizes, depths = [all_sizes[i] for i in learnt], [all_depths[i] for i in learnt]
        seen = TrainingImages.of(sizes, depths, notes)
        if self._training_images is None:
            warn_of_training_images(names, sizes, depths, notes)
            self._training_images = seen
        else:
            self._training_images.warn_of_colours(names, notes)
            self._training_images = self._training_images.joined(seen)

    def _get_stream_parameters(self) -> dict[str, Any]:
        """Return the parameters that what was learnt depends on."""
        names = ("embedder", "n_components", "reduction", "random_state")
        parameters = {name: getattr(self, name) for name in names}
        if not isinstance(self.embedder, str):
            parameters["embedder"] = type(self.embedder).__name__
            for name, value in self.embedder.get_params(deep=False).items():
                if name not in _FREE_EMBEDDER_PARAMETERS:
                    parameters[f"embedder__{name}"] = value
        return parameters

    def _get_score_parameters(self) -> dict[str, Any]:
        # Not get_params, which looks at signatures: it would be felt in each call.
        smoothing = vars(Smoothing.of(self.smoothing))
        return {
            f"smoothing__{name}" if name != "size" else "smoothing": smoothing[name]
            for name in smoothing
        }

    def _map(self, work: Work, stream: Stream) -> NDArray:
        with closing(passes_over(stream, self.n_jobs).map(work, "Scoring")) as steps:
            results = np.concatenate(list(steps))
        results[[stream.error(position) is not None for position in range(len(stream))]] = np.nan
        self._warn_of_images(stream)
        return results

    def _warn_of_images(self, stream: Stream) -> None:
        """Warn of what has been found out of images by reading them."""
        stream.warn_of_errors()
        if self._training_images is not None and stream.notes is not None:
            self._training_images.warn_of_colours(stream.names, stream.notes)

    def _inspect(self, stream: Stream) -> Generator[Inspection, None, None]:
        threshold = getattr(self, "offset_", np.nan)  # which heatmaps do not need
        heatmaps = passes_over(stream, self.n_jobs).map(self._heatmaps(), "Scoring")
        return _inspections(heatmaps, threshold, stream, partial(self._warn_of_images, stream))

    def _collect(
        self,
        X: Any,
        size: int | tuple[int, int] | str | None,
        show: Callable[[Inspection, Any], NDArray],
        dtype: type,
    ) -> Any:
        """Show each image at the size wanted."""
        stream = self._open(X)
        shape = target_size(size, stream.image_sizes[0])  # a bad size is told now
        with closing(self._inspect(stream)) as inspections:
            shown = (show(inspection, size) for inspection in inspections)
            if isinstance(size, str):
                return list(shown)
            # Straight into one array: a list that is stacked in the end takes the memory twice.
            image = np.dtype((dtype, shape or stream.heatmap_size))
            return np.fromiter(shown, image, count=len(stream))

    def _heatmaps(self, distances: Work | None = None) -> Work:
        """Return what makes heatmaps: it can be pickled, without the estimator, for workers."""
        if distances is None:
            gaussian = self._gaussian_alone()
            gaussian._check_fitted()
            # Embeddings are not checked again: they were when they were made, or came in.
            distances = gaussian._distances
        height, width = (1, 1, *self.grid_shape_)[-2:]
        # A copy, which no other thread changes, and found valid before long work.
        smoothing, size = shallow_copy(Smoothing.of(self.smoothing)), self.embedder_.input_size
        smoothing.axis_matrices((height, width), size)
        return partial(
            _heatmaps,
            distances=distances,
            grid_shape=(height, width),
            size=size,
            smoothing=smoothing,
        )

    def _gaussian_alone(self) -> PatchGaussian:
        # Without the moments that partial_fit keeps: workers do not need them, and they are large.
        if not hasattr(self.gaussian_, "_moments"):
            return self.gaussian_
        gaussian = copy(self.gaussian_)
        del gaussian._moments
        return gaussian

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        passthrough = self._takes_embeddings()
        tags.input_tags.two_d_array = passthrough
        tags.input_tags.three_d_array = True
        tags.input_tags.string = not passthrough
        tags.no_validation = not passthrough
        return tags


def _last(steps: Iterable[PatchMoments]) -> PatchMoments:
    """Go through a pass to its end, where the moments are of all samples."""
    return deque(steps, maxlen=1).pop()


def _heatmaps(
    batch: NDArray,
    *,
    distances: Work,
    grid_shape: Size,
    size: Size,
    smoothing: Smoothing,
) -> NDArray[np.float32]:
    maps = distances(batch).reshape(len(batch), *grid_shape)
    return to_heatmaps(maps, size, smoothing=smoothing)


def _scores(batch: NDArray, *, heatmaps: Work) -> NDArray[np.float64]:
    return heatmap_scores(heatmaps(batch))


def _inspections(
    heatmaps: Generator[NDArray[np.float32], None, None],
    threshold: float,
    stream: Stream,
    before_last: Callable[[], None],
) -> Generator[Inspection, None, None]:
    with closing(heatmaps):
        samples = zip(chain.from_iterable(heatmaps), stream.image_sizes, strict=True)
        for position, (heatmap, size) in enumerate(samples, start=1):
            error = stream.error(position - 1)
            if position == len(stream):  # who gets the last one may not come back
                before_last()
            # A copy: one that is kept does not keep its batch.
            heatmap = heatmap.copy() if error is None else np.full_like(heatmap, np.nan)
            yield Inspection(heatmap, threshold, stream.frame_size, size, error)


def _strict(X: Any) -> Any:
    """Return what to learn from, where images that cannot be read are an error."""
    return X.strict() if isinstance(X, ImageSequence) else X


def _log_likelihoods(batch: NDArray, *, gaussian: PatchGaussian) -> NDArray[np.float64]:
    readable = batch[~np.isnan(batch[:, 0, 0])]
    return np.full(len(batch), gaussian.score(readable) if len(readable) else np.nan)
