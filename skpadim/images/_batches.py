"""Batches of one size, made ready while the last one is in use."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from PIL import Image

from skpadim._sizes import Size, check_size
from skpadim._threads import n_threads
from skpadim.images._sequence import ImageSequence

# Decoding and resizing release the GIL; beyond a few threads the network behind is the slower.
MAX_THREADS = 4

# JPEG files that are decoded at a reduced scale keep this many times the pixels wanted along each
# side, so that the antialiasing is Pillow's and not the decoder's.
DRAFT_FACTOR = 3

RESAMPLING = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def center_crop_slices(image_size: int | Size, crop_size: int | Size | None) -> tuple[slice, slice]:
    """Return the rows and columns that a centre crop keeps.

    Parameters
    ----------
    image_size : int or (int, int)
        Height and width of the image in pixels; one number is both.
    crop_size : int, (int, int) or None
        Height and width of the crop in pixels, None to keep everything.

    Returns
    -------
    (slice, slice)
        Rows and columns of the image. Odd margins are split as torchvision's ``CenterCrop``
        splits them.

    Raises
    ------
    ValueError
        If a size is not positive, or the crop is larger than the image.

    Examples
    --------
    >>> from skpadim.images import center_crop_slices
    >>> center_crop_slices((256, 256), (224, 200))
    (slice(16, 240, None), slice(28, 228, None))
    """
    full = check_size(image_size, "image_size")
    kept = full if crop_size is None else check_size(crop_size, "crop_size")
    if kept[0] > full[0] or kept[1] > full[1]:
        raise ValueError(f"crop_size={kept} must not be larger than image_size={full}.")
    top, left = (round((outer - inner) / 2) for outer, inner in zip(full, kept, strict=True))
    return slice(top, top + kept[0]), slice(left, left + kept[1])


def iter_batches(
    images: Any,
    image_size: int | Size,
    crop_size: int | Size | None = None,
    batch_size: int = 32,
    jpeg_draft: bool = False,
    resample: str = "bicubic",
) -> Iterator[np.ndarray]:
    """Read, resize and crop images, one batch ahead of their use.

    Each image is brought to `image_size`, whatever its aspect ratio, by one of Pillow's antialiased
    filters, and then cropped around its centre. Images that have the size already are
    not resampled. A few threads prepare the next batch while the caller works on the present
    one; no more than these two are held, and what comes out does not depend on the threads.

    Parameters
    ----------
    images : ImageSequence or any X that it accepts
        The images.
    image_size : int or (int, int)
        Height and width in pixels to resize to; one number is both.
    crop_size : int, (int, int) or None, default=None
        Height and width in pixels of the centre to keep. None keeps everything.
    batch_size : int, default=32
        Images in a batch. The last batch may be smaller.
    jpeg_draft : bool, default=False
        Whether large JPEG files are decoded at 1/2, 1/4 or 1/8 of their size, but at least at three
        times the size wanted. Faster, and not quite the pixels that the decoded image would give.
    resample : {"bilinear", "bicubic", "lanczos"}, default="bicubic"
        Filter that images are resized with.

    Returns
    -------
    iterator of ndarray of shape (batch_size, height, width, 3), uint8
        A new array for each batch. Closing the iterator, or leaving it to the garbage
        collector, ends the threads. What cannot be read and is marked is black.

    Raises
    ------
    TypeError
        If `images` has an element that is no image.
    ValueError
        At once, if a size is not positive, the crop is larger than the image, or an image does
        not pass the checks of `ImageSequence`. During iteration, if a file cannot be decoded, or
        has another size than when it was checked.

    Examples
    --------
    >>> import numpy as np
    >>> from skpadim.images import iter_batches
    >>> images = np.zeros((5, 30, 40, 3), np.uint8)
    >>> [batch.shape for batch in iter_batches(images, (16, 16), batch_size=2)]
    [(2, 16, 16, 3), (2, 16, 16, 3), (1, 16, 16, 3)]
    """
    image_size = check_size(image_size, "image_size")
    crop = center_crop_slices(image_size, crop_size)
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size} must be at least 1.")
    # A function apart from the generator, so that errors do not wait for the first batch.
    images = ImageSequence(images)
    if jpeg_draft:
        images = images.with_draft(DRAFT_FACTOR * max(image_size))
    return _generate(images, image_size, crop, batch_size, resample)


def _generate(
    images: ImageSequence,
    image_size: Size,
    crop: tuple[slice, slice],
    batch_size: int,
    resample: str,
) -> Iterator[np.ndarray]:
    height, width = (kept.stop - kept.start for kept in crop)

    def prepare(position: int, out: np.ndarray) -> None:
        picture = images.decoded(position)
        if picture is None:
            out[...] = 0
            return
        pixels = resize(picture, image_size, resample)[crop]
        out[...] = pixels if pixels.ndim == 3 else pixels[..., np.newaxis]
        images.note(position, out)

    if len(images) == 1:
        # Nothing to get ready meanwhile: threads would take longer to start than the image.
        batch = np.empty((1, height, width, 3), np.uint8)
        prepare(0, batch[0])
        yield batch
        return
    pool = ThreadPoolExecutor(min(MAX_THREADS, n_threads()), "skpadim-images")
    pending: deque[tuple[np.ndarray, list[Future[None]]]] = deque()
    try:
        for start in range(0, len(images), batch_size):
            positions = range(len(images))[start : start + batch_size]
            batch = np.empty((len(positions), height, width, 3), np.uint8)
            jobs = [pool.submit(prepare, i, out) for i, out in zip(positions, batch, strict=True)]
            pending.append((batch, jobs))
            if len(pending) == 2:
                yield _finished(*pending.popleft())
        while pending:
            yield _finished(*pending.popleft())
    finally:
        # Also on Ctrl-C and when the caller stops early: wait for no more than running jobs.
        pool.shutdown(wait=True, cancel_futures=True)


def _finished(batch: np.ndarray, jobs: "list[Future[None]]") -> np.ndarray:
    for job in jobs:
        job.result()
    return batch


def resize(picture: np.ndarray | Image.Image, image_size: Size, resample: str) -> np.ndarray:
    """Return pixels of size (height, width), antialiased, uint8; themselves if they have it."""
    height, width = image_size
    if isinstance(picture, np.ndarray):
        if picture.shape[:2] == image_size:
            return picture
        picture = Image.fromarray(picture)
    if picture.size != (width, height):
        picture = picture.resize((width, height), RESAMPLING[resample])
    return np.asarray(picture)
