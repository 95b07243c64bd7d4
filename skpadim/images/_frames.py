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
    """A file, as a picture or as the reason why it is none."""

    path: str
    pixels: NDArray[np.uint8] | None  # (height, width, 3) before any crop; None for a bad file
    size: Size  # of the image in the file
    error: str  # what is wrong, or ""
    depth: str = ""  # the kind of its numbers


def iter_frames(
    paths: Iterable[str | None],
    image_size: Size,
    batch_size: int,
    jpeg_draft: bool = False,
    resample: str = "bicubic",
) -> Generator[list[Frame], None, None]:
    """Yield files as pictures of one size, a batch ahead of their use; bad files stop nothing."""
    # A detector takes the pictures for the files: at this size it does not resample them again.
    draft_size = DRAFT_FACTOR * max(image_size) if jpeg_draft else None
    pool = ThreadPoolExecutor(min(MAX_THREADS, n_threads()), "skpadim-images")
    pending: deque[list[Future[Frame]]] = deque()
    batch: list[Future[Frame]] = []
    try:
        for path in paths:
            if path is not None:
                batch.append(pool.submit(_frame, path, image_size, draft_size, resample))
            if batch and (path is None or len(batch) == batch_size):
                pending.append(batch)
                batch = []
            # After None the next path may take long to come: what is begun is finished first.
            while len(pending) > (0 if path is None else 1):
                yield [job.result() for job in pending.popleft()]
        if batch:
            pending.append(batch)
        while pending:
            yield [job.result() for job in pending.popleft()]
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _frame(path: str, image_size: Size, draft_size: int | None, resample: str) -> Frame:
    images = ImageSequence([path], on_error="mark")
    if draft_size is not None:
        images = images.with_draft(draft_size)
    picture = images.decoded(0)
    if picture is None:
        return Frame(path, None, (0, 0), images.errors[0])
    pixels = resize(picture, image_size, resample)
    if pixels.ndim == 2:
        pixels = np.broadcast_to(pixels[..., np.newaxis], (*image_size, 3))
    return Frame(path, pixels, images.sizes[0], "", images.depths[0])
