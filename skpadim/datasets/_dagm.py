"""Textures of the DAGM 2007 competition."""

from os import PathLike
from pathlib import Path

from sklearn.utils import Bunch

from skpadim._image_files import find_images, natural_order
from skpadim.datasets._files import match_masks
from skpadim.datasets._samples import Sample, split
from skpadim.datasets._source import Source

_DAGM2007 = Source(
    "DAGM 2007",
    "https://hci.iwr.uni-heidelberg.de/content/weakly-supervised-learning-industrial-optical-inspection",
    "terms on that page",
    """\
<root>/Class<number>/Train/*.PNG
<root>/Class<number>/Train/Label/*_label.PNG
<root>/Class<number>/Test/*.PNG
<root>/Class<number>/Test/Label/*_label.PNG""",
)


def load_dagm2007(root: str | PathLike[str], category: str) -> Bunch:
    """Load the file names of one class of the DAGM 2007 data set.

    The data set [1]_ is not downloaded: it comes, with its terms, from
    https://hci.iwr.uni-heidelberg.de/content/weakly-supervised-learning-industrial-optical-inspection.
    It has synthetic grey textures of ten classes. The layout is

    .. code-block:: text

        root/
            Class1/
                Train/*.PNG
                Train/Label/*_label.PNG
                Test/*.PNG
                Test/Label/*_label.PNG
            ...
            Class10/...

    Defective are the images that have a label, an ellipse around the defect: coarse as a mask.

    Parameters
    ----------
    root : str or path-like
        Folder that holds the classes.
    category : str
        Name of a class, such as "Class1".

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        As of :func:`load_mvtec_ad`. The defective images of the official training set, which is
        for supervised models, are left out. The defect of all others is "defective".

    Raises
    ------
    FileNotFoundError
        If the root or a folder of the layout is missing.
    ValueError
        If there is no such class below the root, a folder has no image, a label has no image, or
        another size than its image.
    TypeError
        If `category` is no str.

    Notes
    -----
    Nothing but its label tells that an image is defective, so that a label that was lost cannot be
    noticed. Complete classes have these numbers of defective images, in training and test set:
    79 and 71, 66 and 84, 66 and 84, 82 and 68, 70 and 80, 83 and 67, and of classes 7 to 10 150 in
    each [2]_.

    References
    ----------
    .. [1] Wieler, Hahn: "Weakly Supervised Learning for Industrial Optical Inspection", DAGM
       symposium, 2007.
    .. [2] https://github.com/NVIDIA/DeepLearningExamples, preprocess_dagm2007.py.

    Examples
    --------
    >>> from skpadim.datasets import load_dagm2007
    >>> texture = load_dagm2007("DAGM", "Class1")  # doctest: +SKIP
    """
    place = _DAGM2007.root(root)
    present = sorted((path.parent for path in place.glob("*/Train")), key=natural_order)
    folder = _DAGM2007.category(place, category, [path.name for path in present], "Class1")
    train, test = (_samples(folder, part) for part in ("Train", "Test"))
    return split(
        [sample.image for sample in train if sample.defect == "good"],
        test,
        category=category,
        DESCR=_DAGM2007.description(f"{category}, official split, from {folder}"),
    )


def _samples(folder: Path, part: str) -> list[Sample]:
    place = _DAGM2007.part(folder, part)
    labels_folder = _DAGM2007.part(folder, part, "Label")
    images = find_images(place, argument=part, leave_out=[labels_folder])
    text = labels_folder / "Labels.txt"
    labels = find_images(labels_folder, argument=f"{part}/Label", leave_out=[text])
    names = {path.stem.removesuffix("_label") for path in labels}
    defective = [path for path in images if path.stem in names]
    masks = match_masks(defective, place, labels, labels_folder, suffix="_label")
    mask_of = dict(zip(defective, masks, strict=True))
    return [
        Sample(path, "defective", mask_of[path]) if path in mask_of else Sample(path)
        for path in images
    ]
