"""What stands in for a network where embeddings come as they are."""

from collections.abc import Iterator
from math import prod
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, _fit_context
from sklearn.utils._param_validation import Interval

from skpadim._sizes import Size, check_size

# Design: the default grid has cells of this many pixels.
DEFAULT_STRIDE = 8

# Batches of embeddings in float64.
_BATCH_BYTES = 16 * 2**20


class Passthrough(BaseEstimator):
    """Hand on embeddings that are there already, in the place of a PatchEmbedder.

    ``PaDiM(embedder="passthrough")`` is ``PaDiM(embedder=Passthrough())``. X then has the shape
    (n_samples, height, width, n_dimensions). Samples of shape (n_positions, n_dimensions) are a
    grid of one row, and plain samples a grid of one cell.

    Parameters
    ----------
    stride : int or (int, int), default=8
        Pixels of the image from one cell of the grid to the next, in height and width; one number
        is both. Heatmaps have the size of the grid times the stride, and `smoothing` counts in
        their pixels. 8 is the grid of a :class:`~skpadim.PatchEmbedder` with its defaults. With 1,
        each cell is one pixel of a heatmap.

    Attributes
    ----------
    grid_shape_ : tuple of int
        Shape of the grid of positions; () for plain samples.
    n_features_in_ : int
        Number of dimensions of an embedding.

    See Also
    --------
    skpadim.PatchEmbedder : Images to embeddings, by a network.

    Examples
    --------
    >>> import numpy as np
    >>> from skpadim import PaDiM
    >>> from skpadim.embedding import Passthrough
    >>> X = np.random.default_rng(0).normal(size=(30, 7, 5, 3))
    >>> PaDiM(embedder="passthrough").fit(X).predict_heatmap(X).shape
    (30, 56, 40)
    >>> PaDiM(embedder=Passthrough(stride=1), smoothing=0).fit(X).predict_heatmap(X).shape
    (30, 7, 5)
    """

    _parameter_constraints: dict = {
        "stride": [Interval(Integral, 1, None, closed="left"), "array-like"]
    }

    # What a detector asks of any embedder.
    device = "cpu"
    layer_depths = None
    weights_hash = None

    def __init__(self, stride: int | Size = DEFAULT_STRIDE) -> None:
        self.stride = stride

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> "Passthrough":
        """Note the shape of embeddings; there is nothing to learn.

        Parameters
        ----------
        X : array-like of shape (n_samples, height, width, n_dimensions), \
                (n_samples, n_positions, n_dimensions) or (n_samples, n_dimensions)
            Embeddings, of which only the shape is looked at.
        y : None
            Ignored.

        Returns
        -------
        Passthrough
            The embedder itself.

        Raises
        ------
        ValueError
            If `stride` is invalid.
        """
        check_size(self.stride, "stride")
        _, *grid, self.n_features_in_ = np.shape(X)
        self.grid_shape_ = tuple(grid)
        return self

    def iter_embed(self, X: NDArray, channels: NDArray | None = None) -> Iterator[NDArray]:
        """Yield embeddings batch by batch.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_positions, n_dimensions)
            Embeddings.
        channels : ndarray of int or None, default=None
            Dimensions to keep, in this order. None keeps all.

        Yields
        ------
        ndarray of shape (n_batch, n_positions, n_channels)
            The next embeddings.
        """
        for first in range(0, len(X), self.batch_size):
            batch = X[first : first + self.batch_size]
            yield batch if channels is None else batch[..., channels]

    @property
    def output_shape(self) -> tuple[int, int, int]:
        """Height and width of the grid, and number of dimensions of an embedding.

        Returns
        -------
        (int, int, int)
            Rows, columns and dimensions.
        """
        height, width = (1, 1, *self.grid_shape_)[-2:]
        return height, width, self.n_features_in_

    @property
    def input_size(self) -> Size:
        """Height and width in pixels of what the grid covers, and of heatmaps.

        Returns
        -------
        (int, int)
            The grid times the stride.
        """
        (height, width, _), stride = self.output_shape, check_size(self.stride, "stride")
        return height * stride[0], width * stride[1]

    @property
    def image_size(self) -> Size:
        """Height and width of the image, which nothing is cut off: the same.

        Returns
        -------
        (int, int)
            The grid times the stride.
        """
        return self.input_size

    @property
    def batch_size(self) -> int:
        """Number of samples in a batch.

        Returns
        -------
        int
            As many as take 16 MiB in float64, at least one.
        """
        return max(1, _BATCH_BYTES // (8 * prod(self.output_shape)))
