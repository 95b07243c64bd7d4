"""Distances on the grid -> heatmaps at image size -> image scores."""

from functools import lru_cache
from numbers import Real

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, uniform_filter1d
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval, StrOptions

from skpadim._sizes import Size, check_size
from skpadim._threads import one_blas_thread

# Distances are taken for no larger, so that a heatmap is finite: infinity times a weight of 0 is no
# number. It leaves room in float32 for weights that overshoot.
LARGEST = 1e30

__all__ = ["Smoothing", "heatmap_scores", "resize_heatmaps", "to_heatmaps"]


class Smoothing(BaseEstimator):
    """How distances on the grid become a smooth heatmap.

    Beginners need nothing of it: ``PaDiM(smoothing=4.0)`` is ``PaDiM(smoothing=Smoothing(4.0))``.
    The other parameters are what other implementations do, see ``skpadim.recipes``. With a
    Smoothing they are reached as ``smoothing__size`` and so on.

    Parameters
    ----------
    size : float, default=4.0
        Size of the filter, in pixels of the heatmap: the standard deviation of "gaussian", the
        width of "uniform", which must be odd; 0 for none.
    filter : {"gaussian", "uniform"}, default="gaussian"
        The Gaussian filter of the paper [1]_, cut off at four standard deviations, or the mean over
        a square.
    mode : {"reflect", "mirror", "constant"}, default="reflect"
        What the filter finds beyond the border of a heatmap, by the names of
        :func:`scipy.ndimage.gaussian_filter`: the heatmap mirrored with its last pixel repeated,
        mirrored without, or zeros.
    interpolation : {"nearest", "bilinear", "bicubic"}, default="bilinear"
        From the patch grid to the image. Bicubic is what the paper has [1]_; it can overshoot at
        sharp peaks. With "nearest" and ``size=0`` the score of an image is that of its most
        anomalous patch. Pixel centres are at halves (``align_corners=False`` elsewhere).

    See Also
    --------
    skpadim.heatmaps.to_heatmaps : Applies it.

    References
    ----------
    .. [1] Defard, T., Setkov, A., Loesch, A., & Audigier, R. (2021). PaDiM: a patch distribution
       modeling framework for anomaly detection and localization. ICPR workshops.
       https://arxiv.org/abs/2011.08785

    Examples
    --------
    >>> from skpadim import PaDiM
    >>> from skpadim.heatmaps import Smoothing
    >>> detector = PaDiM(smoothing=Smoothing(5, filter="uniform", mode="constant"))
    >>> detector.set_params(smoothing__interpolation="bicubic").smoothing
    Smoothing(filter='uniform', interpolation='bicubic', mode='constant', size=5)
    """

    _parameter_constraints: dict = {
        "size": [Interval(Real, 0, np.inf, closed="left")],
        "filter": [StrOptions({"gaussian", "uniform"})],
        "mode": [StrOptions({"reflect", "mirror", "constant"})],
        "interpolation": [StrOptions({"nearest", "bilinear", "bicubic"})],
    }

    def __init__(
        self,
        size: float = 4.0,
        *,
        filter: str = "gaussian",
        mode: str = "reflect",
        interpolation: str = "bilinear",
    ) -> None:
        self.size = size
        self.filter = filter
        self.mode = mode
        self.interpolation = interpolation

    @classmethod
    def of(cls, smoothing: "float | Smoothing") -> "Smoothing":
        """Return what the parameter `smoothing` of a detector stands for.

        Parameters
        ----------
        smoothing : float or Smoothing
            A number is the size of the default filter.

        Returns
        -------
        Smoothing
            The smoothing itself, or a new one of that size.
        """
        return smoothing if isinstance(smoothing, Smoothing) else cls(smoothing)

    def axis_matrices(
        self, grid_shape: tuple[int, ...], size: Size
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Compute the matrices A and B of ``heatmap = A distances B'``.

        Parameters
        ----------
        grid_shape : tuple of int (grid_height, grid_width)
            Shape of the grid.
        size : tuple of int (height, width)
            Size of the heatmap, in pixels.

        Returns
        -------
        rows : ndarray of shape (height, grid_height), float32
            A, read-only.
        columns : ndarray of shape (width, grid_width), float32
            B, read-only.

        Raises
        ------
        ValueError
            If a parameter is invalid.
        """
        how = (self.size, self.filter, self.mode, self.interpolation)
        try:
            rows, columns = (
                _axis_matrix(n_cells, n_pixels, *how)
                for n_cells, n_pixels in zip(grid_shape, size, strict=True)
            )
        except TypeError:  # a list, say, which no cache takes
            self._validate_params()
            raise
        return rows, columns

    def _validate_params(self) -> None:
        super()._validate_params()
        if self.filter == "uniform" and self.size != 0 and self.size % 2 != 1:
            raise ValueError(
                f"size={self.size} is the width of a uniform filter: it must be an odd number of "
                "pixels, so that the filter has a centre, or 0."
            )


def to_heatmaps(
    distances: NDArray, size: int | Size, *, smoothing: float | Smoothing = 4.0
) -> NDArray[np.float32]:
    """Bring distances on a grid to image size and smooth them.

    Interpolation and filter are linear and separable, so that one small matrix for each axis does
    both at once.

    Parameters
    ----------
    distances : ndarray of shape (n_samples, grid_height, grid_width)
        Distances of patches. What is larger than 1e30, or no number, counts as 1e30.
    size : int or (int, int)
        Height and width of the heatmaps, in pixels; one number is both.
    smoothing : float or Smoothing, default=4.0
        Standard deviation of a Gaussian filter [1]_, in pixels, 0 for none; or a
        :class:`~skpadim.heatmaps.Smoothing` for other filters, borders and interpolations.

    Returns
    -------
    ndarray of shape (n_samples, height, width), float32
        Heatmaps, all finite; larger is more anomalous.

    Raises
    ------
    ValueError
        If a parameter of the smoothing is invalid, or if `size` is not positive.

    References
    ----------
    .. [1] Defard, T., Setkov, A., Loesch, A., & Audigier, R. (2021). PaDiM: a patch distribution
       modeling framework for anomaly detection and localization. ICPR workshops.
       https://arxiv.org/abs/2011.08785

    Examples
    --------
    >>> import numpy as np
    >>> from skpadim.heatmaps import to_heatmaps
    >>> distances = np.zeros((1, 7, 7))
    >>> distances[0, 2, 5] = 10.0
    >>> heatmaps = to_heatmaps(distances, (56, 56), smoothing=2.0)
    >>> heatmaps.shape, heatmaps.dtype
    ((1, 56, 56), dtype('float32'))
    """
    size = check_size(size, "size")
    rows, columns = Smoothing.of(smoothing).axis_matrices(distances.shape[1:], size)
    # Row by row of the result, in float32: a product of the whole batch by one matrix would let
    # the rounding of a heatmap depend on how many images share its batch.
    # After a product, BLAS's own threads stay awake for a while, and slow the network down by half.
    # fmin takes the other one where one is no number.
    maps = np.fmin(distances, LARGEST).astype(np.float32, copy=False)
    with one_blas_thread():
        return np.matmul(np.matmul(rows, maps), columns.T)


def resize_heatmaps(heatmaps: NDArray, size: int | Size) -> NDArray[np.float32]:
    """Bring heatmaps to another size by bilinear interpolation.

    Parameters
    ----------
    heatmaps : ndarray of shape (n_samples, height, width)
        Heatmaps.
    size : int or (int, int)
        Height and width wanted, in pixels; one number is both.

    Returns
    -------
    ndarray of shape (n_samples, height, width), float32
        Heatmaps of that size.

    Raises
    ------
    ValueError
        If `size` is not positive.
    """
    if heatmaps.shape[1:] == check_size(size, "size"):
        return heatmaps
    return to_heatmaps(heatmaps, size, smoothing=0.0)


def heatmap_scores(heatmaps: NDArray) -> NDArray[np.float64]:
    """Score images by their heatmaps.

    Parameters
    ----------
    heatmaps : ndarray of shape (n_samples, height, width)
        Heatmaps.

    Returns
    -------
    ndarray of shape (n_samples,), float64
        Minus the maximum of each heatmap; larger is more normal.
    """
    return -heatmaps.max(axis=(1, 2)).astype(np.float64)


@lru_cache(maxsize=64)
def _axis_matrix(
    n_cells: int, n_pixels: int, size: float, filter: str, mode: str, interpolation: str
) -> NDArray[np.float32]:
    """Matrix (n_pixels, n_cells) that interpolates along one axis and then smooths."""
    Smoothing(size, filter=filter, mode=mode, interpolation=interpolation)._validate_params()
    centres = ((np.arange(n_pixels) + 0.5) * (n_cells / n_pixels) - 0.5)[:, np.newaxis]
    below = np.floor(centres).astype(int)
    if interpolation == "nearest":
        # In whole numbers: a centre on the edge of two cells must not be rounded to either.
        cells = ((2 * np.arange(n_pixels) + 1) * n_cells // (2 * n_pixels))[:, np.newaxis]
        weights = np.ones_like(centres)
    elif interpolation == "bilinear":
        cells = below + np.arange(0, 2)
        weights = 1 - np.abs(centres - cells)
    else:
        cells = below + np.arange(-1, 3)
        weights = _cubic(np.abs(centres - cells))
    # Cells beyond the border are those at the border.
    cells = np.clip(cells, 0, n_cells - 1)
    matrix = np.zeros((n_pixels, n_cells))
    np.add.at(matrix, (np.arange(n_pixels)[:, np.newaxis], cells), weights)
    if size > 0 and filter == "uniform":
        matrix = uniform_filter1d(matrix, int(size), axis=0, mode=mode)
    elif size >= 0.125:  # a narrower one is cut off at the pixel itself, and its square can be 0
        matrix = gaussian_filter1d(matrix, size, axis=0, mode=mode)
    in_float32 = matrix.astype(np.float32)
    in_float32.setflags(write=False)
    return in_float32


def _cubic(t: NDArray) -> NDArray:
    # Keys' kernel with a = -0.75, the constant of torch and OpenCV.
    a = -0.75
    near = ((a + 2) * t - (a + 3)) * t**2 + 1
    far = ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
    return np.where(t <= 1, near, np.where(t < 2, far, 0.0))
