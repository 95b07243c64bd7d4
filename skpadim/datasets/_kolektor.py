"""The surface-defect data sets of Kolektor."""

from os import PathLike
from pathlib import Path

import numpy as np
from sklearn.utils import Bunch

from skpadim._image_files import find_images, natural_order
from skpadim._masks import read_mask
from skpadim.datasets._samples import Sample, labelled, split
from skpadim.datasets._source import Source

_SDD = Source(
    "KolektorSDD",
    "https://www.vicos.si/resources/kolektorsdd/",
    "CC BY-NC-SA 4.0",
    """\
<root>/kos<number>/Part<number>.jpg
<root>/kos<number>/Part<number>_label.bmp""",
)
_SDD2 = Source(
    "KolektorSDD2",
    "https://www.vicos.si/resources/kolektorsdd2/",
    "CC BY-NC-SA 4.0",
    """\
<root>/train/<number>.png
<root>/train/<number>_GT.png
<root>/test/<number>.png
<root>/test/<number>_GT.png""",
)


def load_kolektor_sdd(root: str | PathLike[str]) -> Bunch:
    """Load the file names of KolektorSDD.

    The data set [1]_ is not downloaded: it is free for non-commercial use under CC BY-NC-SA 4.0 and
    comes from https://www.vicos.si/resources/kolektorsdd/. It has 399 images of the surfaces of 50
    commutators, of which 52 are defective. The layout is

    .. code-block:: text

        root/
            kos01/Part0.jpg
            kos01/Part0_label.bmp
            ...
            kos50/...

    There is no split into good images to learn from and others to test. The official three folds,
    for supervised models, keep the images of a commutator together; they come as a Python pickle,
    which is not read, because reading one can run anything. Folds of the same kind are made from
    ``groups``; a detector leaves the defective images of the training part out.

    Parameters
    ----------
    root : str or path-like
        Folder that holds kos01 and its siblings.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        As of :func:`load_folder`, in natural order. The defect of all defective images is
        "defective". And

        groups : ndarray of shape (n_samples,), str
            The commutators, as "kos01".

    Raises
    ------
    FileNotFoundError
        If the root, all folders in it, or the mask of an image is missing.
    ValueError
        If a mask cannot be read, or has another size than its image.

    Notes
    -----
    An image is defective where its mask is not black, so all masks are read, one by one.

    References
    ----------
    .. [1] Tabernik, Šela, Skvarč, Skočaj: "Segmentation-based deep-learning approach for
       surface-defect detection", Journal of Intelligent Manufacturing 31, 2020.

    Examples
    --------
    >>> from sklearn.model_selection import GroupKFold
    >>> from skpadim.datasets import load_kolektor_sdd
    >>> data = load_kolektor_sdd("KolektorSDD")  # doctest: +SKIP
    >>> folds = GroupKFold(3).split(data.X, data.y, data.groups)  # doctest: +SKIP
    """
    place = _SDD.root(root)
    images = [
        path
        for folder in place.glob("kos*")
        if folder.is_dir()
        for path in find_images(folder, argument=folder.name)
        if path.suffix.lower() != ".bmp"
    ]
    if not images:
        raise FileNotFoundError(f"root holds no images: {place}. {_SDD.expected()}")
    images.sort(key=natural_order)
    samples = [_sample(path, path.with_name(f"{path.stem}_label.bmp")) for path in images]
    return Bunch(
        **labelled(samples),
        groups=np.array([path.parent.name for path in images], dtype=np.str_),
        DESCR=_SDD.description(f"{len(samples)} images from {place}"),
    )


def load_kolektor_sdd2(root: str | PathLike[str]) -> Bunch:
    """Load the file names of KolektorSDD2.

    The data set [1]_ is not downloaded: it is free for non-commercial use under CC BY-NC-SA 4.0 and
    comes from https://www.vicos.si/resources/kolektorsdd2/. It has 2331 images to train, 246 of
    them defective, and 1004 to test, 110 of them defective. The layout is

    .. code-block:: text

        root/
            train/10000.png
            train/10000_GT.png
            ...
            test/20000.png
            test/20000_GT.png
            ...

    Parameters
    ----------
    root : str or path-like
        Folder that holds the folders train and test.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        As of :func:`load_mvtec_ad`, without a category. The defective images of the official
        training set, which is for supervised models, are left out. The defect of all others is
        "defective".

    Raises
    ------
    FileNotFoundError
        If the root, a folder of the layout, or the mask of an image is missing.
    ValueError
        If a folder has no image, a mask cannot be read, or has another size than its image.

    Notes
    -----
    An image is defective where its mask is not black, so all masks are read, one by one.

    References
    ----------
    .. [1] Božič, Tabernik, Skočaj: "Mixed supervision for surface-defect detection: from weakly to
       fully supervised learning", Computers in Industry 129, 2021.

    Examples
    --------
    >>> from skpadim.datasets import load_kolektor_sdd2
    >>> surfaces = load_kolektor_sdd2("KolektorSDD2")  # doctest: +SKIP
    """
    place = _SDD2.root(root)
    parts = {}
    for part in ("train", "test"):
        found = find_images(_SDD2.part(place, part), argument=part)
        images = [path for path in found if not path.stem.endswith("_GT")]
        parts[part] = [_sample(path, path.with_name(f"{path.stem}_GT.png")) for path in images]
    return split(
        [sample.image for sample in parts["train"] if sample.defect == "good"],
        parts["test"],
        DESCR=_SDD2.description(f"official split, from {place}"),
    )


def _sample(image: Path, mask: Path) -> Sample:
    if not mask.exists():
        raise FileNotFoundError(f"{image} has no mask: {mask} is missing.")
    if read_mask(mask, "mask").any():
        return Sample(image, "defective", mask)
    return Sample(image)
