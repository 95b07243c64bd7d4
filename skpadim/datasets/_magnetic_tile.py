"""Surface defects of magnetic tiles."""

from os import PathLike

from sklearn.utils import Bunch

from skpadim._image_files import find_images
from skpadim.datasets._files import match_masks
from skpadim.datasets._samples import Sample, labelled
from skpadim.datasets._source import Source

_MAGNETIC_TILE = Source(
    "Magnetic Tile",
    "https://github.com/abin24/Magnetic-tile-defect-datasets.",
    "no licence stated, to be cited",
    """\
<root>/MT_Free/Imgs/*.jpg
<root>/MT_<defect>/Imgs/*.jpg
<root>/MT_<defect>/Imgs/*.png""",
)


def load_magnetic_tile(root: str | PathLike[str]) -> Bunch:
    """Load the file names of the magnetic-tile data set.

    The data set [1]_ is not downloaded: it comes from
    https://github.com/abin24/Magnetic-tile-defect-datasets. (the dot belongs to the address). Its
    page states no licence and asks for the paper to be cited. It has 1344 images of tiles, without
    a defect or with one of five kinds, in any position and of many sizes. The layout is

    .. code-block:: text

        root/
            MT_Free/Imgs/*.jpg
            MT_Blowhole/Imgs/*.jpg
            MT_Blowhole/Imgs/*.png
            MT_Break/...
            MT_Crack/...
            MT_Fray/...
            MT_Uneven/...

    with the mask of an image beside it. There is no official split; see
    :class:`skpadim.model_selection.InlierKFold`.

    Parameters
    ----------
    root : str or path-like
        Folder that holds the folders MT_Free, MT_Blowhole and so on.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        As of :func:`load_folder`. The names of the defects are "Blowhole", "Break", "Crack", "Fray"
        and "Uneven".

    Raises
    ------
    FileNotFoundError
        If the root, MT_Free in it, or the mask of a defective image is missing.
    ValueError
        If a folder has no image, a mask has no image or another size than its image.

    References
    ----------
    .. [1] Huang, Qiu, Yuan: "Surface defect saliency of magnetic tile", The Visual Computer 36,
       2020.

    Examples
    --------
    >>> from skpadim.datasets import load_magnetic_tile
    >>> tiles = load_magnetic_tile("Magnetic-tile-defect-datasets")  # doctest: +SKIP
    """
    place = _MAGNETIC_TILE.root(root)
    _MAGNETIC_TILE.part(place, "MT_Free", "Imgs")
    good: list[Sample] = []
    defective: list[Sample] = []
    for folder in sorted(place.glob("MT_*/Imgs")):
        defect = folder.parent.name.removeprefix("MT_")
        files = find_images(folder, argument=folder.parent.name)
        images = [path for path in files if path.suffix.lower() != ".png"]
        if defect == "Free":
            good += map(Sample, images)
            continue
        there = [path for path in files if path.suffix.lower() == ".png"]
        masks = match_masks(images, folder, there, folder, ending=".png")
        defective += [Sample(path, defect, mask) for path, mask in zip(images, masks, strict=True)]
    return Bunch(
        **labelled(good + defective),
        DESCR=_MAGNETIC_TILE.description(
            f"{len(good)} good and {len(defective)} defective images from {place}"
        ),
    )
