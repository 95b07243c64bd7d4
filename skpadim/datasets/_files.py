"""Masks that belong to images, and arrays of paths."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def match_masks(
    images: Sequence[Path],
    image_folder: Path,
    masks: Sequence[Path],
    mask_folder: Path,
    *,
    suffix: str = "_mask",
    ending: str = "_mask.png",
) -> list[Path]:
    """Return the mask of each image: at the same place, of the same name, or with `suffix`."""
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
