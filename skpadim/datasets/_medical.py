"""Medical data sets with good images of which some are to be learnt from."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from sklearn.utils import Bunch, check_random_state

from skpadim._image_files import find_images
from skpadim.datasets._files import match_masks
from skpadim.datasets._samples import Sample, split
from skpadim.datasets._source import Source
from skpadim.datasets._table import read_lines

_HYPER_KVASIR = Source(
    "Hyper-Kvasir",
    "https://datasets.simula.no/hyper-kvasir/",
    "CC BY 4.0",
    """\
<root>/labeled-images/lower-gi-tract/anatomical-landmarks/cecum/*.jpg
<root>/segmented-images/images/*.jpg
<root>/segmented-images/masks/*.jpg""",
)
_LAG = Source(
    "LAG",
    "https://github.com/smilell/AG-CNN",
    "for academic purposes only",
    """\
<root>/non_glaucoma/image/*.jpg
<root>/suspicious_glaucoma/image/*.jpg""",
)


def load_hyper_kvasir(
    root: str | PathLike[str],
    *,
    train: str | PathLike[str] | None = None,
    random_state: Any = 0,
) -> Bunch:
    """Load the file names of Hyper-Kvasir as a one-class problem: polyps among healthy tissue.

    The data set [1]_ is not downloaded: it comes from https://datasets.simula.no/hyper-kvasir/
    under CC BY 4.0. Of it are read

    .. code-block:: text

        root/
            labeled-images/lower-gi-tract/anatomical-landmarks/cecum/*.jpg
            segmented-images/images/*.jpg
            segmented-images/masks/*.jpg

    The publication with an AUC of .92 of PaDiM [2]_ has 2100 good images, "cecum", "ascending
    colon" and "transverse colon", 1600 of them to train, and the 1000 segmented polyps as defective
    ones. Its split is not part of the official data, in which only the cecum has a folder. The
    authors offer theirs as an archive, see https://github.com/tianyu0207/CCD; load that by
    :func:`load_folder` or :func:`load_manifest`. Here the good images are those of the cecum, and
    the same share of them, 1600 of 2100, is for training: another, smaller set, whose figures are
    not those of [2]_.

    Parameters
    ----------
    root : str or path-like
        Folder that holds the folders labeled-images and segmented-images.
    train : str or path-like, default=None
        File of text with the names of the good images to train, one a line; all others are for
        testing. By default they are drawn.
    random_state : int, RandomState instance or None, default=0
        Draws the images to train.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        As of :func:`load_mvtec_ad`, without a category. The defect of all defective images is
        "polyp".

    Raises
    ------
    FileNotFoundError
        If the root, a folder of the layout, a mask or the file `train` is missing.
    ValueError
        If a folder has no image, a mask has no image or another size than its image, or `train`
        cannot be read or names an image that is not there or twice: the line is named.

    Notes
    -----
    Masks are JPEG files, which :func:`read_masks` takes from half of white on.

    References
    ----------
    .. [1] Borgli et al.: "HyperKvasir, a comprehensive multi-class image and video dataset for
       gastrointestinal endoscopy", Scientific Data 7, 2020.
    .. [2] Tian, Pang, Liu, Chen, Shin, Verjans, Singh, Carneiro: "Constrained Contrastive
       Distribution Learning for Unsupervised Anomaly Detection and Localisation in Medical Images",
       MICCAI 2021.

    Examples
    --------
    >>> from skpadim.datasets import load_hyper_kvasir
    >>> polyps = load_hyper_kvasir("hyper-kvasir")  # doctest: +SKIP
    """
    place = _HYPER_KVASIR.root(root)
    good_folder = _HYPER_KVASIR.part(
        place, "labeled-images", "lower-gi-tract", "anatomical-landmarks", "cecum"
    )
    images_folder, masks_folder = (
        _HYPER_KVASIR.part(place, "segmented-images", name) for name in ("images", "masks")
    )
    images = find_images(images_folder, argument="segmented-images/images")
    there = find_images(masks_folder, argument="segmented-images/masks")
    masks = match_masks(images, images_folder, there, masks_folder, ending=".jpg")
    return _one_class(
        _HYPER_KVASIR,
        place,
        find_images(good_folder, argument="cecum"),
        [Sample(path, "polyp", mask) for path, mask in zip(images, masks, strict=True)],
        train,
        1600 / 2100,
        random_state,
    )


def load_lag(
    root: str | PathLike[str],
    *,
    train: str | PathLike[str] | None = None,
    random_state: Any = 0,
) -> Bunch:
    """Load the file names of LAG as a one-class problem: glaucoma among healthy eyes.

    The data set [1]_ is not downloaded: its authors send it on request, for academic purposes only,
    see https://github.com/smilell/AG-CNN. The first part, LAG_database_part_1, has 4854 fundus
    images, 1711 of them of eyes with glaucoma. Of it are read

    .. code-block:: text

        root/
            non_glaucoma/image/*.jpg
            suspicious_glaucoma/image/*.jpg

    The publication with an AUC of .69 of PaDiM [2]_ trains with 2343 of the 3143 good images and
    tests with the other 800 and all images with glaucoma. Which they are is not published. Here as
    many are drawn, so that figures vary with the draw. The attention maps of the data set tell
    where ophthalmologists looked; they are no masks.

    Parameters
    ----------
    root : str or path-like
        Folder that holds the folders non_glaucoma and suspicious_glaucoma.
    train : str or path-like, default=None
        File of text with the names of the good images to train, one a line; all others are for
        testing. By default they are drawn: of 3143, 2343.
    random_state : int, RandomState instance or None, default=0
        Draws the images to train.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        As of :func:`load_mvtec_ad`, without a category and without masks. The defect of all
        defective images is "glaucoma".

    Raises
    ------
    FileNotFoundError
        If the root, a folder of the layout or the file `train` is missing.
    ValueError
        If a folder has no image, or `train` cannot be read or names an image that is not there or
        twice: the line is named.

    References
    ----------
    .. [1] Li, Xu, Wang, Jiang, Liu: "Attention Based Glaucoma Detection: A Large-scale Database and
       CNN Model", CVPR 2019.
    .. [2] Tian, Pang, Liu, Chen, Shin, Verjans, Singh, Carneiro: "Constrained Contrastive
       Distribution Learning for Unsupervised Anomaly Detection and Localisation in Medical Images",
       MICCAI 2021.

    Examples
    --------
    >>> from skpadim.datasets import load_lag
    >>> eyes = load_lag("LAG_database_part_1")  # doctest: +SKIP
    """
    place = _LAG.root(root)
    good, glaucoma = (
        find_images(_LAG.part(place, name, "image"), argument=f"{name}/image")
        for name in ("non_glaucoma", "suspicious_glaucoma")
    )
    defective = [Sample(path, "glaucoma") for path in glaucoma]
    return _one_class(_LAG, place, good, defective, train, 2343 / 3143, random_state)


def _one_class(
    source: Source,
    root: Path,
    good: Sequence[Path],
    defective: Sequence[Sample],
    train: str | PathLike[str] | None,
    share: float,
    random_state: Any,
) -> Bunch:
    if train is None:
        order = check_random_state(random_state).permutation(len(good))
        chosen = {good[index] for index in order[: round(share * len(good))]}
        how = f"{len(chosen)} training images drawn"
    else:
        chosen = _named(train, good)
        how = f"training images of {train}"
    return split(
        [path for path in good if path in chosen],
        [*map(Sample, (path for path in good if path not in chosen)), *defective],
        DESCR=source.description(f"{how}, from {root}"),
    )


def _named(train: str | PathLike[str], good: Sequence[Path]) -> set[Path]:
    by_name = {path.name: path for path in good}
    chosen: set[Path] = set()
    for number, line in enumerate(read_lines(train, "train").splitlines(), start=1):
        name = line.strip()
        if not name:
            continue
        if name not in by_name:
            raise ValueError(
                f"train, {train}, line {number}: {name!r} is none of the {len(good)} good images, "
                f"such as {good[0].name!r}."
            )
        if by_name[name] in chosen:
            raise ValueError(f"train, {train}, line {number}: {name!r} is named twice.")
        chosen.add(by_name[name])
    if not chosen:
        raise ValueError(f"train, {train}, names no image.")
    return chosen
