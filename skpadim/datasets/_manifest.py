"""Images listed in a table."""

from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import Any

from sklearn.utils import Bunch

from skpadim.datasets._files import path_array
from skpadim.datasets._samples import Sample, labelled, split
from skpadim.datasets._table import Row, check_columns, existing, read_table

_GOOD, _DEFECTIVE = ("1", "+1", "good", "normal"), ("-1", "defective", "anomaly")
_SPLITS = ("train", "val", "test")


def load_manifest(
    manifest: str | PathLike[str] | Any, *, root: str | PathLike[str] | None = None
) -> Bunch:
    """Load the file names of images that a table lists.

    The table is a file of comma-separated values, or a DataFrame of pandas or polars. An example:

    .. code-block:: text

        path,label,mask,defect,split
        ok/0001.jpg,1,,,train
        ok/0002.jpg,1,,,test
        rejected/0412.jpg,-1,masks/0412.png,scratch,test

    Parameters
    ----------
    manifest : str, path-like or DataFrame
        The table. Its columns, of which others are left aside, are

        - path: of the image;
        - label: 1, "good" or "normal" for good images, -1, "defective" or "anomaly" for defective
          ones;
        - mask: path of the mask, in any form that :func:`read_masks` takes; empty or missing (None,
          NaN) where there is none. The column may be left out, as may the following;
        - defect: name of the defect, "defective" where it is empty;
        - split: "train", "val" or "test". What is not "test" must be good.
    root : str or path-like, default=None
        What relative paths are relative to: by default the folder of the file; of a DataFrame, the
        current folder.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Of a table with a column "split" as of :func:`load_mvtec_ad`, and

        X_val : ndarray of shape (n_val,), str
            Paths of the images of the split "val".

        Of a table without one as of :func:`load_folder`. Images are in the order of the table; of
        images only the sizes are read, where there are masks.

    Raises
    ------
    FileNotFoundError
        If the table, an image or a mask is missing.
    ValueError
        If the table cannot be read, lacks a column or has a value that is none of the above, or if
        a mask has another size than its image. The line is named.

    See Also
    --------
    load_folder : Images in folders of good and defective ones.

    Examples
    --------
    >>> from skpadim.datasets import load_manifest
    >>> parts = load_manifest("parts/manifest.csv")  # doctest: +SKIP
    """
    if isinstance(manifest, str | PathLike):
        rows = read_table(manifest, ("path", "label"), "manifest")
        folder, name = Path(manifest).parent if root is None else Path(root), str(manifest)
    elif hasattr(manifest, "to_dict") and hasattr(manifest, "columns"):
        check_columns(manifest.columns, ("path", "label"), "manifest")
        records: Iterable[tuple[Any, Any]]
        if hasattr(manifest, "to_dicts"):  # of polars, whose rows have no names
            records = enumerate(manifest.to_dicts())
        else:
            records = zip(manifest.index, manifest.to_dict("records"), strict=True)
        rows = [Row(f"manifest, row {index!r}", values) for index, values in records]
        folder, name = Path() if root is None else Path(root), "a DataFrame"
    else:
        raise TypeError(
            "manifest must be the path of a file of comma-separated values, or a DataFrame; got "
            f"{type(manifest).__name__}."
        )
    if not rows:
        raise ValueError(f"manifest lists no image: {name}.")
    description = f"{len(rows)} images listed in {name}."
    if "split" not in rows[0].values:
        return Bunch(**labelled([_sample(row, folder) for row in rows]), DESCR=description)
    parts: dict[str, list[Sample]] = {part: [] for part in _SPLITS}
    for row in rows:
        part = _text(row, "split")
        if part not in _SPLITS:
            raise ValueError(f"{row.where}: split must be train, val or test; got {part!r}.")
        sample = _sample(row, folder)
        if part != "test" and sample.defect != "good":
            raise ValueError(
                f"{row.where}: a defective image is of the split {part!r}; only good images are "
                "learnt from. Call it 'test' or leave it out."
            )
        parts[part].append(sample)
    return split(
        _images(parts["train"]),
        parts["test"],
        X_val=path_array(_images(parts["val"])),
        DESCR=description,
    )


def _sample(row: Row, root: Path) -> Sample:
    path = _text(row, "path")
    if not path:
        raise ValueError(f"{row.where}: path is empty.")
    image = existing(root, path, row.where)
    label, defect, mask = _text(row, "label"), _text(row, "defect"), _text(row, "mask")
    # A column of a DataFrame with missing values holds floats.
    label = label.removesuffix(".0").casefold()
    if label in _GOOD:
        if defect not in ("", "good"):
            raise ValueError(f"{row.where}: a good image has the defect {defect!r}.")
        return Sample(image)
    if label not in _DEFECTIVE:
        raise ValueError(
            f"{row.where}: label must be 1 (or good, normal) or -1 (or defective, anomaly), as "
            f"everywhere in scikit-learn's outlier detection; got {row.values['label']!r}."
        )
    if defect == "good":
        raise ValueError(f"{row.where}: a defective image has the defect 'good'.")
    return Sample(image, defect or "defective", existing(root, mask, row.where) if mask else None)


def _text(row: Row, column: str) -> str:
    value = row.values.get(column)
    # NaN and pandas' NA are the values of cells without one.
    return "" if value is None or str(value) in ("nan", "<NA>") else str(value).strip()


def _images(samples: Iterable[Sample]) -> list[Path]:
    return [sample.image for sample in samples]
