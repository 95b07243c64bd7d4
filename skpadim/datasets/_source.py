"""Published data sets: where they come from, and how they lie on disk."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path


@dataclass(frozen=True)
class Source:
    """What errors and descriptions say about a data set; `layout` has one kind of files a line."""

    name: str
    url: str
    licence: str
    layout: str

    def root(self, root: str | PathLike[str]) -> Path:
        """Return the root folder; if it is missing, the error says where the data can be had."""
        folder = Path(root)
        if not folder.is_dir():
            raise FileNotFoundError(
                f"root must be the folder of {self.name}; there is no folder {folder}. "
                f"{self.expected()}"
            )
        return folder

    def part(self, root: Path, *parts: str) -> Path:
        """Return a folder or file of the layout; if it is missing, the error has the layout."""
        place = root.joinpath(*parts)
        if not place.exists():
            raise FileNotFoundError(f"There is no {place}. {self.expected()}")
        return place

    def category(self, root: Path, category: str, present: Iterable[str], example: str) -> Path:
        """Return the folder of a category; if it is missing, the error has the closest name."""
        if not isinstance(category, str):
            raise TypeError(
                f"category must be the name of one category, as {example!r}; got {category!r}."
            )
        names = list(present)
        if not names:
            raise FileNotFoundError(f"root holds no category: {root}. {self.expected()}")
        if category not in names:
            close = difflib.get_close_matches(category, names, n=1, cutoff=0.5)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise ValueError(
                f"category {category!r} is not in {root}.{hint} There are: {', '.join(names)}."
            )
        return root / category

    def expected(self) -> str:
        """Return the end of an error: where the data set can be had, and its layout."""
        return (
            f"The data set can be had from {self.url} ({self.licence}). Expected layout:\n"
            f"{self.layout}"
        )

    def description(self, what: str) -> str:
        """Return the description of what was loaded, with licence and source."""
        return f"{self.name}, {what}. {self.licence}, {self.url}"
