"""What a detector is given, as batches of embeddings."""

import os
import pickle
import warnings
from collections.abc import Generator, Iterator, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from joblib import wrap_non_picklable_objects
from numpy.typing import NDArray
from sklearn.utils.validation import check_memory

from skpadim._estimators import caller_level
from skpadim._known_samples import sample_hashes
from skpadim._progress import ProgressBar
from skpadim._sizes import Size, check_size
from skpadim.embedding import Passthrough, PatchEmbedder
from skpadim.embedding._extractor import resolve_device
from skpadim.images import ImageSequence
from skpadim.images._notes import NOTES

Embedder: TypeAlias = PatchEmbedder | Passthrough

# Images that one warning names.
_MOST_NAMED = 3


class Stream:
    """Samples of a detector, embedded batch by batch, of which embeddings `channels` are kept."""

    def __init__(
        self,
        samples: Any,
        embedder: Embedder,
        channels: NDArray[np.intp] | None = None,
        memory: Any = None,
        verbose: int = 0,
        indices: NDArray[np.intp] | None = None,
    ) -> None:
        # Images, or embeddings (n_samples, n_positions, n_dimensions) that the embedder hands on.
        self._samples = samples
        # Those of embeddings in the user's X, if not all of them are here.
        self._indices = np.arange(len(samples)) if indices is None else indices
        self.embedder = embedder
        self.channels = channels
        height, width, n_dimensions = embedder.output_shape
        self.n_channels = n_dimensions if channels is None else len(channels)
        self.grid_shape = (height, width)
        self.frame_size = check_size(embedder.image_size, "image_size")
        self.heatmap_size: Size = embedder.input_size
        # Embeddings that are there already are no work to remember or to wait for.
        works = not isinstance(embedder, Passthrough)
        #: What is noted of each sample on its way, if anything; the hashes only where wanted.
        self.notes: NDArray | None = None
        self.hashes = False
        self._memory = memory if works else None
        self._verbose = verbose if works else 0

    def __len__(self) -> int:
        return len(self._samples)

    @property
    def batch_size(self) -> int:
        """Number of samples in a batch."""
        return self.embedder.batch_size

    @property
    def device(self) -> str:
        """Kind of device that samples are embedded on, as torch calls it."""
        name = self.embedder.device
        return name if name == "cpu" else resolve_device(name).type

    @property
    def image_sizes(self) -> Sequence[Size | None]:
        """Height and width of each image; None for embeddings."""
        sizes = getattr(self._samples, "sizes", [None] * len(self))
        # Of an image that could not be read, there is nothing to be known.
        return [self.frame_size if size == (0, 0) else size for size in sizes]

    @property
    def errors(self) -> dict[int, str]:
        """Reasons why images could not be read, as far as that is known, by their indices in X."""
        return getattr(self._samples, "errors", {})

    def add_errors(self, errors: dict[int, str]) -> None:
        """Take over what was found out in another process."""
        if errors:
            self._samples.add_errors(errors)

    def error(self, position: int) -> str | None:
        """Return why an image could not be read; None for others, and for embeddings."""
        return self._samples.error(position) if isinstance(self._samples, ImageSequence) else None

    def warn_of_errors(self) -> None:
        """Warn of images that could not be read, if there are any."""
        if not self.errors:
            return
        messages = self._samples.error_messages()
        named = " ".join(messages[:_MOST_NAMED])
        more = f" And {len(messages) - _MOST_NAMED} more." if len(messages) > _MOST_NAMED else ""
        warnings.warn(
            f"{len(messages)} of {len(self)} images could not be read: their scores are NaN, and "
            f"they count as defective. {named}{more} The reasons are in ImageSequence.errors.",
            UserWarning,
            stacklevel=caller_level(),
        )

    @property
    def names(self) -> Sequence[str]:
        """What warnings and errors call the samples."""
        return getattr(self._samples, "names", [f"X[{index}]" for index in self._indices])

    def headers(self) -> tuple[list[str], list[Size], list[str]]:
        """Return names, sizes and depths of the images that can be read."""
        images, names = self._samples, self.names
        known = [i for i in range(len(self)) if self.error(i) is None]
        sizes, depths = images.sizes, images.depths
        return [names[i] for i in known], [sizes[i] for i in known], [depths[i] for i in known]

    def take_notes(self, *, hashes: bool) -> NDArray:
        """Return what the next pass writes its notes of the samples into."""
        self.notes, self.hashes = np.zeros(len(self), NOTES), hashes
        return self.notes

    def part(self, samples: slice) -> "Stream":
        """Return a stream of some of the samples; no others go with it to another process."""
        # Not copy(), which would do what is done on the way to another process.
        stream = object.__new__(Stream)
        kept = {"_samples": self._samples[samples], "_indices": self._indices[samples]}
        stream.__dict__ = {**vars(self), **kept}
        if self.notes is not None:
            stream.take_notes(hashes=self.hashes)
        return stream

    def progress_bar(self, description: str) -> ProgressBar:
        """Return a bar that counts images, shown if the user wants to see one."""
        disabled = not self._verbose
        return ProgressBar(total=len(self), desc=description, unit=" images", disable=disabled)

    def batches(self, progress: str = "") -> Generator[NDArray, None, None]:
        """Yield embeddings of shape (n_batch, n_positions, n_channels)."""
        if len(self) == 0:
            return
        with self.progress_bar(progress) if progress else ProgressBar(disable=True) as bar:
            for batch in self._embed() if self._memory is None else self._embed_remembered():
                # Before it is handed over: who has all batches need not ask for another.
                bar.update(len(batch))
                yield batch.reshape(len(batch), -1, batch.shape[-1])

    def _embed(self) -> Iterator[NDArray]:
        samples = self._samples
        if self.notes is not None:
            if isinstance(samples, ImageSequence):
                samples = samples.noted(self.notes, self.hashes)
            elif self.hashes:
                self.notes["hash"], self.notes["seen"] = sample_hashes(samples), True
        return self.embedder.iter_embed(samples, self.channels)

    def _embed_remembered(self) -> Iterator[NDArray[np.float32]]:
        # All dimensions are kept, whichever are asked for: so all searches share them. Fingerprints
        # tell what an embedding depends on: files may change under their names.
        memory = check_memory(self._memory)
        embed = memory.cache(_embed_batch, ignore=["embedder", "images"])
        embedder: Any = self.embedder
        fingerprint = embedder.fingerprint()
        for start in range(0, len(self), self.batch_size):
            batch = self._samples[start : start + self.batch_size]
            try:
                call = (fingerprint, batch.fingerprint(), embedder, batch)
                embeddings, notes = embed(*call)
            except _NewlyMarkedError as error:
                # Not kept: who finds the embeddings later would not know that an image is bad.
                embeddings, notes = error.embeddings, error.notes
            except OSError as error:
                # The long work goes on; a file that cannot be read is a ValueError.
                warnings.warn(
                    f"memory={self._memory!r} cannot be written ({error}): embeddings are not "
                    "kept from here on. Give it a folder with more space.",
                    UserWarning,
                    stacklevel=caller_level(),
                )
                embed = _embed_batch
                embeddings, notes = embed(*call)
            if self.notes is not None:
                self.notes[start : start + len(notes)] = notes
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


@lru_cache(maxsize=1)
def _unpickled(embedder: bytes) -> Embedder:
    """Return the same embedder for all shards, so that a process builds the network only once."""
    return pickle.loads(embedder)


class _NewlyMarkedError(Exception):
    """An image of a batch could not be read, which was not known before."""

    def __init__(self, embeddings: NDArray[np.float32], notes: NDArray) -> None:
        super().__init__(embeddings, notes)
        self.embeddings, self.notes = embeddings, notes


def _embed_batch(
    embedder_fingerprint: str, fingerprint: tuple, embedder: PatchEmbedder, images: ImageSequence
) -> tuple[NDArray[np.float32], NDArray]:
    known, notes = images.errors, np.zeros(len(images), NOTES)
    embeddings = np.concatenate(list(embedder.iter_embed(images.noted(notes, hashed=True))))
    if images.errors != known:
        raise _NewlyMarkedError(embeddings, notes)
    return embeddings, notes
