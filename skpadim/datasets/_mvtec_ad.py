"""MVTec AD as it lies on disk."""

import difflib
from os import PathLike
from pathlib import Path

import numpy as np
from sklearn.utils import Bunch

from skpadim.datasets._files import (
    find_images,
    is_hidden,
    mask_array,
    match_masks,
    natural_order,
    path_array,
)

_HOMEPAGE = "https://www.mvtec.com/company/research/datasets/mvtec-ad"
_LAYOUT = """\
<root>/<category>/train/good/*.png
<root>/<category>/test/good/*.png
<root>/<category>/test/<defect>/*.png
<root>/<category>/ground_truth/<defect>/*_mask.png"""


def load_mvtec_ad(root: str | PathLike[str], category: str) -> Bunch:
    """Load the file names of one category of MVTec AD.

    The data set [1]_ is not downloaded: it is free for non-commercial use under CC BY-NC-SA 4.0 and
    comes from https://www.mvtec.com/company/research/datasets/mvtec-ad. Any data set laid out
    alike can be loaded as well:

    .. code-block:: text

        root/
            category/
                train/good/*.png
                test/good/*.png
                test/<defect>/*.png
                ground_truth/<defect>/*_mask.png

    Parameters
    ----------
    root : str or path-like
        Folder that holds the categories.
    category : str
        Name of a category, such as "bottle".

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the following attributes. Images are in natural order,
        defect by defect; no image is read.

        X_train : ndarray of shape (n_train,), str
            Paths of the training images, which are all good.
        X_test : ndarray of shape (n_test,), str
            Paths of the test images.
        y_test : ndarray of shape (n_test,), int
            +1 for good images, -1 for defective ones.
        masks_test : ndarray of shape (n_test,), object
            Paths of the masks, None for good images. See :func:`read_masks`.
        defects_test : ndarray of shape (n_test,), str
            Names of the defects, "good" for good images.
        category : str
            The category loaded.
        DESCR : str
            Description of the data set.

    Raises
    ------
    FileNotFoundError
        If the root, a folder of the layout or a mask is missing.
    ValueError
        If there is no such category below the root, or a mask has no image or more than one.
    TypeError
        If `category` is no str.

    See Also
    --------
    load_folder : Images that are laid out in another way.

    References
    ----------
    .. [1] Bergmann, Batzner, Fauser, Sattlegger, Steger: "The MVTec Anomaly Detection Dataset",
       International Journal of Computer Vision 129, 2021.

    Examples
    --------
    >>> from skpadim.datasets import load_mvtec_ad
    >>> bottle = load_mvtec_ad("mvtec_ad", "bottle")  # doctest: +SKIP
    >>> len(bottle.X_train), len(bottle.X_test)  # doctest: +SKIP
    (209, 83)
    """
    if not isinstance(category, str):
        raise TypeError(
            f"category must be the name of one category, as 'bottle'; got {category!r}."
        )
    folder = _category_folder(Path(root), category)
    train = find_images(folder / "train" / "good", argument="train/good")
    test, masks, defects = _test_images(folder)
    return Bunch(
        X_train=path_array(train),
        X_test=path_array(test),
        y_test=np.where(defects == "good", 1, -1),
        masks_test=mask_array(masks),
        defects_test=defects,
        category=category,
        DESCR=f"MVTec AD, category {category}, official layout, from {folder}. CC BY-NC-SA 4.0, "
        f"(c) MVTec Software GmbH, {_HOMEPAGE}",
    )


def _category_folder(root: Path, category: str) -> Path:
    if not root.is_dir():
        raise FileNotFoundError(
            f"root must be the folder of MVTec AD; there is no folder {root}. The data set can be "
            f"had from {_HOMEPAGE} (CC BY-NC-SA 4.0). Expected layout:\n{_LAYOUT}"
        )
    if not (root / category / "train" / "good").is_dir():
        present = sorted(path.parent.parent.name for path in root.glob("*/train/good"))
        if not present:
            raise FileNotFoundError(f"root holds no category: {root}. Expected layout:\n{_LAYOUT}")
        close = difflib.get_close_matches(category, present, n=1, cutoff=0.5)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(
            f"category {category!r} is not in {root}.{hint} There are: {', '.join(present)}."
        )
    return root / category


def _test_images(folder: Path) -> tuple[list[Path], list[Path | None], np.ndarray]:
    images: list[Path] = []
    masks: list[Path | None] = []
    defects: list[str] = []
    if not (folder / "test").is_dir():
        raise FileNotFoundError(f"There is no folder {folder / 'test'}.")
    subfolders = [p for p in (folder / "test").iterdir() if p.is_dir() and not is_hidden(p.name)]
    for images_folder in sorted(subfolders, key=natural_order):
        defect = images_folder.name
        found = find_images(images_folder, argument=f"test/{defect}")
        images += found
        defects += [defect] * len(found)
        if defect == "good":
            masks += [None] * len(found)
        else:
            masks_folder = folder / "ground_truth" / defect
            there = find_images(masks_folder, argument=f"ground_truth/{defect}")
            masks += match_masks(found, images_folder, there, masks_folder)
    return images, masks, np.array(defects, dtype=np.str_)
