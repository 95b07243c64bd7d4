"""Image files: what is opened, how far headers are trusted, and what they leave out."""

import io
import os
import stat
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from operator import add
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

from skpadim._image_files import PILLOW_FORMATS

# Pixels of an image at most: 256 MiB of colours, of which there are two copies at times. Who sets
# Pillow's own limit decides otherwise.
MAX_PIXELS = 2**26
_PILLOWS_MAX_PIXELS = 1024**3 // 4 // 3

_Tag = ExifTags.Base

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_PIXELS = (b"IDAT", b"fcTL", b"fdAT")

_JPEG_END = b"\xff\xd9"
# Room for the padding that some cameras and file systems leave behind the end marker.
_JPEG_TAIL = 64

# Bits of a pixel in a file whose pixels are neither compressed nor scaled.
_RAW_BITS = {"1;I": 1, "L": 8, "I;16B": 16, "RGB": 24, "F;32F": 32, "F;32BF": 32}

# High pages that are no wider are rows of an image with as many bands, as some writers store it.
_MAX_BANDS = 32

# Pixels that are worked on at a time where an image would take several copies.
_STRIP_PIXELS = 2**20


class IrregularFileError(OSError):
    """A pipe, a socket or a device, which may keep its reader waiting for ever."""


class UnknownScaleError(ValueError):
    """Pixels of which nobody knows which value is black or white."""


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a regular file. Pillow gets no names: it would map files, and change with them."""
    mode = os.stat(path).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise IrregularFileError
    with open(path, "rb") as file:
        yield file


def image_in(file: BinaryIO) -> Image.Image:
    """Return the image of a file, not yet decoded; raise if its pixels would not be right."""
    try:
        image = Image.open(file, formats=PILLOW_FORMATS)
    except UnidentifiedImageError as error:
        raise UnidentifiedImageError(_unidentified(file)) from error
    check_header(image)
    return image


def whole_image_in(file: BinaryIO) -> Image.Image:
    """Return the image of a file, to be decoded; raise if it is seen to be damaged."""
    image = image_in(file)
    if image.format == "PNG":
        # Checksums of the pixels, at which Pillow's decoder does not look: most of 40 bytes that
        # are overwritten near the end give wrong pixels and no error. It costs a hundredth of it.
        image.verify()
        file.seek(0)
        image = image_in(file)
    return image


def header_in(file: BinaryIO) -> Image.Image:
    """Return the image of a file for what its header says; of a PNG, what lies behind pixels too.

    That is not to be decoded. Raise if a PNG does not reach its end.
    """
    if file.read(len(_PNG_SIGNATURE)) != _PNG_SIGNATURE:
        return image_in(file)
    return image_in(io.BytesIO(_without_pixels(file)))


def _without_pixels(file: BinaryIO) -> bytes:
    """Return a PNG without its pixels: from chunk to chunk, whose checksums are left to Pillow."""
    raw = getattr(file, "raw", file)  # a buffer would read all that is passed over
    size = os.fstat(raw.fileno()).st_size
    raw.seek(len(_PNG_SIGNATURE))
    kept, kind, n_bytes = [_PNG_SIGNATURE], b"", 0
    while kind != b"IEND":
        header = raw.read(8)
        length, kind = struct.unpack(">I4s", header) if len(header) == 8 else (size, b"")
        if raw.tell() + length > size:
            raise OSError("it ends before its end chunk")
        if kind in _PNG_PIXELS:
            n_bytes += length
            raw.seek(length + 4, os.SEEK_CUR)
        else:
            kept.append(header + raw.read(length + 4))
    if n_bytes == 0:
        raise OSError("it has no pixels")
    return b"".join(kept)


def _unidentified(file: BinaryIO) -> str:
    """Return what a file is that Pillow does not read."""
    with suppress(Exception):
        file.seek(0)
        start = file.read(16)
        if start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            tags = ImageFileDirectory_v2(start if b"+" in start[:4] else start[:8])
            file.seek(tags.next)
            tags.load(file)
            bits = tags.get(_Tag.BitsPerSample, (1,))
            return (
                "is a TIFF that is damaged or of a kind that Pillow does not read, with "
                f"{tags.get(_Tag.SamplesPerPixel, 1)} samples of {bits[0]} bits: save it in 8 or "
                "16 bits, grey or RGB"
            )
    return "is not an image in a format that skpadim reads; save it as PNG"


def check_header(image: Image.Image) -> None:
    """Raise if an image is too large, or its file is of a kind that Pillow takes for another."""
    width, height = image.size
    limit = Image.MAX_IMAGE_PIXELS
    if limit == _PILLOWS_MAX_PIXELS:
        limit = MAX_PIXELS
    if limit is not None and width * height > limit:
        raise Image.DecompressionBombError(
            f"it has {width} x {height} = {width * height} pixels, and the limit is {limit}."
        )
    if isinstance(image, TiffImageFile):
        _check_tiff(image)


def _check_tiff(image: TiffImageFile) -> None:
    tags = image.tag_v2
    grey = image.mode in ("1", "L", "LA", "La", "I;16", "I;16B", "F")
    photometric = tags.get(_Tag.PhotometricInterpretation)
    raw = tags.get(_Tag.Compression, 1) == 1
    if grey and photometric is None:
        raise UnknownScaleError("does not say whether 0 is black or white")
    if image.mode == "L" and 2 in tags.get(_Tag.SampleFormat, ()):
        raise UnknownScaleError("has signed pixels of 8 bits")
    bits = tags.get(_Tag.BitsPerSample, (1,))
    if raw and tags.get(_Tag.PlanarConfiguration, 1) == 2 and len(bits) > 1 and max(bits) > 8:
        raise OSError("its colours of 16 bits lie in planes, which Pillow reads as 8 bits")
    if raw and photometric == 6 and tuple(tags.get(_Tag.YCbCrSubSampling, (2, 2))) != (1, 1):
        raise OSError("its colours are YCbCr of several sizes, which Pillow reads as one")
    if has_more_frames(image) and image.width <= min(_MAX_BANDS, image.height // 2):
        raise OSError(
            f"it has many pages of {image.height} x {image.width} pixels, which seem to be the "
            "rows of an image of several bands; save one band, or RGB"
        )


def has_more_frames(image: Image.Image) -> bool:
    """Return whether there is more in a file than its first frame or page."""
    return bool(getattr(image, "is_animated", False))


def has_more_bands(image: Image.Image) -> bool:
    """Return whether a file has bands that are neither colours nor alpha."""
    if not isinstance(image, TiffImageFile):
        return False
    tags = image.tag_v2
    extra = tags.get(_Tag.ExtraSamples, ())
    n_colors = {2: 3, 5: 4, 6: 3, 8: 3}.get(tags.get(_Tag.PhotometricInterpretation, 0), 1)
    unsaid = tags.get(_Tag.SamplesPerPixel, n_colors) - n_colors - len(extra)
    return unsaid > 0 or any(band not in (1, 2, 999) for band in extra)  # 999: alpha of CorelDraw


def is_complete(image: Image.Image, file: BinaryIO) -> bool:
    """Return whether a file, of which there is a header, is seen to hold all of its pixels.

    False means that only decoding can tell. Damage inside is not looked for.
    """
    size = os.fstat(file.fileno()).st_size
    if image.format == "PNG":
        return True  # or there would be no header
    if image.format in ("JPEG", "MPO"):
        file.seek(-min(_JPEG_TAIL, size), os.SEEK_END)
        # The two bytes cannot occur inside compressed pixels, where ff is followed by 00.
        return _JPEG_END in file.read()
    if image.format == "WEBP":
        file.seek(4)
        return int.from_bytes(file.read(4), "little") + 8 <= size
    if isinstance(image, TiffImageFile):
        tags = image.tag_v2
        offsets = tags.get(_Tag.StripOffsets) or tags.get(_Tag.TileOffsets) or ()
        counts = tags.get(_Tag.StripByteCounts) or tags.get(_Tag.TileByteCounts) or ()
        ends = list(map(add, offsets, counts))
        return bool(ends) and max(ends) <= size
    return _raw_end(image) <= size


def _raw_end(image: Image.Image) -> float:
    """Return where uncompressed pixels end in a file; infinity if they are not of that kind."""
    tiles: Any = getattr(image, "tile", ())
    if len(tiles) != 1 or tiles[0][0] != "raw":
        return np.inf
    _, _, offset, args = tiles[0]
    mode, stride = (args, 0) if isinstance(args, str) else args[:2]
    if not stride:
        stride = -(-image.width * _RAW_BITS[mode] // 8) if mode in _RAW_BITS else np.inf
    return offset + stride * image.height


def reason_of(error: Exception) -> str:
    """Return what is wrong with a file that could not be read, and what to do, after its name."""
    if isinstance(error, FileNotFoundError):
        return "does not exist"
    if isinstance(error, IrregularFileError):
        return "is a pipe, a socket or a device; give the path of a regular file"
    if isinstance(error, UnidentifiedImageError):
        return str(error)
    if isinstance(error, UnknownScaleError):
        return f"{error}: convert it to unsigned pixels, 0 for black"
    if isinstance(error, (Image.DecompressionBombWarning, Image.DecompressionBombError)):
        return (
            f"is too large: {error} If you trust the file, raise PIL.Image.MAX_IMAGE_PIXELS, or "
            "set it to None"
        )
    return f"is damaged or cannot be read: {error}"


def iter_strips(image: Image.Image) -> Iterator[NDArray]:
    """Yield the pixels of a loaded image some rows at a time: NumPy takes three copies of them."""
    width, height = image.size
    n_rows = max(1, _STRIP_PIXELS // max(1, width))
    for top in range(0, max(1, height), n_rows):
        strip = np.asarray(image.crop((0, top, width, min(top + n_rows, height))))
        yield strip.astype(strip.dtype.newbyteorder("="), copy=False)


def in_strips(image: Image.Image, convert: Callable[[NDArray], NDArray] = np.asarray) -> NDArray:
    """Return the pixels of a loaded image, converted some rows at a time."""
    pixels, done = None, 0
    for strip in map(convert, iter_strips(image)):
        if pixels is None:
            pixels = np.empty((image.height, *strip.shape[1:]), strip.dtype)
        pixels[done : done + len(strip)] = strip
        done += len(strip)
    assert pixels is not None
    return pixels


def with_scale(image: Image.Image) -> Image.Image:
    """Return a loaded image as its header means it: 0 is black, white is all that its type holds.

    Pillow does so itself, but for TIFF of more than 8 bits, and has 16-bit maps in 32 bits.
    """
    if image.format == "PPM" and image.mode == "I":
        return image.convert("I;16")
    if not isinstance(image, TiffImageFile) or image.mode not in ("I;16", "F"):
        return image
    if image.mode == "I;16" and image.tag_v2.get(_Tag.BitsPerSample) == (12,):
        image = _mapped(image, lambda pixels: pixels << 4 | pixels >> 8)
    elif image.tag_v2.get(_Tag.PhotometricInterpretation) == 0:
        white = 65535 if image.mode == "I;16" else 1
        image = _mapped(image, lambda pixels: (white - pixels).astype(pixels.dtype))
    return image


def _mapped(image: Image.Image, convert: Callable[[NDArray], NDArray]) -> Image.Image:
    return Image.fromarray(in_strips(image, convert))
