"""MVTec AD, and data sets that lie on disk as it does."""

from collections.abc import Callable
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch

from skpadim._image_files import find_folders, find_images
from skpadim.datasets._files import match_masks, path_array
from skpadim.datasets._samples import Sample, split
from skpadim.datasets._source import Source

_MVTEC_AD = Source(
    "MVTec AD",
    "https://www.mvtec.com/company/research/datasets/mvtec-ad",
    "CC BY-NC-SA 4.0",
    """\
<root>/<category>/train/good/*.png
<root>/<category>/test/good/*.png
<root>/<category>/test/<defect>/*.png
<root>/<category>/ground_truth/<defect>/*_mask.png""",
)
_MVTEC_LOCO_AD = Source(
    "MVTec LOCO AD",
    "https://www.mvtec.com/company/research/datasets/mvtec-loco",
    "CC BY-NC-SA 4.0",
    """\
<root>/<category>/train/good/*.png
<root>/<category>/validation/good/*.png
<root>/<category>/test/good/*.png
<root>/<category>/test/logical_anomalies/*.png
<root>/<category>/test/structural_anomalies/*.png
<root>/<category>/ground_truth/<defect>/<number of the image>/*.png""",
)
_MVTEC_AD_2 = Source(
    "MVTec AD 2",
    "https://www.mvtec.com/company/research/datasets/mvtec-ad-2",
    "CC BY-NC-SA 4.0",
    """\
<root>/<category>/train/good/*.png
<root>/<category>/validation/good/*.png
<root>/<category>/test_public/good/*.png
<root>/<category>/test_public/bad/*.png
<root>/<category>/test_public/ground_truth/bad/*_mask.png
<root>/<category>/test_private/*.png
<root>/<category>/test_private_mixed/*.png""",
)
_BTAD = Source(
    "BTAD",
    "https://github.com/pankajmishra000/VT-ADL",
    "CC BY-SA 4.0",
    """\
<root>/<product>/train/ok/*
<root>/<product>/test/ok/*
<root>/<product>/test/ko/*
<root>/<product>/ground_truth/ko/*""",
)
_MPDD = Source(
    "MPDD",
    "https://github.com/stepanje/MPDD",
    "CC BY-NC-SA 4.0",
    _MVTEC_AD.layout,
)


def load_mvtec_ad(root: str | PathLike[str], category: str) -> Bunch:
    """Load the file names of one category of MVTec AD.

    The data set [1]_ is not downloaded: it is free for non-commercial use under CC BY-NC-SA 4.0 and
    comes from https://www.mvtec.com/company/research/datasets/mvtec-ad. It has 5354 images of 15
    categories. Any data set laid out alike can be loaded as well:

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
        defect by defect; of images only the sizes are read, where there are masks.

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
        If there is no such category below the root, or a mask has no image or more than one, or
        another size than its image.
    TypeError
        If `category` is no str.

    See Also
    --------
    load_folder : Images that are laid out in another way.
    load_manifest : Images listed in a table.

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
    return _load(_MVTEC_AD, root, category)


def load_mvtec_loco_ad(root: str | PathLike[str], category: str) -> Bunch:
    """Load the file names of one category of MVTec LOCO AD.

    The data set [1]_ has logical anomalies, such as a missing or a surplus part, beside structural
    ones. It is not downloaded: it is free for non-commercial use under CC BY-NC-SA 4.0 and comes
    from https://www.mvtec.com/company/research/datasets/mvtec-loco. It has 3644 images of 5
    categories: 1772 to train, 304 to validate, 1568 to test. The layout is

    .. code-block:: text

        root/
            category/
                train/good/*.png
                validation/good/*.png
                test/good/*.png
                test/logical_anomalies/*.png
                test/structural_anomalies/*.png
                ground_truth/<defect>/<number of the image>/*.png

    An image has a mask for each of its defects. Here its mask is their folder, and
    :func:`read_masks` takes the union of what is in it. The measure of [1]_, saturated per-region
    overlap, takes a region for found when a share of it is that the data set has for each kind of
    defect; :func:`skpadim.metrics.aupro_score` of unions is another figure.

    Parameters
    ----------
    root : str or path-like
        Folder that holds the categories.
    category : str
        Name of a category, such as "pushpins".

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        As of :func:`load_mvtec_ad`, and

        X_val : ndarray of shape (n_val,), str
            Paths of the validation images, which are good: for ``detector.calibrate``.

    Raises
    ------
    FileNotFoundError, ValueError, TypeError
        As in :func:`load_mvtec_ad`.

    References
    ----------
    .. [1] Bergmann, Batzner, Fauser, Sattlegger, Steger: "Beyond Dents and Scratches: Logical
       Constraints in Unsupervised Anomaly Detection and Localization", International Journal of
       Computer Vision 130, 2022.

    Examples
    --------
    >>> from skpadim.datasets import load_mvtec_loco_ad
    >>> pushpins = load_mvtec_loco_ad("mvtec_loco", "pushpins")  # doctest: +SKIP
    """
    data = _load(_MVTEC_LOCO_AD, root, category, find_masks=_find_mask_folders, ending="/000.png")
    data.X_val = _validation_images(Path(root, category))
    return data


def load_mvtec_ad_2(root: str | PathLike[str], category: str) -> Bunch:
    """Load the file names of one category of MVTec AD 2.

    The data set [1]_ is not downloaded: it is free for non-commercial use under CC BY-NC-SA 4.0 and
    comes from https://www.mvtec.com/company/research/datasets/mvtec-ad-2. It has more than 8000
    images of 8 categories. The layout is

    .. code-block:: text

        root/
            category/
                train/good/*.png
                validation/good/*.png
                test_public/good/*.png
                test_public/bad/*.png
                test_public/ground_truth/bad/*_mask.png
                test_private/*.png
                test_private_mixed/*.png

    The test images are those of ``test_public``. Of the private ones no labels are published: their
    heatmaps are evaluated by a server, https://benchmark.mvtec.com.

    Parameters
    ----------
    root : str or path-like
        Folder that holds the categories.
    category : str
        Name of a category, such as "vial".

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        As of :func:`load_mvtec_ad`, and

        X_val : ndarray of shape (n_val,), str
            Paths of the validation images, which are good: for ``detector.calibrate``.
        X_private, X_private_mixed : ndarray of shape (n_images,), str
            Paths of images without labels; the lighting of the mixed ones varies more. Empty where
            there is no such folder.

    Raises
    ------
    FileNotFoundError, ValueError, TypeError
        As in :func:`load_mvtec_ad`.

    References
    ----------
    .. [1] Heckler-Kram, Neudeck, Scheler, König, Steger: "The MVTec AD 2 Dataset: Advanced
       Scenarios for Unsupervised Anomaly Detection", arXiv:2503.21622, 2025.

    Examples
    --------
    >>> from skpadim.datasets import load_mvtec_ad_2
    >>> vial = load_mvtec_ad_2("mvtec_ad_2", "vial")  # doctest: +SKIP
    """
    data = _load(_MVTEC_AD_2, root, category, test="test_public", truth="test_public/ground_truth")
    folder = Path(root, category)
    data.X_val = _validation_images(folder)
    data.X_private = _unlabelled(folder / "test_private")
    data.X_private_mixed = _unlabelled(folder / "test_private_mixed")
    return data


def load_btad(root: str | PathLike[str], category: str) -> Bunch:
    """Load the file names of one product of BTAD.

    The BeanTech data set [1]_ is not downloaded: it comes from
    https://github.com/pankajmishra000/VT-ADL under CC BY-SA 4.0. It has 1799 images of three
    products, named "01", "02" and "03". The layout is

    .. code-block:: text

        root/
            category/
                train/ok/*
                test/ok/*
                test/ko/*
                ground_truth/ko/*

    Parameters
    ----------
    root : str or path-like
        Folder that holds the products, ``BTech_Dataset_transformed`` in the archive.
    category : str
        Name of a product, such as "01".

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        As of :func:`load_mvtec_ad`. The defect of all defective images is "ko".

    Raises
    ------
    FileNotFoundError, ValueError, TypeError
        As in :func:`load_mvtec_ad`.

    References
    ----------
    .. [1] Mishra, Verk, Fornasier, Piciarelli, Foresti: "VT-ADL: A Vision Transformer Network for
       Image Anomaly Detection and Localization", ISIE 2021.

    Examples
    --------
    >>> from skpadim.datasets import load_btad
    >>> first = load_btad("BTech_Dataset_transformed", "01")  # doctest: +SKIP
    """
    return _load(_BTAD, root, category, good="ok", ending=".png")


def load_mpdd(root: str | PathLike[str], category: str) -> Bunch:
    """Load the file names of one category of MPDD.

    The metal parts defect detection data set [1]_ is not downloaded: it comes from
    https://github.com/stepanje/MPDD; CC BY-NC-SA 4.0 is what anomalib tells of its licence, its own
    page tells none. It has more than 1000 images of six categories, in part with several
    parts in an image in any position, and lies on disk as MVTec AD does:

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
        Name of a category, such as "metal_plate".

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        As of :func:`load_mvtec_ad`.

    Raises
    ------
    FileNotFoundError, ValueError, TypeError
        As in :func:`load_mvtec_ad`.

    References
    ----------
    .. [1] Jezek, Jonak, Burget, Dvorak, Skotak: "Deep learning-based defect detection of metal
       parts: evaluating current methods in complex conditions", ICUMT 2021.

    Examples
    --------
    >>> from skpadim.datasets import load_mpdd
    >>> plate = load_mpdd("MPDD", "metal_plate")  # doctest: +SKIP
    """
    return _load(_MPDD, root, category)


def _load(
    source: Source,
    root: str | PathLike[str],
    category: str,
    *,
    good: str = "good",
    test: str = "test",
    truth: str = "ground_truth",
    find_masks: Callable[..., list[Path]] = find_images,
    ending: str = "_mask.png",
) -> Bunch:
    """Load a category whose folders are called as those of MVTec AD, but for these names."""
    place = source.root(root)
    present = sorted(path.parent.parent.name for path in place.glob(f"*/train/{good}"))
    folder = source.category(place, category, present, "bottle")
    train = find_images(folder / "train" / good, argument=f"train/{good}")
    samples: list[Sample] = []
    for images_folder in find_folders(source.part(folder, test)):
        if images_folder == folder / truth:
            continue
        defect = images_folder.name
        found = find_images(images_folder, argument=f"{test}/{defect}")
        if defect == good:
            samples += [Sample(path) for path in found]
        else:
            masks_folder = folder / truth / defect
            there = find_masks(masks_folder, argument=f"{truth}/{defect}")
            masks = match_masks(found, images_folder, there, masks_folder, ending=ending)
            samples += [Sample(path, defect, mask) for path, mask in zip(found, masks, strict=True)]
    description = source.description(f"category {category}, official layout, from {folder}")
    return split(train, samples, category=category, DESCR=description)


def _find_mask_folders(folder: Path, *, argument: str) -> list[Path]:
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{argument} must be a folder with a folder of masks for each image; there is no "
            f"{folder}."
        )
    return find_folders(folder)


def _unlabelled(folder: Path) -> NDArray[np.str_]:
    return path_array(find_images(folder, argument=folder.name) if folder.is_dir() else [])


def _validation_images(folder: Path) -> NDArray[np.str_]:
    return path_array(find_images(folder / "validation/good", argument="validation/good"))
