"""Images with their heatmaps, on one colour scale that is anchored at the threshold."""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from skpadim._estimators import shallow_copy
from skpadim._labels import check_labels, image_labels
from skpadim._masks import read_masks_at
from skpadim._threshold import check_calibrated
from skpadim.display._drawing import VERMILION, format_number, import_pyplot
from skpadim.display._inputs import check_heatmap_detector, predict_heatmaps
from skpadim.images import ImageSequence

# Pictures are shown with no more pixels than this on their longer side.
_LONGEST_SIDE = 1024


@dataclass(kw_only=True, eq=False, repr=False)
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
    >>> parts = make_inspection_images(22, 2, image_size=128, random_state=0)
    >>> detector = PaDiM().fit(parts.images[:20])
    >>> display = HeatmapDisplay.from_estimator(
    ...     detector, parts.images[20:], masks=parts.masks[20:]
    ... )
    >>> display.axes_.shape
    (4,)
    >>> [contour is not None for contour in display.contours_]
    [False, False, True, True]
    """

    images: Sequence[NDArray]
    heatmaps: Sequence[NDArray]
    offset: float
    masks: Sequence[NDArray] | None = None
    y: NDArray | None = None

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
        import_pyplot()
        check_heatmap_detector(detector)
        detector = shallow_copy(detector)
        check_calibrated(detector)
        check_labels(y)
        images = ImageSequence(X).strict()
        y = image_labels(y, len(images))
        masks = None if masks is None else read_masks_at(masks, images.sizes)
        _check_axes(ax, len(images))
        _check_scale(detector.offset_, vmax)
        return cls.from_predictions(
            images,
            predict_heatmaps(detector, images),
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
        import_pyplot()
        check_labels(y)
        images = ImageSequence(images).strict()
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
        return not self._score(index) >= self.offset

    def _label(self, index: int) -> None:
        defective = self._is_defective(index)
        wrong = self.y is not None and self.y[index] != (-1 if defective else 1)
        if wrong:
            verdict = "false alarm" if defective else "missed"
        else:
            verdict = "defective" if defective else "good"
        axis, colour = self.axes_[index], VERMILION if defective else "black"
        axis.set_title(
            f"{index}: {verdict}, {format_number(self._score(index))}",
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
    """Blue that fades away below the middle, yellow to dark red above it."""
    from matplotlib.colors import LinearSegmentedColormap

    # Blue and yellow differ for colour-blind people, too; above the middle colours get darker.
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
        "labels": [*labels, f"threshold {format_number(norm.vcenter)}"],
    }


def _make_grid(shapes: list[tuple[int, ...]], colorbar: bool) -> NDArray:
    """Make a figure with axes for images of these shapes."""
    n_images = len(shapes)
    n_rows = max(1, round(np.sqrt(n_images / 1.6)))
    n_columns = min(8, int(np.ceil(n_images / n_rows)))
    n_rows = int(np.ceil(n_images / n_columns))
    width = float(np.clip(9 / n_columns, 1.5, 3.6))
    height = width * float(np.clip(np.median([h / w for h, w in shapes]), 0.25, 3))
    figure, axes = import_pyplot().subplots(
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
