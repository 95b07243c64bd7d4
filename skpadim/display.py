"""Pictures of what a detector sees and decides, in scikit-learn's Display form.

They need matplotlib, which comes with ``pip install 'skpadim[plot]'``.
"""

from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from sklearn.metrics import auc
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skpadim._labels import image_labels
from skpadim._masks import read_masks_at, resize_mask
from skpadim._threshold import check_calibrated
from skpadim.images import ImageSequence
from skpadim.metrics import aupro_score, pixel_roc_curve, pro_curve
from skpadim.metrics._validation import check_max_fpr

__all__ = ["HeatmapDisplay", "PixelRocCurveDisplay", "ProCurveDisplay", "ScoreDisplay"]

# The colours of Okabe and Ito, which colour-blind people can tell apart.
_BLUE, _VERMILLION, _GREY = "#0072B2", "#D55E00", "#595959"

# Pictures are shown with no more pixels than this on their longer side.
_LONGEST_SIDE = 1024


class HeatmapDisplay:
    """Images with their heatmaps, decisions and defects.

    One colour scale serves all images and is anchored at the threshold: below it the heatmap is
    blue and fades away, above it runs from yellow to dark red, so that colours mean the same
    everywhere and only defective images have warm ones. A solid line is drawn around the pixels
    that make an image defective, a dashed one around its true defects. Each title has the index
    of the image, the decision and the score.

    It is recommended to use :meth:`from_estimator` or :meth:`from_predictions`. All parameters
    are stored as attributes.

    Parameters
    ----------
    images : sequence of ndarray of shape (height, width) or (height, width, 3), uint8
        Grey levels or RGB, of any sizes.
    heatmaps : sequence of ndarray of shape (height, width)
        One an image, larger = more anomalous. It is stretched over the image.
    offset : float
        The threshold on scores, as a detector's `offset_`. A heatmap is anomalous above
        ``-offset``.
    masks : sequence of ndarray of shape (height, width), bool, default=None
        True where an image is defective in truth. Stretched over the image like the heatmaps.
    y : ndarray of shape (n_images,), int, default=None
        +1 for images that are good in truth, -1 for defective ones. Titles then call false
        alarms and misses so.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure.
    axes_ : ndarray of shape (n_images,) of matplotlib Axes
        One an image.
    overlays_ : list of matplotlib AxesImage
        The heatmaps; all share one `norm`.
    contours_ : list of (matplotlib ContourSet or None)
        Around the pixels that make an image defective; None for images called good.
    outlines_ : list of (matplotlib ContourSet or None)
        Around true defects; None where there is none.
    colorbar_ : matplotlib Colorbar or None
        The colour bar.

    See Also
    --------
    skpadim.PaDiM.predict_heatmap : The heatmaps.
    ScoreDisplay : The scores of any number of images.

    Examples
    --------
    >>> from skpadim import PaDiM
    >>> from skpadim.datasets import make_inspection_images
    >>> from skpadim.display import HeatmapDisplay
    >>> parts = make_inspection_images(n_good=32, n_defective=2, random_state=0)
    >>> detector = PaDiM().fit(parts.images[:30])
    >>> display = HeatmapDisplay.from_estimator(
    ...     detector, parts.images[30:], masks=parts.masks[30:]
    ... )
    >>> display.axes_.shape
    (4,)
    >>> [contour is not None for contour in display.contours_]
    [False, False, True, True]
    """

    def __init__(
        self,
        *,
        images: Sequence[NDArray],
        heatmaps: Sequence[NDArray],
        offset: float,
        masks: Sequence[NDArray] | None = None,
        y: NDArray | None = None,
    ) -> None:
        self.images = images
        self.heatmaps = heatmaps
        self.offset = offset
        self.masks = masks
        self.y = y

    @classmethod
    def from_estimator(
        cls,
        detector: Any,
        X: Any,
        y: ArrayLike | None = None,
        *,
        masks: Any = None,
        ax: Any = None,
        vmax: float | None = None,
        colorbar: bool = True,
        overlay_kwargs: dict | None = None,
        contour_kwargs: dict | None = None,
        outline_kwargs: dict | None = None,
    ) -> "HeatmapDisplay":
        """Show images as a detector sees them, which looks at each of them once.

        Parameters
        ----------
        detector : PaDiM
            A fitted detector with a threshold.
        X : images
            In any form that :class:`~skpadim.PaDiM` takes. Up to about 40 stay readable.
        y : array-like of shape (n_images,), int, default=None
            The truth: +1 for good images, -1 for defective ones.
        masks : sequence of (path, array or None), default=None
            True defects: paths of masks, or arrays of the shapes of the images; None for
            images without a defect.
        ax : matplotlib Axes or array-like of n_images Axes, default=None
            Where to draw. None makes a new figure.
        vmax : float, default=None
            Upper end of the colour scale, see :meth:`plot`.
        colorbar : bool, default=True
            Whether to draw a colour bar.
        overlay_kwargs, contour_kwargs, outline_kwargs : dict, default=None
            Keyword arguments for matplotlib, see :meth:`plot`.

        Returns
        -------
        HeatmapDisplay
            The display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        NotFittedError
            If the detector is not fitted or has no threshold.
        TypeError
            If the detector has no heatmaps.
        ValueError
            If there are no images, if `y`, `masks` or `ax` are of another length, if a mask has
            another shape than its image, if a label is neither +1 nor -1, or if the detector
            takes embeddings.
        """
        _import_pyplot()
        _check_heatmap_detector(detector)
        check_calibrated(detector)
        images = ImageSequence(X)
        y = image_labels(y, len(images))
        masks = None if masks is None else read_masks_at(masks, images.sizes)
        _check_axes(ax, len(images))
        _check_scale(detector.offset_, vmax)
        return cls.from_predictions(
            images,
            _predict_heatmaps(detector, images),
            offset=detector.offset_,
            y=y,
            masks=masks,
            ax=ax,
            vmax=vmax,
            colorbar=colorbar,
            overlay_kwargs=overlay_kwargs,
            contour_kwargs=contour_kwargs,
            outline_kwargs=outline_kwargs,
        )

    @classmethod
    def from_predictions(
        cls,
        images: Any,
        heatmaps: NDArray | Sequence[ArrayLike],
        *,
        offset: float,
        y: ArrayLike | None = None,
        masks: Any = None,
        ax: Any = None,
        vmax: float | None = None,
        colorbar: bool = True,
        overlay_kwargs: dict | None = None,
        contour_kwargs: dict | None = None,
        outline_kwargs: dict | None = None,
    ) -> "HeatmapDisplay":
        """Show images with heatmaps that are at hand.

        Parameters
        ----------
        images : images
            In any form that :class:`~skpadim.PaDiM` takes. Up to about 40 stay readable.
        heatmaps : array-like of shape (n_images, height, width), or sequence of (height, width)
            Larger is more anomalous. Each covers its whole image, at any resolution. Decisions
            are exactly those of `predict` for heatmaps of the network's size.
        offset : float
            The threshold on scores, as a detector's `offset_`.
        y : array-like of shape (n_images,), int, default=None
            The truth: +1 for good images, -1 for defective ones.
        masks : sequence of (path, array or None), default=None
            True defects: paths of masks, or arrays of the shapes of the images; None for
            images without a defect.
        ax : matplotlib Axes or array-like of n_images Axes, default=None
            Where to draw. None makes a new figure.
        vmax : float, default=None
            Upper end of the colour scale, see :meth:`plot`.
        colorbar : bool, default=True
            Whether to draw a colour bar.
        overlay_kwargs, contour_kwargs, outline_kwargs : dict, default=None
            Keyword arguments for matplotlib, see :meth:`plot`.

        Returns
        -------
        HeatmapDisplay
            The display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If there are no images, if anything is of another length, if a heatmap has not two
            axes or is not finite, if a mask has another shape than its image, if a label is
            neither +1 nor -1, or if `offset` is not finite.
        """
        _import_pyplot()
        images = ImageSequence(images)
        if len(heatmaps) != len(images):
            raise ValueError(f"there are {len(heatmaps)} heatmaps for {len(images)} images.")
        maps: list[NDArray] = [np.asarray(heatmap) for heatmap in heatmaps]
        for index, heatmap in enumerate(maps):
            if heatmap.ndim != 2 or heatmap.size == 0:
                raise ValueError(
                    f"heatmaps[{index}] has the shape {heatmap.shape}; it must be (height, width)."
                )
            if not np.isfinite(heatmap).all():
                raise ValueError(f"heatmaps[{index}] has NaN or infinite values.")
        y = image_labels(y, len(images))
        masks = None if masks is None else read_masks_at(masks, images.sizes)
        _check_axes(ax, len(images))
        display = cls(
            images=[_reduced(image) for image in images],
            heatmaps=maps,
            offset=float(offset),
            masks=masks,
            y=y,
        )
        return display.plot(
            ax=ax,
            vmax=vmax,
            colorbar=colorbar,
            overlay_kwargs=overlay_kwargs,
            contour_kwargs=contour_kwargs,
            outline_kwargs=outline_kwargs,
        )

    def plot(
        self,
        ax: Any = None,
        *,
        vmax: float | None = None,
        colorbar: bool = True,
        overlay_kwargs: dict | None = None,
        contour_kwargs: dict | None = None,
        outline_kwargs: dict | None = None,
    ) -> "HeatmapDisplay":
        """Draw the images.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of n_images Axes, default=None
            Where to draw. None makes a new figure, with a legend of the lines.
        vmax : float, default=None
            Value at the upper end of the colour scale, whose middle is the threshold. None is the
            largest value of all heatmaps, or twice the threshold where that is more: a value just
            above the threshold never has the strongest colour. Give one for several figures that
            are to be compared.
        colorbar : bool, default=True
            Whether to draw a colour bar.
        overlay_kwargs : dict, default=None
            Keyword arguments for the `imshow` of the heatmaps, as ``{"alpha": 0.8}`` or
            ``{"cmap": "cividis"}``.
        contour_kwargs : dict, default=None
            Keyword arguments for the `contour` around the pixels that make an image defective.
        outline_kwargs : dict, default=None
            Keyword arguments for the `contour` around true defects.

        Returns
        -------
        HeatmapDisplay
            The display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If `ax` is of another length than the images, or if `vmax` is not above the threshold.
        """
        _check_scale(self.offset, vmax)
        norm = _threshold_norm(self.offset, self.heatmaps, vmax)
        axes = _check_axes(ax, len(self.images))
        self.axes_ = (
            axes if axes is not None else _make_grid([i.shape[:2] for i in self.images], colorbar)
        )
        self.figure_ = self.axes_[0].figure
        overlay_kwargs = {
            "cmap": _threshold_colormap(),
            "interpolation": "bilinear",
            "interpolation_stage": "data",  # so that the step at the threshold stays sharp
            **(overlay_kwargs or {}),
        }
        contour_kwargs = {"colors": "black", "linestyles": "solid", **(contour_kwargs or {})}
        outline_kwargs = {"colors": "white", "linestyles": "dashed", **(outline_kwargs or {})}
        self.overlays_, self.contours_, self.outlines_ = [], [], []
        for index, (axis, image, heatmap) in enumerate(
            zip(self.axes_, self.images, self.heatmaps, strict=True)
        ):
            height, width = image.shape[:2]
            extent = (-0.5, width - 0.5, height - 0.5, -0.5)
            axis.imshow(image, cmap="gray", vmin=0, vmax=255)
            self.overlays_.append(axis.imshow(heatmap, extent=extent, norm=norm, **overlay_kwargs))
            contour = outline = None
            if self._is_defective(index):
                contour = _outline(axis, heatmap, -self.offset, extent, "white", contour_kwargs)
            if self.masks is not None and self.masks[index].any():
                outline = _outline(axis, self.masks[index], 0.5, extent, "black", outline_kwargs)
            self.contours_.append(contour)
            self.outlines_.append(outline)
            self._label(index)
        self.colorbar_ = self._draw_colorbar(norm) if colorbar else None
        if ax is None:
            self._draw_legend()
        return self

    def _score(self, index: int) -> float:
        # A Python float, in which decision_function compares as well.
        return -float(self.heatmaps[index].max())

    def _is_defective(self, index: int) -> bool:
        return self._score(index) < self.offset

    def _label(self, index: int) -> None:
        defective = self._is_defective(index)
        wrong = self.y is not None and self.y[index] != (-1 if defective else 1)
        if wrong:
            verdict = "false alarm" if defective else "missed"
        else:
            verdict = "defective" if defective else "good"
        axis, colour = self.axes_[index], _VERMILLION if defective else "black"
        axis.set_title(
            f"{index}: {verdict}, {_number(self._score(index))}",
            color=colour,
            fontsize=7 if len(self.images) > 20 else 9,
            fontweight="bold" if wrong else "normal",
            pad=3,
        )
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set(color=colour if defective else "silver", linewidth=1)

    def _draw_colorbar(self, norm: Any) -> Any:
        height = self.figure_.figure.get_figheight()
        colorbar = self.figure_.colorbar(
            self.overlays_[0],
            ax=list(self.axes_),
            shrink=min(1.0, 4 / height),
            aspect=25,
            pad=0.02,
            panchor=False,
        )
        colorbar.set_label("distance from good images\n(score = \N{MINUS SIGN}maximum)")
        colorbar.set_ticks(**_ticks(norm))
        colorbar.ax.axhline(norm.vcenter, color="black")
        return colorbar

    def _draw_legend(self) -> None:
        lines = {}
        for name, found in (("called defective", self.contours_), ("true defect", self.outlines_)):
            contour = next((contour for contour in found if contour is not None), None)
            if contour is not None:
                lines[name] = contour.legend_elements()[0][0]
                lines[name].set_path_effects(contour.get_path_effects())
        self.figure_.legend(
            lines.values(),
            lines.keys(),
            title="above each image: its index, the decision, the score",
            loc="outside lower center",
            ncols=2,
            handlelength=4,
            frameon=False,
            fontsize=9,
            title_fontsize=9,
        )


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
    >>> parts = make_inspection_images(n_good=40, n_defective=4, random_state=0)
    >>> detector = PaDiM().fit(parts.images[:30])
    >>> display = ScoreDisplay.from_estimator(detector, parts.images[30:], parts.y[30:])
    >>> list(display.scatters_)
    ['calibration', 'good', 'defective']
    """

    def __init__(
        self,
        *,
        scores: NDArray,
        offset: float,
        y: NDArray | None = None,
        calibration_scores: NDArray | None = None,
    ) -> None:
        self.scores = scores
        self.offset = offset
        self.y = y
        self.calibration_scores = calibration_scores

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
        _import_pyplot()
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
        _import_pyplot()
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
            rows["calibration"] = self.calibration_scores, _GREY, "o"
        if self.y is None:
            rows["images"] = self.scores, _BLUE, "o"
        else:
            rows["good"] = self.scores[self.y == 1], _BLUE, "o"
            rows["defective"] = self.scores[self.y == -1], _VERMILLION, "x"
        self.ax_ = _make_axes((7, 0.9 + 0.8 * len(rows))) if ax is None else ax
        self.figure_ = self.ax_.figure
        self.scatters_, names = {}, []
        for row, (name, (scores, colour, marker)) in enumerate(rows.items()):
            # Multiples of the golden ratio spread marks evenly in height, without drawing lots.
            heights = row + 0.6 * (np.arange(len(scores)) * 0.618034 % 1 - 0.5)
            style = {"color": colour, "marker": marker, "s": 18, "alpha": 0.7, "linewidths": 1}
            self.scatters_[name] = self.ax_.scatter(
                scores, heights, **{**style, **(scatter_kwargs or {})}
            )
            alarms = np.count_nonzero(scores < self.offset)
            names.append(f"{name}\n{alarms} of {len(scores)} below")
        self.line_ = self.ax_.axvline(
            self.offset, **{"color": "black", "linewidth": 1, **(line_kwargs or {})}
        )
        self.ax_.set_yticks(range(len(rows)), names)
        self.ax_.set_ylim(len(rows) - 0.5, -0.5)
        self.ax_.set_xlabel(f"score, larger is more normal; threshold {_number(self.offset)}")
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


class PixelRocCurveDisplay:
    """ROC curve of the pixels of images with masks.

    It is recommended to use :meth:`from_estimator` or :meth:`from_predictions`. All parameters
    are stored as attributes.

    Parameters
    ----------
    fpr : ndarray of shape (n_thresholds,)
        False positive rates.
    tpr : ndarray of shape (n_thresholds,)
        True positive rates.
    roc_auc : float, default=None
        Area under the curve, for the legend.
    name : str, default=None
        Name of the curve, for the legend.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure.
    ax_ : matplotlib Axes
        The axes.
    line_ : matplotlib Line2D
        The curve.

    See Also
    --------
    skpadim.metrics.pixel_roc_curve : The curve.
    ProCurveDisplay : The curve in which small defects count as much as large ones.

    Examples
    --------
    >>> import numpy as np
    >>> from skpadim.display import PixelRocCurveDisplay
    >>> masks = np.array([[[0, 0, 1], [0, 0, 0]]])
    >>> heatmaps = np.array([[[0.1, 0.2, 0.9], [0.0, 0.1, 0.2]]])
    >>> display = PixelRocCurveDisplay.from_predictions(masks, heatmaps)
    >>> display.roc_auc
    1.0
    """

    def __init__(
        self,
        *,
        fpr: NDArray,
        tpr: NDArray,
        roc_auc: float | None = None,
        name: str | None = None,
    ) -> None:
        self.fpr = fpr
        self.tpr = tpr
        self.roc_auc = roc_auc
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        detector: Any,
        X: Any,
        masks: Any,
        *,
        name: str | None = None,
        ax: Any = None,
        curve_kwargs: dict | None = None,
    ) -> "PixelRocCurveDisplay":
        """Compare the heatmaps of a detector with masks.

        Parameters
        ----------
        detector : PaDiM
            A fitted detector.
        X : images
            In any form that :class:`~skpadim.PaDiM` takes, good and defective ones.
        masks : sequence of (path, array or None)
            True defects: paths of masks, or arrays of the shapes of the images; None for
            images without a defect. They are brought to the size of the heatmaps, to the nearest
            pixel.
        name : str, default=None
            Name of the curve. None is the name of the detector's class.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        curve_kwargs : dict, default=None
            Keyword arguments for matplotlib's `plot`.

        Returns
        -------
        PixelRocCurveDisplay
            The display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        NotFittedError
            If the detector is not fitted.
        TypeError
            If the detector has no heatmaps.
        ValueError
            If there are no images, if `masks` are of another length, if one has another shape
            than its image, if there is no defective or no defect-free pixel, or if the detector
            takes embeddings.
        """
        _import_pyplot()
        truth, heatmaps = _predict_pixels(detector, X, masks)
        name = type(detector).__name__ if name is None else name
        return cls.from_predictions(truth, heatmaps, name=name, ax=ax, curve_kwargs=curve_kwargs)

    @classmethod
    def from_predictions(
        cls,
        masks: NDArray | Sequence[ArrayLike],
        heatmaps: NDArray | Sequence[ArrayLike],
        *,
        name: str | None = None,
        ax: Any = None,
        curve_kwargs: dict | None = None,
    ) -> "PixelRocCurveDisplay":
        """Compare heatmaps that are at hand with masks.

        Parameters
        ----------
        masks : array-like of shape (n_images, height, width), or sequence of (height, width)
            True, 1 or 255 where an image is defective; False or 0 elsewhere.
        heatmaps : array-like of shape (n_images, height, width), or sequence of (height, width)
            Larger is more anomalous.
        name : str, default=None
            Name of the curve.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        curve_kwargs : dict, default=None
            Keyword arguments for matplotlib's `plot`.

        Returns
        -------
        PixelRocCurveDisplay
            The display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            As in :func:`skpadim.metrics.pixel_roc_curve`.
        """
        _import_pyplot()
        fpr, tpr, _ = pixel_roc_curve(masks, heatmaps)
        display = cls(fpr=fpr, tpr=tpr, roc_auc=float(auc(fpr, tpr)), name=name)
        return display.plot(ax=ax, curve_kwargs=curve_kwargs)

    def plot(
        self, ax: Any = None, *, name: str | None = None, curve_kwargs: dict | None = None
    ) -> "PixelRocCurveDisplay":
        """Draw the curve.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        name : str, default=None
            Name of the curve. None is `name` as given before.
        curve_kwargs : dict, default=None
            Keyword arguments for matplotlib's `plot`.

        Returns
        -------
        PixelRocCurveDisplay
            The display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        value = None if self.roc_auc is None else f"AUROC = {self.roc_auc:.3f}"
        label = _legend_label(self.name if name is None else name, value)
        self.ax_ = _make_axes((5, 5)) if ax is None else ax
        self.figure_ = self.ax_.figure
        self.line_ = _draw_curve(self.ax_, self.fpr, self.tpr, label, curve_kwargs)
        self.ax_.set_ylabel("true positive rate of pixels")
        return self


class ProCurveDisplay:
    """Per-region overlap (PRO) over the false positive rate of pixels.

    The area that counts, up to `max_fpr`, is shaded.

    It is recommended to use :meth:`from_estimator` or :meth:`from_predictions`. All parameters
    are stored as attributes.

    Parameters
    ----------
    fpr : ndarray of shape (n_thresholds,)
        False positive rates.
    pro : ndarray of shape (n_thresholds,)
        Per-region overlaps.
    aupro : float, default=None
        Area under the curve up to `max_fpr`, divided by it, for the legend.
    max_fpr : float, default=0.3
        False positive rate, in (0, 1], up to which the curve is integrated.
    name : str, default=None
        Name of the curve, for the legend.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure.
    ax_ : matplotlib Axes
        The axes.
    line_ : matplotlib Line2D
        The curve.
    area_ : matplotlib PolyCollection
        The shaded area.

    See Also
    --------
    skpadim.metrics.pro_curve : The curve.
    skpadim.metrics.aupro_score : The area under it.

    Examples
    --------
    >>> import numpy as np
    >>> from skpadim.display import ProCurveDisplay
    >>> masks = np.array([[[0, 0, 1], [0, 0, 0]]])
    >>> heatmaps = np.array([[[0.1, 0.2, 0.9], [0.0, 0.1, 0.2]]])
    >>> display = ProCurveDisplay.from_predictions(masks, heatmaps)
    >>> display.aupro
    1.0
    """

    def __init__(
        self,
        *,
        fpr: NDArray,
        pro: NDArray,
        aupro: float | None = None,
        max_fpr: float = 0.3,
        name: str | None = None,
    ) -> None:
        self.fpr = fpr
        self.pro = pro
        self.aupro = aupro
        self.max_fpr = max_fpr
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        detector: Any,
        X: Any,
        masks: Any,
        *,
        max_fpr: float = 0.3,
        name: str | None = None,
        ax: Any = None,
        curve_kwargs: dict | None = None,
        area_kwargs: dict | None = None,
    ) -> "ProCurveDisplay":
        """Compare the heatmaps of a detector with masks.

        Parameters
        ----------
        detector : PaDiM
            A fitted detector.
        X : images
            In any form that :class:`~skpadim.PaDiM` takes, good and defective ones.
        masks : sequence of (path, array or None)
            True defects: paths of masks, or arrays of the shapes of the images; None for
            images without a defect. They are brought to the size of the heatmaps, to the nearest
            pixel.
        max_fpr : float, default=0.3
            False positive rate, in (0, 1], up to which the curve is integrated.
        name : str, default=None
            Name of the curve. None is the name of the detector's class.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        curve_kwargs, area_kwargs : dict, default=None
            Keyword arguments for matplotlib, see :meth:`plot`.

        Returns
        -------
        ProCurveDisplay
            The display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        NotFittedError
            If the detector is not fitted.
        TypeError
            If the detector has no heatmaps.
        ValueError
            If there are no images, if `masks` are of another length, if one has another shape
            than its image, if there is no defective or no defect-free pixel, if the detector
            takes embeddings, or if `max_fpr` lies outside (0, 1].
        """
        _import_pyplot()
        check_max_fpr(max_fpr)
        truth, heatmaps = _predict_pixels(detector, X, masks)
        return cls.from_predictions(
            truth,
            heatmaps,
            max_fpr=max_fpr,
            name=type(detector).__name__ if name is None else name,
            ax=ax,
            curve_kwargs=curve_kwargs,
            area_kwargs=area_kwargs,
        )

    @classmethod
    def from_predictions(
        cls,
        masks: NDArray | Sequence[ArrayLike],
        heatmaps: NDArray | Sequence[ArrayLike],
        *,
        max_fpr: float = 0.3,
        name: str | None = None,
        ax: Any = None,
        curve_kwargs: dict | None = None,
        area_kwargs: dict | None = None,
    ) -> "ProCurveDisplay":
        """Compare heatmaps that are at hand with masks.

        Parameters
        ----------
        masks : array-like of shape (n_images, height, width), or sequence of (height, width)
            True, 1 or 255 where an image is defective; False or 0 elsewhere.
        heatmaps : array-like of shape (n_images, height, width), or sequence of (height, width)
            Larger is more anomalous.
        max_fpr : float, default=0.3
            False positive rate, in (0, 1], up to which the curve is integrated.
        name : str, default=None
            Name of the curve.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        curve_kwargs, area_kwargs : dict, default=None
            Keyword arguments for matplotlib, see :meth:`plot`.

        Returns
        -------
        ProCurveDisplay
            The display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            As in :func:`skpadim.metrics.aupro_score`.
        """
        _import_pyplot()
        check_max_fpr(max_fpr)
        fpr, pro, _ = pro_curve(masks, heatmaps)
        aupro = aupro_score(masks, heatmaps, max_fpr=max_fpr)
        display = cls(fpr=fpr, pro=pro, aupro=aupro, max_fpr=max_fpr, name=name)
        return display.plot(ax=ax, curve_kwargs=curve_kwargs, area_kwargs=area_kwargs)

    def plot(
        self,
        ax: Any = None,
        *,
        name: str | None = None,
        curve_kwargs: dict | None = None,
        area_kwargs: dict | None = None,
    ) -> "ProCurveDisplay":
        """Draw the curve.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        name : str, default=None
            Name of the curve. None is `name` as given before.
        curve_kwargs : dict, default=None
            Keyword arguments for matplotlib's `plot`.
        area_kwargs : dict, default=None
            Keyword arguments for the `fill_between` of the area.

        Returns
        -------
        ProCurveDisplay
            The display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        value = None
        if self.aupro is not None:
            limit = f"FPR \N{LESS-THAN OR EQUAL TO} {self.max_fpr:g}"
            value = f"AUPRO = {self.aupro:.3f}, {limit}"
        label = _legend_label(self.name if name is None else name, value)
        self.ax_ = _make_axes((5, 5)) if ax is None else ax
        self.figure_ = self.ax_.figure
        self.line_ = _draw_curve(self.ax_, self.fpr, self.pro, label, curve_kwargs)
        fpr, pro = _thinned(self.fpr, self.pro)
        inside = fpr < self.max_fpr
        end = np.interp(self.max_fpr, fpr, pro)
        self.area_ = self.ax_.fill_between(
            np.append(fpr[inside], self.max_fpr),
            np.append(pro[inside], end),
            **{
                "color": self.line_.get_color(),
                "alpha": 0.2,
                "linewidth": 0,
                **(area_kwargs or {}),
            },
        )
        self.ax_.set_ylabel("per-region overlap (PRO)")
        return self


def _import_pyplot() -> Any:
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            "skpadim.display needs matplotlib: pip install 'skpadim[plot]'."
        ) from error
    return plt


def _check_heatmap_detector(detector: Any) -> None:
    if not hasattr(detector, "predict_heatmap"):
        raise TypeError(
            f"detector is a {type(detector).__name__}, which has no predict_heatmap; give a "
            "fitted PaDiM."
        )
    check_is_fitted(detector, "gaussian_")
    if isinstance(detector.embedder_, str):
        raise ValueError(
            "the detector takes embeddings, not images: use from_predictions with the heatmaps "
            "that it predicts."
        )


def _predict_heatmaps(detector: Any, images: ImageSequence) -> NDArray[np.float32]:
    """Heatmaps of whole images at the network's scale, on which decisions are made.

    At this size nothing is interpolated, and the zeros outside a crop change no maximum. Other
    sizes could miss a peak, and would need a second look for the scores.
    """
    return detector.predict_heatmap(images, size=detector.embedder_.image_size)


def _predict_pixels(
    detector: Any, X: Any, masks: Any
) -> tuple[list[NDArray[np.bool_]], NDArray[np.float32]]:
    """Masks and heatmaps of one size."""
    _check_heatmap_detector(detector)
    images = ImageSequence(X)
    truth = read_masks_at(masks, images.sizes)
    if not any(mask.any() for mask in truth):
        raise ValueError("masks have no defective pixel; the curve needs some.")
    heatmaps = _predict_heatmaps(detector, images)
    return [resize_mask(mask, heatmaps.shape[1:]) for mask in truth], heatmaps


def _check_scores(scores: ArrayLike, name: str) -> NDArray[np.float64]:
    checked: NDArray = np.asarray(scores, dtype=np.float64)
    if checked.ndim != 1 or checked.size == 0 or not np.isfinite(checked).all():
        raise ValueError(f"{name} must be one finite number an image, and at least one.")
    return checked


def _check_axes(ax: Any, n_images: int) -> NDArray | None:
    if ax is None:
        return None
    axes: NDArray = np.ravel(np.asarray(ax, dtype=object))
    if len(axes) != n_images:
        raise ValueError(f"ax holds {len(axes)} axes for {n_images} images; give one an image.")
    return axes


def _check_scale(offset: float, vmax: float | None) -> None:
    if not np.isfinite(offset):
        raise ValueError(f"offset={offset} must be finite: it anchors the colour scale.")
    if vmax is not None and not (isinstance(vmax, Real) and vmax > -offset):
        raise ValueError(f"vmax={vmax!r} must be a number above the threshold, {-offset:.4g}.")


def _reduced(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Average blocks of pixels that nobody would see one by one."""
    factor = max(1, max(image.shape) // _LONGEST_SIDE)
    return image if factor == 1 else np.asarray(Image.fromarray(image).reduce(factor))


def _threshold_norm(offset: float, heatmaps: Sequence[NDArray], vmax: float | None) -> Any:
    """One scale for all heatmaps, whose middle is the threshold."""
    from matplotlib.colors import TwoSlopeNorm

    threshold = -offset
    # Distances begin at 0, so that the scale does where the threshold is positive, as it is but
    # for offsets set by hand.
    span = abs(threshold) or 1.0
    if vmax is None:
        vmax = max(threshold + span, *(float(heatmap.max()) for heatmap in heatmaps))
    return TwoSlopeNorm(threshold, vmin=threshold - span, vmax=vmax)


def _threshold_colormap() -> Any:
    """Blue that fades away below the middle, yellow to dark red above it.

    Blue and yellow differ for colour-blind people, too; above the middle colours get darker.
    """
    from matplotlib.colors import LinearSegmentedColormap

    blue, yellow, orange, red = (0.0, 0.45, 0.7), (1.0, 0.76, 0.04), (0.9, 0.38, 0.0), (0.5, 0, 0.1)
    return LinearSegmentedColormap.from_list(
        "threshold",
        [
            (0.0, (*blue, 0.0)),
            (0.3, (*blue, 0.0)),
            (0.5, (*blue, 0.35)),
            (0.5, (*yellow, 0.4)),
            (0.7, (*orange, 0.5)),
            (1.0, (*red, 0.65)),
        ],
    )


def _ticks(norm: Any) -> dict[str, list]:
    """Ticks of a colour bar: some below the threshold, the threshold, some above."""
    from matplotlib.ticker import MaxNLocator

    ticks = []
    for low, high in ((norm.vmin, norm.vcenter), (norm.vcenter, norm.vmax)):
        values = MaxNLocator(4).tick_values(low, high)
        # Not so near the threshold that the labels would touch.
        room = 0.1 * (high - low)
        near = np.abs(values - norm.vcenter) < room
        ticks += [float(v) for v in values[(values >= low) & (values <= high) & ~near]]
    labels = [f"{tick:.3g}" for tick in ticks]
    return {
        "ticks": [*ticks, norm.vcenter],
        "labels": [*labels, f"threshold {_number(norm.vcenter)}"],
    }


def _make_grid(shapes: list[tuple[int, ...]], colorbar: bool) -> NDArray:
    """Make a figure with axes for images of these shapes."""
    n_images = len(shapes)
    n_rows = max(1, round(np.sqrt(n_images / 1.6)))
    n_columns = min(8, int(np.ceil(n_images / n_rows)))
    n_rows = int(np.ceil(n_images / n_columns))
    width = float(np.clip(9 / n_columns, 1.5, 3.6))
    height = width * float(np.clip(np.median([h / w for h, w in shapes]), 0.25, 3))
    figure, axes = _import_pyplot().subplots(
        n_rows,
        n_columns,
        figsize=(width * n_columns + 2.1 * colorbar, (height + 0.25) * n_rows + 0.5),
        layout="constrained",
        squeeze=False,
    )
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03, wspace=0, hspace=0)
    for axis in axes.flat[n_images:]:
        axis.set_axis_off()
    return axes.ravel()[:n_images]


def _make_axes(figsize: tuple[float, float]) -> Any:
    return _import_pyplot().subplots(figsize=figsize, layout="constrained")[1]


def _outline(
    axis: Any,
    values: NDArray,
    level: float,
    extent: tuple[float, float, float, float],
    halo: str,
    kwargs: dict,
) -> Any:
    """Draw a line around the pixels above a level, closed at the border of the image."""
    from matplotlib.patheffects import withStroke

    left, right, bottom, top = extent
    height, width = values.shape
    framed = np.full((height + 2, width + 2), np.nextafter(level, -np.inf))
    framed[1:-1, 1:-1] = values
    x = np.clip(np.arange(-0.5, width + 1), 0, width) / width * (right - left) + left
    y = np.clip(np.arange(-0.5, height + 1), 0, height) / height * (bottom - top) + top
    contour = axis.contour(x, y, framed, levels=[level], **{"linewidths": 1.2, **kwargs})
    # Of the other brightness, so that the line is seen on any image.
    contour.set_path_effects([withStroke(linewidth=2.6, foreground=halo)])
    return contour


def _number(value: float) -> str:
    """Three digits, zeros included, so that numbers compare at a glance."""
    return f"{value:#.3g}".rstrip(".").replace("-", "\N{MINUS SIGN}")


def _legend_label(name: str | None, value: str | None) -> str | None:
    if name is None or value is None:
        return name if value is None else value
    return f"{name} ({value})"


def _draw_curve(
    ax: Any, fpr: NDArray, rate: NDArray, label: str | None, curve_kwargs: dict | None
) -> Any:
    (line,) = ax.plot(*_thinned(fpr, rate), **{"label": label, **(curve_kwargs or {})})
    ax.set(xlabel="false positive rate of pixels", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    ax.set_aspect("equal")
    if line.get_label() and not line.get_label().startswith("_"):
        ax.legend(loc="lower right")
    return line


def _thinned(fpr: NDArray, rate: NDArray) -> tuple[NDArray, NDArray]:
    """Leave out points of a rising curve that nobody could see, and that weigh 20 MB as SVG."""
    steps = np.floor(5000 * (fpr + rate))
    changes = np.diff(steps) > 0
    # The first and the last of each step, so that jumps stay where they are.
    kept = np.append(True, changes) | np.append(changes, True)
    return fpr[kept], rate[kept]
