"""Images of one's own, in folders."""

from os import PathLike
from pathlib import Path

from sklearn.utils import Bunch

from skpadim._image_files import absolute, find_images
from skpadim.datasets._files import match_masks
from skpadim.datasets._samples import Sample, labelled


def load_folder(
    good: str | PathLike[str],
    *,
    defective: str | PathLike[str] | None = None,
    masks: str | PathLike[str] | None = None,
) -> Bunch:
    """Load the file names of images that lie in folders.

    Folders are searched with all that lies below them, links to other folders included. A warning
    tells what was passed over: files of other kinds, by the endings of their names, and what cannot
    be read. A complete example:

    .. code-block:: text

        parts/
            ok/
                0001.jpg
                ...
            rejected/
                scratch/0412.jpg
                ...
                dent/0567.jpg
                ...
            masks/
                scratch/0412.png
                ...
                dent/0567.png
                ...

    is ``load_folder("parts/ok", defective="parts/rejected", masks="parts/masks")``.

    Parameters
    ----------
    good : str or path-like
        Folder of good images. Here and below, hidden files and folders, and folders of thumbnails
        ("@eaDir"), are left out.
    defective : str or path-like, default=None
        Folder of defective images. The names of its sub-folders are the names of the defects.
        Where one of the folders contains another, such as "test" and "test/good", an image
        belongs to the inner one.
    masks : str or path-like, default=None
        Folder with one mask for each defective image, in the same sub-folder as below
        `defective` and of the same name, with or without "_mask" behind it.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the following attributes. Good images come first, each class
        in natural order; of images only the sizes are read, where there are masks.

        X : ndarray of shape (n_samples,), str
            Paths of the images.
        y : ndarray of shape (n_samples,), int
            +1 for good images, -1 for defective ones.
        masks : ndarray of shape (n_samples,), object
            Paths of the masks, None where there is none. See :func:`read_masks`.
        defects : ndarray of shape (n_samples,), str
            Names of the defects; "good" for good images, "defective" where there is no
            sub-folder to give it a name.
        DESCR : str
            Description of the data set.

    Raises
    ------
    FileNotFoundError
        If a folder or the mask of a defective image is missing.
    ValueError
        If a folder holds no image, `defective` has a sub-folder called "good" that is not `good`,
        or a mask has no image or more than one, or another size.

    See Also
    --------
    load_mvtec_ad : Images laid out as those of MVTec AD.
    load_manifest : Images listed in a table.

    Examples
    --------
    >>> from skpadim.datasets import load_folder
    >>> parts = load_folder("parts/ok", defective="parts/rejected")  # doctest: +SKIP
    >>> X_good = parts.X[parts.y == 1]  # doctest: +SKIP
    """
    if masks is not None and defective is None:
        raise ValueError("masks belong to defective images: give the folder `defective` as well.")
    folders = [Path(folder) for folder in (good, defective, masks) if folder is not None]
    if len({absolute(folder) for folder in folders}) < len(folders):
        raise ValueError(
            "good, defective and masks must be different folders; "
            f"got {', '.join(map(str, folders))}."
        )
    samples = [*map(Sample, find_images(Path(good), argument="good", leave_out=folders))]
    description = f"{len(samples)} good images from {Path(good)}"
    if defective is not None:
        folder = Path(defective)
        images = find_images(folder, argument="defective", leave_out=folders)
        defects = [_defect_name(path.parent.relative_to(folder)) for path in images]
        masks_of_images: list[Path | None] = [None] * len(images)
        if masks is not None:
            there = find_images(Path(masks), argument="masks", leave_out=folders)
            masks_of_images = [*match_masks(images, folder, there, Path(masks))]
        samples += map(Sample, images, defects, masks_of_images)
        description += f", {len(images)} defective images from {defective}"
    return Bunch(**labelled(samples), DESCR=f"{description}.")


def _defect_name(subfolder: Path) -> str:
    if subfolder.as_posix() == "good":
        raise ValueError(
            "defective has a sub-folder called 'good', whose images would be called defective. "
            "Give it as `good`, or give it another name."
        )
    return subfolder.as_posix() if subfolder.parts else "defective"
