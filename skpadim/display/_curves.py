"""Curves of pixels: how much of the defects is found for how many false alarms."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import auc

from skpadim._masks import read_masks_at, resize_mask
from skpadim.display._drawing import import_pyplot, make_axes
from skpadim.display._inputs import check_heatmap_detector, predict_heatmaps
from skpadim.images import ImageSequence
from skpadim.metrics import aupro_score, pixel_roc_curve, pro_curve
from skpadim.metrics._validation import Maps, check_max_fpr


@dataclass(kw_only=True, eq=False, repr=False)
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

    fpr: NDArray
    tpr: NDArray
    roc_auc: float | None = None
    name: str | None = None

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
        import_pyplot()
        truth, heatmaps = _predict_pixels(detector, X, masks)
        name = type(detector).__name__ if name is None else name
        return cls.from_predictions(truth, heatmaps, name=name, ax=ax, curve_kwargs=curve_kwargs)

    @classmethod
    def from_predictions(
        cls,
        masks: Maps,
        heatmaps: Maps,
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
        import_pyplot()
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
        self.ax_ = make_axes((5, 5)) if ax is None else ax
        self.figure_ = self.ax_.figure
        self.line_ = _draw_curve(self.ax_, self.fpr, self.tpr, label, curve_kwargs)
        self.ax_.set_ylabel("true positive rate of pixels")
        return self


@dataclass(kw_only=True, eq=False, repr=False)
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

    fpr: NDArray
    pro: NDArray
    aupro: float | None = None
    max_fpr: float = 0.3
    name: str | None = None

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
        import_pyplot()
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
        masks: Maps,
        heatmaps: Maps,
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
        import_pyplot()
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
        self.ax_ = make_axes((5, 5)) if ax is None else ax
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


def _predict_pixels(
    detector: Any, X: Any, masks: Any
) -> tuple[list[NDArray[np.bool_]], NDArray[np.float32]]:
    """Masks and heatmaps of one size."""
    check_heatmap_detector(detector)
    images = ImageSequence(X).strict()
    truth = read_masks_at(masks, images.sizes)
    if not any(mask.any() for mask in truth):
        raise ValueError("masks have no defective pixel; the curve needs some.")
    heatmaps = predict_heatmaps(detector, images)
    return [resize_mask(mask, heatmaps.shape[1:]) for mask in truth], heatmaps


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
