"""Images in folders."""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

IMAGE_EXTENSIONS = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


def find_images(folder: Path, *, argument: str, leave_out: Iterable[Path] = ()) -> list[Path]:
    """Return all images in and below a folder, in natural order; errors call it `argument`."""
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
            f"{', '.join(IMAGE_EXTENSIONS)}."
            + (f" Not counted is what lies in {', '.join(map(str, inner))}." if inner else "")
        )
    return sorted(images, key=natural_order)


def iter_images(folder: Path) -> Iterator[Path]:
    """Yield images in and below a folder, in natural order; links to folders are not followed."""
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
