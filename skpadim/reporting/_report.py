"""Images, heatmaps and scores, written into one HTML file."""

import base64
import hashlib
import html
import io
import json
import os
import zlib
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from importlib.resources import files
from numbers import Integral
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.utils.validation import check_is_fitted

from skpadim._estimators import shallow_copy
from skpadim._files import new_file
from skpadim._labels import check_labels, image_labels
from skpadim._masks import check_masks, read_mask
from skpadim._padim import PaDiM
from skpadim._sizes import Size, check_size
from skpadim._threads import n_threads
from skpadim._threshold import check_calibrated
from skpadim.embedding import PatchEmbedder
from skpadim.images import ImageSequence

# Pillow releases the GIL while it decodes, resizes and encodes.
_MAX_THREADS = 4

# Heatmaps are stored at this fraction of the network's input: they are smooth, and a quarter of the
# pixels says the same.
_REDUCTION = 2

# The heatmaps' 8 bits are levels of the logarithm, so that each is as exact as any other, relative
# to its distance. They span three decades at most.
_LARGEST_SPAN = 1000.0


def report(
    detector: PaDiM,
    X: Any,
    y: Any = None,
    masks: Any = None,
    path: str | os.PathLike[str] = "report.html",
    *,
    title: str = "Inspection report",
    image_size: int = 384,
    overwrite: bool = False,
) -> Path:
    """Write a page on which images are inspected and the threshold is chosen.

    The page is one HTML file that a browser opens from disk, without a server or network. It shows
    the images, most anomalous first, with their heatmaps and the outlines of their masks. A slider
    moves the threshold, and with it decisions, masks and counts; the page tells the line of Python
    that sets it.

    Parameters
    ----------
    detector : PaDiM
        A fitted detector with a threshold.
    X : images
        Images to show, in any form that `detector` takes, of any sizes.
    y : array-like of shape (n_images,), int, or None, default=None
        Labels: +1 for good images, -1 for defective ones. With them the page counts false alarms
        and misses.
    masks : array-like of shape (n_images, height, width), sequence of paths or arrays, or None, \
            default=None
        Where images are truly defective: arrays of shape (height, width) that are not 0 there, or
        paths of such images, or None for images without a defect. Each covers its whole image, at
        any size.
    path : str or os.PathLike, default="report.html"
        File to write.
    title : str, default="Inspection report"
        Title of the page.
    image_size : int, default=384
        Longest side of the pictures in the page, in pixels. Smaller images keep their size.
    overwrite : bool, default=False
        Whether to replace a file that exists.

    Returns
    -------
    pathlib.Path
        The file that was written.

    Raises
    ------
    FileExistsError
        If `path` exists and `overwrite` is False.
    OSError
        If `path` is a folder, lies in a folder that does not exist, or cannot be written.
    TypeError
        If `detector` is no :class:`PaDiM`, or `X` or `masks` are nothing that could be images, or
        `y` is a path.
    ValueError
        If `detector` is not fitted, has no threshold or takes embeddings, if there are no images,
        or not one label and mask for each, if a label is neither +1 nor -1, or if an image or a
        mask cannot be read.

    See Also
    --------
    skpadim.PaDiM.calibrate : Sets the threshold from good images.

    Notes
    -----
    Everything is checked before the first image is scored, and the file appears when it is
    complete. Memory grows by a reduced picture and heatmap for each image.

    Decisions are those of ``detector.predict`` for the threshold shown: scores are in the page with
    all their digits. Heatmaps are reduced to half the network's input and rounded to 8 bits on a
    logarithmic scale that all images share. The outline of a mask is drawn from these: it may leave
    out or take in pixels whose distance is within a few per cent of the threshold, but is there
    exactly if the image is called defective. Colours begin at the threshold; below, they fade out
    towards half of it.

    An image takes about 15 kB, and the browser draws only those in sight: 1,000 images open within
    seconds. It has to be Chrome or Edge 97, Firefox 113, Safari 16.4, or later.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import skpadim
    >>> from skpadim.datasets import make_inspection_images
    >>> parts = make_inspection_images(22, 2, image_size=128, random_state=0)
    >>> detector = skpadim.PaDiM().fit(parts.images[:20])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = skpadim.report(
    ...         detector,
    ...         parts.images[20:],
    ...         parts.y[20:],
    ...         parts.masks[20:],
    ...         path=Path(folder, "report.html"),
    ...     )
    ...     page.name, page.stat().st_size < 200_000
    ('report.html', True)
    """
    detector = _checked(detector)
    if not isinstance(title, str):
        raise TypeError(f"title must be a str; got {title!r}.")
    if isinstance(image_size, bool) or not isinstance(image_size, Integral) or image_size < 1:
        raise ValueError(f"image_size must be a positive integer, in pixels; got {image_size!r}.")
    if isinstance(y, str | os.PathLike):
        raise TypeError(
            f"y is a path, {os.fspath(y)!r}, but must be labels: write path={os.fspath(y)!r}."
        )
    check_labels(y)
    path = Path(path)
    with (
        new_file(path, overwrite=overwrite) as unfinished,
        # Not all that the name of an image may hold is Unicode.
        open(unfinished, "w", encoding="utf-8", errors="xmlcharrefreplace", newline="\n") as file,
    ):
        images = ImageSequence(X).strict()
        labels = image_labels(y, len(images))
        sizes = [_reduced(size, int(image_size)) for size in images.sizes]
        truths = _pack_masks(masks, sizes)
        pictures, heatmaps, scores = _inspect(detector, images, sizes)

        order = np.argsort(scores, kind="stable")
        paths = images.paths
        lowest, highest = _scale(scores, detector.offset_)
        data = {
            "offset": float(detector.offset_),
            "lowest": lowest,
            "highest": highest,
            "heatmapSize": heatmaps[0].shape,
            "hasMasks": masks is not None,
            "images": [
                {
                    "index": int(i),
                    "name": _name(paths[i], i),
                    "score": float(scores[i]),
                    "label": None if labels is None else int(labels[i]),
                    "size": images.sizes[i],
                    "pictureSize": sizes[i],
                }
                for i in order
            ],
        }
        head, tail = _page(title, data)
        file.write(head)
        for rank, i in enumerate(order):
            heatmap = _pack(_to_levels(heatmaps[i], lowest, highest))
            parts = (base64.b64encode(part).decode() for part in (pictures[i], heatmap, truths[i]))
            file.write(
                f'<script type="text/plain" id="image-{rank}">' + "\n".join(parts) + "</script>\n"
            )
        file.write(tail)
    return path


def _checked(detector: Any) -> PaDiM:
    """Return a detector as it is now; refuse what has no page."""
    if not isinstance(detector, PaDiM):
        raise TypeError(
            f"detector has type {type(detector).__name__}; it must be a fitted PaDiM. Of a search "
            "give best_estimator_, of a pipeline its last step."
        )
    detector = shallow_copy(detector)
    check_is_fitted(detector, "gaussian_")
    check_calibrated(detector)
    if not isinstance(detector.embedder_, PatchEmbedder):
        raise ValueError(
            "detector takes embeddings (embedder='passthrough'), but a report shows images. Fit a "
            "PaDiM with an embedder to images."
        )
    if not np.isfinite(detector.offset_):
        raise ValueError(f"detector.offset_ is {detector.offset_}; it must be a finite number.")
    return detector


def _pack_masks(masks: Any, sizes: list[Size]) -> list[bytes]:
    """Bring masks to the sizes of the pictures; b"" where nothing is defective."""
    if masks is None:
        return [b""] * len(sizes)
    check_masks(masks, len(sizes))
    packed = []
    for index, (mask, size) in enumerate(zip(masks, sizes, strict=True)):
        defective = np.zeros((1, 1)) if mask is None else read_mask(mask, f"masks[{index}]")
        # The mean of what a new pixel covers: one that the defect only touches is defective, so
        # that no defect is too thin to be seen.
        covered = np.asarray(
            Image.fromarray(defective.astype(np.float32)).resize(size[::-1], Image.Resampling.BOX)
        )
        packed.append(_pack((covered > 0).astype(np.uint8)) if defective.any() else b"")
    return packed


def _inspect(
    detector: PaDiM, images: ImageSequence, sizes: list[Size]
) -> tuple[list[bytes], list[NDArray[np.float32]], NDArray[np.float64]]:
    """Return pictures as files, reduced heatmaps of whole images, and scores, from one pass."""
    height, width = check_size(detector.embedder_.image_size, "image_size")
    heatmap_size = (-(-height // _REDUCTION), -(-width // _REDUCTION))
    pictures: list[Future[bytes]] = []
    heatmaps: list[NDArray[np.float32]] = []
    scores: list[float] = []

    def picture(index: int) -> bytes:
        return _encode(images[index], sizes[index])

    # Only these threads hold images at their full size.
    pool = ThreadPoolExecutor(min(_MAX_THREADS, n_threads()), "skpadim-report")
    try:
        with closing(detector.iter_inspect(images)) as inspections:
            for index, inspection in enumerate(inspections):
                pictures.append(pool.submit(picture, index))
                heatmaps.append(inspection.heatmap_at(heatmap_size))
                scores.append(inspection.score)
        encoded = [job.result() for job in pictures]
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return encoded, heatmaps, np.array(scores)


def _reduced(size: Size, longest: int) -> Size:
    height, width = size
    share = min(1.0, longest / max(height, width))
    return max(1, round(share * height)), max(1, round(share * width))


def _encode(pixels: NDArray[np.uint8], size: Size) -> bytes:
    picture = Image.fromarray(pixels)
    if size != pixels.shape[:2]:
        picture = picture.resize(size[::-1], Image.Resampling.LANCZOS)
    content = io.BytesIO()
    # Method 4, the default, takes twice the time for a few per cent of the size.
    picture.save(content, "WEBP", quality=80, method=2)
    return content.getvalue()


def _scale(scores: NDArray[np.float64], offset: float) -> tuple[float, float]:
    """Distances of the lowest and the highest level that heatmaps are stored with."""
    highest = float(-scores.min()) or 1.0
    # Below half of the lowest peak or threshold nothing is called defective or not.
    lowest = min(float(-scores.max()), -float(offset)) / 2
    return max(lowest, highest / _LARGEST_SPAN), highest


def _to_levels(heatmap: NDArray[np.float32], lowest: float, highest: float) -> NDArray[np.uint8]:
    shares = np.log(np.clip(heatmap, lowest, highest) / lowest) / np.log(highest / lowest)
    return np.rint(255 * shares).astype(np.uint8)


def _pack(pixels: NDArray[np.uint8]) -> bytes:
    # Differences along both axes, modulo 256: of a smooth map they are nearly all 0, 1 or 255. A
    # browser inflates them, and unlike the pixels of a PNG it never alters them, be it for
    # colour management or against fingerprinting.
    differences = np.diff(np.diff(pixels, axis=0, prepend=0), axis=1, prepend=0)
    return zlib.compress(differences.astype(np.uint8).tobytes(), level=9)


def _name(path: str | None, index: int) -> str:
    # File and folder: in many data sets the folder tells the defect. Not more, since pages are
    # passed on.
    return f"X[{index}]" if path is None else "/".join(Path(path).parts[-2:])


def _page(title: str, data: dict[str, Any]) -> list[str]:
    """Fill in the page: what stands before the images, and what behind them."""
    folder = files("skpadim.reporting")
    page, style, script = (
        folder.joinpath(f"page.{kind}").read_text("utf-8") for kind in ("html", "css", "js")
    )
    fields = {
        "title": html.escape(title),
        "style": style,
        "script": script,
        # Browsers run no other style or script, whatever names and titles hold.
        "style_hash": _hash(style),
        "script_hash": _hash(script),
        # In JSON "<" may be written by its number, and then ends no element.
        "data": json.dumps(data, allow_nan=False).replace("<", "\\u003c"),
    }
    return [Template(part).substitute(fields) for part in page.split("$images")]


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
