"""Tables of images: files of comma-separated values, and data frames."""

import csv
import io
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple


class Row(NamedTuple):
    """A row of a table, and what errors call it."""

    where: str
    values: Mapping[str, Any]


def read_lines(path: str | PathLike[str], argument: str) -> str:
    """Read a file of text.

    Parameters
    ----------
    path : str or path-like
        The file, in UTF-8.
    argument : str
        What errors call it.

    Returns
    -------
    str
        The text.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no text in UTF-8: the line is named.
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"{argument}: there is no file {path}.") from None
    try:
        # Spreadsheets write a mark before the text.
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = 1 + content[: error.start].count(b"\n")
        raise ValueError(f"{argument}, {path}, line {line}, is not text in UTF-8.") from error


def read_table(path: str | PathLike[str], columns: Iterable[str], argument: str) -> list[Row]:
    """Read a file of comma-separated values.

    Parameters
    ----------
    path : str or path-like
        The file, in UTF-8, with the names of the columns in its first line.
    columns : iterable of str
        Columns that must be there.
    argument : str
        What errors call the file.

    Returns
    -------
    list of Row
        Values as str, "" where there is none. Empty lines are left out.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no such file: the line is named.
    """
    reader = csv.DictReader(io.StringIO(read_lines(path, argument), newline=""), strict=True)
    rows = []
    try:
        names = reader.fieldnames or ()
        check_columns(names, columns, f"{argument}, {path}, line 1")
        for values in reader:
            where = f"{argument}, {path}, line {reader.line_num}"
            # Where there are more values than columns, or fewer.
            if None in values or None in values.values():
                raise ValueError(
                    f"{where}, does not have the {len(names)} values that line 1 names."
                )
            rows.append(Row(where, values))
    except csv.Error as error:
        raise ValueError(f"{argument}, {path}, line {reader.reader.line_num}: {error}.") from error
    return rows


def check_columns(there: Iterable[Any], columns: Iterable[str], where: str) -> None:
    """Make sure that a table has some columns.

    Parameters
    ----------
    there : iterable of object
        Columns that the table has.
    columns : iterable of str
        Columns that it must have.
    where : str
        What errors call the place.

    Raises
    ------
    ValueError
        If one is missing.
    """
    names = list(there)
    missing = [name for name in columns if name not in names]
    if missing:
        raise ValueError(
            f"{where}: there is no column {', '.join(map(repr, missing))}, only "
            f"{', '.join(map(repr, names)) or 'none'}."
        )


def existing(root: Path, name: str, where: str) -> Path:
    """Make sure that a file that a row names is there.

    Parameters
    ----------
    root : Path
        What relative names are relative to.
    name : str
        Name in the row.
    where : str
        What errors call the row.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    FileNotFoundError
        If it is missing.
    """
    path = root / name
    # "video.npy/17" is a mask in a file.
    if not (path.exists() or (path.parent.suffix == ".npy" and path.parent.is_file())):
        raise FileNotFoundError(f"{where}: there is no file {path}.")
    return path
