"""What a detector is given, as batches of embeddings."""

import os
import pickle
import warnings
from collections.abc import Iterator
from copy import copy
from functools import lru_cache
from numbers import Integral
from typing import Any, TypeAlias

import numpy as np
from joblib import wrap_non_picklable_objects
from numpy.typing import NDArray
from sklearn.utils.validation import check_memory
from tqdm import tqdm

from skpadim.embedding import PatchEmbedder
from skpadim.embedding._extractor import resolve_device
from skpadim.gaussian._validation import caller_level
from skpadim.heatmaps import resize_heatmaps
from skpadim.images import ImageSequence, center_crop_slices

# Batches of embeddings that come as they are.
_BATCH_BYTES = 16 * 2**20


class EmbeddingStream:
    """Embeddings (n_samples, n_positions, n_dimensions) that come as they are.

    A pixel of a heatmap is a cell of the grid. Of the dimensions, `channels` are kept.
    """

    embedder = "passthrough"
    device = "cpu"

    def __init__(
        self, X: NDArray, grid_shape: tuple[int, ...], channels: NDArray[np.intp] | None
    ) -> None:
        self._X = X
        self.channels = channels
        self.n_channels = X.shape[2] if channels is None else len(channels)
        height, width = (1, 1, *grid_shape)[-2:]
        self.grid_shape = self.heatmap_size = (height, width)
        self.batch_size = max(1, _BATCH_BYTES // X[0].nbytes)

    def __len__(self) -> int:
        return len(self._X)

    def part(self, samples: slice) -> "EmbeddingStream":
        """Return a stream of some of the samples; the others do not go with it."""
        stream = copy(self)
        stream._X = self._X[samples]
        return stream

    def progress_bar(self, description: str) -> tqdm:
        """Return a bar that shows nothing: there is no work to wait for."""
        return tqdm(disable=True)

    def batches(self, progress: str = "") -> Iterator[NDArray]:
        """Yield embeddings of shape (n_batch, n_positions, n_channels)."""
        for first in range(0, len(self), self.batch_size):
            batch = self._X[first : first + self.batch_size]
            yield batch if self.channels is None else batch[..., self.channels]

    def target_sizes(self, size: Any) -> list[tuple[int, int] | None]:
        """Return the size of each heatmap; None where nothing is to be resized."""
        if isinstance(size, str) and size == "image":
            raise ValueError("size='image' needs images, but X holds embeddings.")
        return [None if size is None else _as_pair(size)] * len(self)

    def resized(self, heatmap: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
        """Return a heatmap at another size."""
        return resize_heatmaps(heatmap[np.newaxis], size)[0]


class ImageStream:
    """Images, embedded batch by batch, of which embeddings `channels` are kept.

    With `memory`, embeddings of all dimensions are cached.
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
        height, width, n_dimensions = embedder.output_shape
        self.n_channels = n_dimensions if channels is None else len(channels)
        self.grid_shape = (height, width)
        self.heatmap_size: tuple[int, int] = embedder.input_size

    def __len__(self) -> int:
        return len(self._images)

    @property
    def batch_size(self) -> int:
        """Number of images in a batch."""
        return self.embedder.batch_size

    @property
    def device(self) -> str:
        """Kind of device that the images are embedded on, as torch calls it."""
        return resolve_device(self.embedder.device).type

    def part(self, samples: slice) -> "ImageStream":
        """Return a stream of some of the images; no others go with it to another process."""
        # Not copy(), which would do what is done on the way to another process.
        stream = object.__new__(ImageStream)
        stream.__dict__ = {**vars(self), "_images": self._images[samples]}
        return stream

    def progress_bar(self, description: str) -> tqdm:
        """Return a bar that counts images, shown if the user wants to see one."""
        return tqdm(total=len(self), desc=description, unit=" images", disable=not self._verbose)

    def batches(self, progress: str = "") -> Iterator[NDArray[np.float32]]:
        """Yield embeddings of shape (n_batch, n_positions, n_channels), float32."""
        if len(self) == 0:
            return
        with self.progress_bar(progress) if progress else tqdm(disable=True) as bar:
            for batch in self._embed() if self._memory is None else self._embed_remembered():
                yield batch.reshape(len(batch), -1, batch.shape[-1])
                bar.update(len(batch))

    def target_sizes(self, size: Any) -> list[tuple[int, int] | None]:
        """Return the size of each heatmap; None where nothing is to be resized."""
        if isinstance(size, str) and size == "image":
            return list(self._images.sizes)
        return [None if size is None else _as_pair(size)] * len(self)

    def resized(self, heatmap: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
        """Return a heatmap at a size for the whole image; what was cropped away is 0."""
        frame_size = _as_pair(self.embedder.image_size)
        whole = np.zeros(frame_size, dtype=np.float32)
        whole[center_crop_slices(frame_size, self.heatmap_size)] = heatmap
        return resize_heatmaps(whole[np.newaxis], size)[0]

    def _embed(self) -> Iterator[NDArray[np.float32]]:
        return self.embedder.iter_embed(self._images, self.channels)

    def _embed_remembered(self) -> Iterator[NDArray[np.float32]]:
        # All dimensions are kept, whichever are asked for: so all searches share them. Fingerprints
        # tell what an embedding depends on: files may change under their names.
        memory = check_memory(self._memory)
        embed = memory.cache(_embed_batch, ignore=["embedder", "images"])
        fingerprint = self.embedder.fingerprint()
        for start in range(0, len(self), self.batch_size):
            batch = self._images[start : start + self.batch_size]
            call = (fingerprint, batch.fingerprint(), self.embedder, batch)
            try:
                embeddings = embed(*call)
            except OSError as error:
                # The long work goes on; a file that cannot be read is a ValueError.
                warnings.warn(
                    f"memory={self._memory!r} cannot be written ({error}): embeddings are not "
                    "kept from here on. Give it a folder with more space.",
                    UserWarning,
                    stacklevel=caller_level(),
                )
                embed = _embed_batch
                embeddings = embed(*call)
            yield embeddings if self.channels is None else embeddings[..., self.channels]

    def __getstate__(self) -> dict[str, Any]:
        # On the way to another process, whose working directory may be another.
        # The wrapper pickles classes and functions of scripts and of other functions by value.
        embedder = pickle.dumps(wrap_non_picklable_objects(self.embedder, keep_wrapper=False))
        state = {**vars(self), "embedder": embedder}
        if isinstance(self._memory, str):
            state["_memory"] = os.path.abspath(self._memory)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ = {**state, "embedder": _unpickled(state["embedder"])}


Stream: TypeAlias = ImageStream | EmbeddingStream


@lru_cache(maxsize=1)
def _unpickled(embedder: bytes) -> PatchEmbedder:
    """Return the same embedder for all shards, so that a process builds the network only once."""
    return pickle.loads(embedder)


def _embed_batch(
    embedder_fingerprint: str, fingerprint: tuple, embedder: PatchEmbedder, images: ImageSequence
) -> NDArray[np.float32]:
    return np.concatenate(list(embedder.iter_embed(images)))


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
