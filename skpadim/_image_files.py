"""Images in folders."""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from PIL import features

# What may be read: endings of files, and Pillow's names of their formats. These are formats of
# pixels that Pillow decodes by itself; EPS, for one, would start Ghostscript. They stand in the
# order in which they are to be tried: TGA, which has no signature, comes last.
_FORMATS = {
    **{".png": "PNG", ".apng": "PNG"},
    **{".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".jfif": "JPEG"},
    **{".bmp": "BMP", ".dib": "DIB", ".gif": "GIF"},
    **{".pgm": "PPM", ".ppm": "PPM", ".pbm": "PPM", ".pnm": "PPM"},
    **{".tif": "TIFF", ".tiff": "TIFF", ".webp": "WEBP", ".jp2": "JPEG2000", ".avif": "AVIF"},
    ".tga": "TGA",
}
# What Pillow is built with or without, or, if it is old, knows nothing of.
_OPTIONAL = {"WEBP": "webp", "JPEG2000": "jpg_2000", "AVIF": "avif"}


def _is_decodable(form: str) -> bool:
    """Return whether the installed Pillow decodes a format."""
    feature = _OPTIONAL.get(form)
    known = (*features.modules, *features.codecs)
    return feature is None or (feature in known and features.check(feature))


#: Endings of image files, with Pillow's name of the format that each stands for.
IMAGE_EXTENSIONS = {ending: form for ending, form in _FORMATS.items() if _is_decodable(form)}

#: Pillow's names of the formats that may be opened. A JPEG of several pictures becomes an "MPO".
PILLOW_FORMATS = tuple(dict.fromkeys(IMAGE_EXTENSIONS.values()))


def find_images(folder: Path, *, argument: str, leave_out: Iterable[Path] = ()) -> list[Path]:
    """Return all images below a folder, in an order that does not depend on the file system.

    Numbers in names count as numbers: "part_2" comes before "part_10". Hidden files and folders
    are not looked at, nor is what lies in `leave_out`. `argument` is what errors call the folder.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{argument} must be a folder with images; there is no {folder}.")
    outer = absolute(folder)
    inner = [other for other in map(absolute, leave_out) if outer in other.parents]
    images = [
        path
        for path in iter_images(folder)
        if not any(absolute(path).is_relative_to(other) for other in inner)
    ]
    if not images:
        raise ValueError(
            f"{argument} has no image: nothing in or below {folder} ends in one of "
            f"{', '.join(sorted(IMAGE_EXTENSIONS))}."
            + (f" Not counted is what lies in {', '.join(map(str, inner))}." if inner else "")
        )
    return sorted(images, key=natural_order)


def iter_images(folder: Path) -> Iterator[Path]:
    """Yield the images below a folder, folder by folder in natural order, without a list of them.

    Hidden files and folders are left out, and links to folders are not followed.
    """
    with os.scandir(folder) as found:
        entries = sorted(
            (entry for entry in found if not is_hidden(entry.name)),
            key=lambda entry: natural_order(Path(entry.name)),
        )
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from iter_images(folder / entry.name)
        elif Path(entry.name).suffix.lower() in IMAGE_EXTENSIONS and entry.is_file():
            yield folder / entry.name


def find_folders(folder: Path) -> list[Path]:
    """Return the folders in a folder, in natural order, without hidden ones."""
    found = (path for path in folder.iterdir() if path.is_dir() and not is_hidden(path.name))
    return sorted(found, key=natural_order)


def is_hidden(name: str) -> bool:
    """Return whether a name is the system's: "._name.png" of macOS, "@eaDir", any first dot."""
    return name.startswith(".") or name == "@eaDir"


def absolute(path: Path) -> Path:
    """Return a path without "..", so that folders can be compared; links are not followed."""
    return Path(os.path.abspath(path))


def natural_order(path: Path) -> tuple:
    """Return the sort key of a path: text and numbers in turn, letter case last."""
    parts = re.split(r"(\d+)", path.as_posix().casefold())
    return [int(part) if part.isdecimal() else part for part in parts], path.as_posix()
