"""Files of which some may be bad, as pictures of one size, made ready while others are in use."""

from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from skpadim._sizes import Size
from skpadim._threads import n_threads
from skpadim.images._batches import DRAFT_FACTOR, MAX_THREADS, resize
from skpadim.images._sequence import ImageSequence


class Frame(NamedTuple):
    """A file, as a picture or as the reason why it is none.

    `pixels` of shape (height, width, 3), uint8, are the picture before any crop, None for a bad
    file; `size` is (height, width) of the image in the file, `depth` the kind of its numbers;
    `error` says what is wrong, or "".
    """

    path: str
    pixels: NDArray[np.uint8] | None
    size: Size
    error: str
    depth: str = ""


def iter_frames(
    paths: Iterable[str | None],
    image_size: Size,
    batch_size: int,
    jpeg_draft: bool = False,
    resample: str = "bicubic",
) -> Generator[list[Frame], None, None]:
    """Yield files as pictures of one size, a batch ahead of their use; bad files stop nothing.

    A detector takes the pictures for the files: what has the size that images are brought to is
    not resampled again. `paths` is asked for the next ones while the last ones are in use. None
    in it says that the next one may take long to come: what is begun is finished first.
    """
    draft_size = DRAFT_FACTOR * max(image_size) if jpeg_draft else None
    pool = ThreadPoolExecutor(min(MAX_THREADS, n_threads()), "skpadim-images")
    pending: deque[list[Future[Frame]]] = deque()
    batch: list[Future[Frame]] = []
    try:
        for path in paths:
            if path is not None:
                # Not in the threads: the check sets filters of warnings, which are of all of them.
                checked = _checked(path)
                job = pool.submit(_frame, path, checked, image_size, draft_size, resample)
                batch.append(job)
            if batch and (path is None or len(batch) == batch_size):
                pending.append(batch)
                batch = []
            while len(pending) > (0 if path is None else 1):
                yield [job.result() for job in pending.popleft()]
        if batch:
            pending.append(batch)
        while pending:
            yield [job.result() for job in pending.popleft()]
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _checked(path: str) -> ImageSequence | str:
    try:
        return ImageSequence([path])
    except (TypeError, ValueError) as error:
        return _reason(path, error)


def _frame(
    path: str,
    images: ImageSequence | str,
    image_size: Size,
    draft_size: int | None,
    resample: str,
) -> Frame:
    if isinstance(images, str):
        return Frame(path, None, (0, 0), images)
    if draft_size is not None:
        images = images.with_draft(draft_size)
    try:
        pixels = resize(images.decoded(0), image_size, resample)
    except (TypeError, ValueError) as error:
        return Frame(path, None, (0, 0), _reason(path, error))
    if pixels.ndim == 2:
        pixels = np.broadcast_to(pixels[..., np.newaxis], (*image_size, 3))
    return Frame(path, pixels, images.sizes[0], "", images.depths[0])


def _reason(path: str, error: Exception) -> str:
    """Return what is wrong with a file whose name stands beside it."""
    return str(error).removeprefix(f"X[0], {path!r}, ")
