"""Images in folders, and the masks that belong to them."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

IMAGE_EXTENSIONS = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


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
            f"{', '.join(IMAGE_EXTENSIONS)}."
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


def match_masks(
    images: Sequence[Path],
    image_folder: Path,
    masks: Sequence[Path],
    mask_folder: Path,
    *,
    suffix: str = "_mask",
    ending: str = "_mask.png",
) -> list[Path]:
    """Return the mask of each image.

    A mask has its image's place below its own folder, and its image's name with or without a
    suffix behind it; the extensions may differ. Errors show `ending` as the usual end of a name.
    """
    wanted: dict[Path, Path] = {}
    for image in images:
        name = image.relative_to(image_folder).with_suffix("")
        for mask_name in (name, name.with_name(f"{name.name}{suffix}")):
            if mask_name in wanted:
                raise ValueError(
                    f"{wanted[mask_name]} and {image} would share one mask, "
                    f"{mask_folder / mask_name}. Rename one of them."
                )
            wanted[mask_name] = image
    found: dict[Path, Path] = {}
    for mask in masks:
        name = mask.relative_to(mask_folder).with_suffix("")
        if name not in wanted:
            image_name = name.with_name(name.name.removesuffix(suffix))
            raise ValueError(
                f"{mask} is the mask of no image: {image_folder / image_name}.* is missing."
            )
        if wanted[name] in found:
            raise ValueError(
                f"{wanted[name]} has two masks, {found[wanted[name]]} and {mask}. Remove one."
            )
        found[wanted[name]] = mask
    for image in images:
        if image not in found:
            name = image.relative_to(image_folder).with_suffix("")
            raise FileNotFoundError(
                f"{image} has no mask: {mask_folder / name}{ending} is missing."
            )
    return [found[image] for image in images]


def path_array(paths: Sequence[Path]) -> NDArray[np.str_]:
    """Return paths as an array of str, which can be indexed by labels."""
    return np.array([str(path) for path in paths], dtype=np.str_)


def mask_array(masks: Sequence[Path | None]) -> NDArray[np.object_]:
    """Return paths of masks as an array of str and None."""
    return np.array([mask and str(mask) for mask in masks], dtype=object)
