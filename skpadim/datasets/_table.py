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
    """Return the text of a file in UTF-8; errors name the line."""
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
    """Return the rows of a CSV file, without empty lines; errors name the line."""
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
    """Raise if a table lacks a column; `where` is what errors call the place."""
    names = list(there)
    missing = [name for name in columns if name not in names]
    if missing:
        raise ValueError(
            f"{where}: there is no column {', '.join(map(repr, missing))}, only "
            f"{', '.join(map(repr, names)) or 'none'}."
        )


def existing(root: Path, name: str, where: str) -> Path:
    """Return a file that a row names, relative to `root`; raise if it is missing."""
    path = root / name
    # "video.npy/17" is a mask in a file.
    if not (path.exists() or (path.parent.suffix == ".npy" and path.parent.is_file())):
        raise FileNotFoundError(f"{where}: there is no file {path}.")
    return path
