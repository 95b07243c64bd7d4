"""VisA, by its official split."""

from os import PathLike

from sklearn.utils import Bunch

from skpadim.datasets._samples import Sample, split
from skpadim.datasets._source import Source
from skpadim.datasets._table import existing, read_table

_COLUMNS = ("object", "split", "label", "image", "mask")
_VISA = Source(
    "VisA",
    "https://github.com/amazon-science/spot-diff",
    "CC BY 4.0",
    """\
<root>/split_csv/1cls.csv
<root>/<category>/Data/Images/Normal/*.JPG
<root>/<category>/Data/Images/Anomaly/*.JPG
<root>/<category>/Data/Masks/Anomaly/*.png""",
)


def load_visa(root: str | PathLike[str], category: str) -> Bunch:
    """Load the file names of one category of VisA, split for one-class models.

    The data set [1]_ is not downloaded: it comes from https://github.com/amazon-science/spot-diff
    under CC BY 4.0. It has 10821 images of 12 categories, 1200 of them defective. The layout is

    .. code-block:: text

        root/
            split_csv/1cls.csv
            category/
                Data/Images/Normal/*.JPG
                Data/Images/Anomaly/*.JPG
                Data/Masks/Anomaly/*.png

    where ``1cls.csv`` is the official split for models that learn from good images only, with the
    columns object, split, label, image and mask.

    Parameters
    ----------
    root : str or path-like
        Folder that holds the categories.
    category : str
        Name of a category, such as "pcb1".

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        As of :func:`load_mvtec_ad`, in the order of the split file. The defect of all defective
        images is "anomaly". Masks hold numbers of kinds of defects; :func:`read_masks` takes all
        but 0.

    Raises
    ------
    FileNotFoundError
        If the root, the split file, or a file that it names is missing.
    ValueError
        If there is no such category in the split file, if that cannot be read, of which the line is
        named, or if a mask has another size than its image.
    TypeError
        If `category` is no str.

    References
    ----------
    .. [1] Zou, Jeong, Pemula, Zhang, Dabeer: "SPot-the-Difference Self-Supervised Pre-training for
       Anomaly Detection and Segmentation", ECCV 2022.

    Examples
    --------
    >>> from skpadim.datasets import load_visa
    >>> board = load_visa("VisA", "pcb1")  # doctest: +SKIP
    """
    place = _VISA.root(root)
    table = _VISA.part(place, "split_csv", "1cls.csv")
    rows = read_table(table, _COLUMNS, "split file")
    folder = _VISA.category(place, category, sorted({r.values["object"] for r in rows}), "pcb1")
    train, test = [], []
    for where, values in rows:
        if values["object"] != category:
            continue
        kind = values["split"], values["label"]
        image = existing(place, values["image"], where)
        if kind == ("train", "normal"):
            train.append(image)
        elif kind == ("test", "normal"):
            test.append(Sample(image))
        elif kind == ("test", "anomaly"):
            if not values["mask"]:
                raise ValueError(f"{where}: there is no mask of the anomaly {values['image']}.")
            test.append(Sample(image, "anomaly", existing(place, values["mask"], where)))
        else:
            raise ValueError(
                f"{where}: split and label must be 'train' and 'normal', 'test' and 'normal' or "
                f"'test' and 'anomaly'; got {kind[0]!r} and {kind[1]!r}."
            )
    return split(
        train,
        test,
        category=category,
        DESCR=_VISA.description(f"category {category}, split 1cls.csv, from {folder}"),
    )
