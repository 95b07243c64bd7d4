"""What a detector says of one image, from one pass over it."""

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skpadim._sizes import Size, check_size
from skpadim.heatmaps import resize_heatmaps
from skpadim.images import center_crop_slices


class Inspection:
    """What a detector says of one image: score, decision, heatmap and mask.

    Parameters
    ----------
    heatmap : ndarray of shape (height, width), float32
        Smoothed Mahalanobis distance at the size of the network's input, on which decisions are
        made; unitless, larger is more anomalous.
    threshold : float
        The `offset_` of the detector.
    frame_size : tuple of int (height, width)
        Size of the resized image before the crop, of which the heatmap is the centre.
    image_size : tuple of int (height, width), or None
        Size of the image; None for embeddings.
    error : str or None, default=None
        Why the image could not be read. Then the heatmap is NaN, and so is the score.

    Attributes
    ----------
    heatmap : ndarray of shape (height, width), float32
        The heatmap as it was given.
    threshold : float
        The threshold as it was given.
    error : str or None
        Why the image could not be read, with ``ImageSequence(X, on_error="mark")``; else None.

    See Also
    --------
    skpadim.PaDiM.iter_inspect : Yields an inspection for each image.

    Examples
    --------
    >>> from skpadim import PaDiM
    >>> from skpadim.datasets import make_inspection_images
    >>> parts = make_inspection_images(22, 2, image_size=128, random_state=0)
    >>> detector = PaDiM().fit(parts.images[:20])
    >>> for inspection in detector.iter_inspect(parts.images[20:]):
    ...     print(inspection.decision, inspection.mask_at("image").any())
    1 False
    1 False
    -1 True
    -1 True
    """

    def __init__(
        self,
        heatmap: NDArray[np.float32],
        threshold: float,
        frame_size: Size,
        image_size: Size | None,
        error: str | None = None,
    ) -> None:
        self.heatmap = heatmap
        self.threshold = threshold
        self.error = error
        self._frame_size = frame_size
        self._image_size = image_size

    @cached_property
    def score(self) -> float:
        """Return minus the maximum of the heatmap; larger is more normal.

        Returns
        -------
        float
            The score.
        """
        return -float(self.heatmap.max())

    @property
    def decision(self) -> int:
        """Decide by the threshold of the detector.

        Returns
        -------
        int
            +1 for good, where the score is a number and at least the threshold; -1 for defective.
        """
        return 1 if self.score >= self.threshold else -1

    def heatmap_at(self, size: int | Size | str | None = None) -> NDArray[np.float32]:
        """Compute the heatmap at another size.

        Parameters
        ----------
        size : int, tuple of int (height, width), "image" or None, default=None
            As in :meth:`PaDiM.predict_heatmap`.

        Returns
        -------
        ndarray of shape (height, width), float32
            The heatmap; with a size, that of the whole image, where what was cropped away is 0.

        Raises
        ------
        ValueError
            If `size` is none of these, or is "image" but the detector takes embeddings.
        """
        target = target_size(size, self._image_size)
        if target is None:
            return self.heatmap
        if self.error is not None:
            return np.full(target, np.nan, np.float32)
        whole = np.zeros((1, *self._frame_size), dtype=np.float32)
        whole[0][center_crop_slices(self._frame_size, self.heatmap.shape)] = self.heatmap
        return resize_heatmaps(whole, target)[0]

    def mask_at(self, size: int | Size | str | None = None) -> NDArray[np.bool_]:
        """Compute which pixels make the image defective.

        Parameters
        ----------
        size : int, tuple of int (height, width), "image" or None, default=None
            As in :meth:`PaDiM.predict_heatmap`.

        Returns
        -------
        ndarray of shape (height, width), bool
            True where the heatmap exceeds minus the threshold. At every size there is such a pixel
            exactly if the image is called defective. True everywhere if the image could not be
            read.

        Raises
        ------
        ValueError
            As in `heatmap_at`.
        """
        resized = self.heatmap_at(size)
        if self.error is not None:
            return np.ones(resized.shape, dtype=bool)
        if self.decision == 1:
            return np.zeros(resized.shape, dtype=bool)
        # In float64, as scores are compared: float32 could turn a tie around.
        mask = resized > np.float64(-self.threshold)
        if not mask.any():
            # Interpolation can miss a peak that just exceeds the threshold: its place stands.
            mask.flat[resized.argmax()] = True
        return mask


def target_size(size: Any, image_size: Size | None) -> Size | None:
    """Return (height, width) that a heatmap is resized to; None where it stays as it is."""
    if isinstance(size, str) and size == "image":
        if image_size is None:
            raise ValueError("size='image' needs images, but X holds embeddings.")
        return image_size
    return None if size is None else check_size(size, "size", also="None, 'image', ")
