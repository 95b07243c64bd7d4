"""What a detector is given, as batches of embeddings."""

from collections.abc import Iterator
from math import ceil
from numbers import Integral
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_memory
from tqdm import tqdm

from skpadim.embedding import PatchEmbedder
from skpadim.heatmaps import resize_heatmaps
from skpadim.images import ImageSequence, center_crop_slices

# Batches of embeddings that come as they are.
_BATCH_BYTES = 16 * 2**20

_ALL = slice(None)


class EmbeddingStream:
    """Embeddings that come as they are; a pixel of a heatmap is a cell of the grid.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_positions, n_dimensions)
        Embeddings.
    grid_shape : tuple of int
        Shape of the grid of positions; () or (n_positions,) for plain samples and lines.
    channels : ndarray of int or None
        Dimensions to keep; None keeps all.
    """

    embedder = "passthrough"

    def __init__(
        self, X: NDArray, grid_shape: tuple[int, ...], channels: NDArray[np.intp] | None
    ) -> None:
        self._X = X
        self.channels = channels
        self.n_channels = X.shape[2] if channels is None else len(channels)
        height, width = (1, 1, *grid_shape)[-2:]
        self.grid_shape = self.heatmap_size = (height, width)
        self._batch_size = max(1, _BATCH_BYTES // X[0].nbytes)

    def __len__(self) -> int:
        return len(self._X)

    def n_batches(self, samples: slice = _ALL) -> int:
        """Count batches.

        Parameters
        ----------
        samples : slice, default=slice(None)
            The samples that would be iterated over.

        Returns
        -------
        int
            As many as `batches` yields.
        """
        return _n_batches(len(self), samples, self._batch_size)

    def batches(self, samples: slice = _ALL, progress: str = "") -> Iterator[NDArray]:
        """Iterate over embeddings.

        Parameters
        ----------
        samples : slice, default=slice(None)
            The samples wanted.
        progress : str, default=""
            Not shown: there is no work to wait for.

        Yields
        ------
        ndarray of shape (n_batch, n_positions, n_channels)
            The next samples.
        """
        X = self._X[samples]
        for first in range(0, len(X), self._batch_size):
            batch = X[first : first + self._batch_size]
            yield batch if self.channels is None else batch[..., self.channels]

    def target_sizes(self, size: Any) -> list[tuple[int, int] | None]:
        """Sizes of heatmaps, one for each sample; None where nothing is to be resized.

        Parameters
        ----------
        size : int, tuple of int (height, width) or None
            Size asked for.

        Returns
        -------
        list of (tuple of int or None)
            One entry a sample.
        """
        if isinstance(size, str) and size == "image":
            raise ValueError("size='image' needs images, but X holds embeddings.")
        return [None if size is None else _as_pair(size)] * len(self)

    def resized(self, heatmap: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
        """Bring a heatmap to another size.

        Parameters
        ----------
        heatmap : ndarray of shape (height, width), float32
            The heatmap.
        size : tuple of int (height, width)
            Size wanted.

        Returns
        -------
        ndarray of shape ``size``, float32
            The heatmap of that size.
        """
        return resize_heatmaps(heatmap[np.newaxis], size)[0]


class ImageStream:
    """Images, embedded batch by batch.

    Parameters
    ----------
    images : ImageSequence
        The images.
    embedder : PatchEmbedder
        Turns them into embeddings.
    channels : ndarray of int or None
        Dimensions to keep; None keeps all.
    memory : str, joblib.Memory or None
        Where embeddings of all dimensions are kept.
    verbose : int
        Whether to show progress.
    """

    def __init__(
        self,
        images: ImageSequence,
        embedder: PatchEmbedder,
        channels: NDArray[np.intp] | None,
        memory: Any,
        verbose: int,
    ) -> None:
        self._images = images
        self._memory = memory
        self._verbose = verbose
        self.embedder = embedder
        self.channels = channels
        self.n_channels = embedder.output_shape[2] if channels is None else len(channels)
        self.grid_shape: tuple[int, int] = embedder.output_shape[:2]
        self.heatmap_size: tuple[int, int] = embedder.input_size

    def __len__(self) -> int:
        return len(self._images)

    def n_batches(self, samples: slice = _ALL) -> int:
        """Count batches.

        Parameters
        ----------
        samples : slice, default=slice(None)
            The images that would be embedded.

        Returns
        -------
        int
            As many as `batches` yields.
        """
        return _n_batches(len(self), samples, self.embedder.batch_size)

    def batches(self, samples: slice = _ALL, progress: str = "") -> Iterator[NDArray[np.float32]]:
        """Embed images.

        Parameters
        ----------
        samples : slice, default=slice(None)
            The images wanted.
        progress : str, default=""
            What the progress bar says.

        Yields
        ------
        ndarray of shape (n_batch, n_positions, n_channels), float32
            Embeddings of the next images.
        """
        images = self._images[samples]
        if len(images) == 0:
            return
        with tqdm(
            total=len(images), desc=progress, unit=" images", disable=not self._verbose
        ) as bar:
            embed = self._embed if self._memory is None else self._embed_remembered
            for batch in embed(images):
                yield batch.reshape(len(batch), -1, batch.shape[-1])
                bar.update(len(batch))

    def target_sizes(self, size: Any) -> list[tuple[int, int] | None]:
        """Sizes of heatmaps, one for each image; None where nothing is to be resized.

        Parameters
        ----------
        size : int, tuple of int (height, width), "image" or None
            Size asked for.

        Returns
        -------
        list of (tuple of int or None)
            One entry an image.
        """
        if isinstance(size, str) and size == "image":
            return list(self._images.sizes)
        return [None if size is None else _as_pair(size)] * len(self)

    def resized(self, heatmap: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
        """Bring a heatmap to the size of a whole image; what was cropped away is 0.

        Parameters
        ----------
        heatmap : ndarray of shape (height, width), float32
            The heatmap at the size of the network's input.
        size : tuple of int (height, width)
            Size wanted.

        Returns
        -------
        ndarray of shape ``size``, float32
            The heatmap of that size.
        """
        frame_size = _as_pair(self.embedder.image_size)
        whole = np.zeros(frame_size, dtype=np.float32)
        whole[center_crop_slices(frame_size, self.heatmap_size)] = heatmap
        return resize_heatmaps(whole[np.newaxis], size)[0]

    def _embed(self, images: ImageSequence) -> Iterator[NDArray[np.float32]]:
        return self.embedder.iter_embed(images, self.channels)

    def _embed_remembered(self, images: ImageSequence) -> Iterator[NDArray[np.float32]]:
        # All dimensions are kept, whichever are asked for: so all searches share them. Fingerprints
        # tell what an embedding depends on: files may change under their names.
        memory = check_memory(self._memory)
        remembered = memory.cache(_embed_batch, ignore=["embedder", "images"])
        fingerprint = self.embedder.fingerprint()
        for start in range(0, len(images), self.embedder.batch_size):
            batch = images[start : start + self.embedder.batch_size]
            embeddings = remembered(fingerprint, batch.fingerprint(), self.embedder, batch)
            yield embeddings if self.channels is None else embeddings[..., self.channels]


Stream: TypeAlias = ImageStream | EmbeddingStream


def _embed_batch(
    embedder_fingerprint: str, fingerprint: tuple, embedder: PatchEmbedder, images: ImageSequence
) -> NDArray[np.float32]:
    return np.concatenate(list(embedder.iter_embed(images)))


def _n_batches(n_samples: int, samples: slice, batch_size: int) -> int:
    return ceil(len(range(n_samples)[samples]) / batch_size)


def _as_pair(size: Any) -> tuple[int, int]:
    pair = (size, size) if isinstance(size, Integral) else size
    if (
        not isinstance(pair, tuple | list)
        or len(pair) != 2
        or not all(isinstance(side, Integral) and int(side) > 0 for side in pair)
    ):
        raise ValueError(
            "size must be None, 'image', one positive integer or two, (height, width), in pixels; "
            f"got {size!r}."
        )
    return int(pair[0]), int(pair[1])
