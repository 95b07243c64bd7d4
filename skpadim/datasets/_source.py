"""Published data sets: where they come from, and how they lie on disk."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path


@dataclass(frozen=True)
class Source:
    """What errors and descriptions tell of a data set.

    Attributes
    ----------
    name : str
        Its name.
    url : str
        Where it can be had.
    licence : str
        What may be done with it.
    layout : str
        Files below the root, one kind a line.
    """

    name: str
    url: str
    licence: str
    layout: str

    def root(self, root: str | PathLike[str]) -> Path:
        """Make sure that there is a root.

        Parameters
        ----------
        root : str or path-like
            What the user has given.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        FileNotFoundError
            If it is missing; tells where the data set can be had.
        """
        folder = Path(root)
        if not folder.is_dir():
            raise FileNotFoundError(
                f"root must be the folder of {self.name}; there is no folder {folder}. "
                f"{self.expected()}"
            )
        return folder

    def part(self, root: Path, *parts: str) -> Path:
        """Make sure that a folder or file of the layout is there.

        Parameters
        ----------
        root : Path
            Folder.
        *parts : str
            Names of folders in it, one in another, and of the file.

        Returns
        -------
        Path
            The place.

        Raises
        ------
        FileNotFoundError
            If it is missing; tells where the data set can be had, and the layout.
        """
        place = root.joinpath(*parts)
        if not place.exists():
            raise FileNotFoundError(f"There is no {place}. {self.expected()}")
        return place

    def category(self, root: Path, category: str, present: Iterable[str], example: str) -> Path:
        """Make sure that a category is among those there are.

        Parameters
        ----------
        root : Path
            Folder of the data set.
        category : str
            What the user has given.
        present : iterable of str
            Categories there are.
        example : str
            One of them, for errors.

        Returns
        -------
        Path
            Its folder.

        Raises
        ------
        FileNotFoundError
            If there are none.
        ValueError
            If it is not among them; names the closest.
        TypeError
            If it is no str.
        """
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
        """Tell where the data set can be had, and its layout.

        Returns
        -------
        str
            End of an error.
        """
        return (
            f"The data set can be had from {self.url} ({self.licence}). Expected layout:\n"
            f"{self.layout}"
        )

    def description(self, what: str) -> str:
        """Describe what was loaded.

        Parameters
        ----------
        what : str
            Of the data set.

        Returns
        -------
        str
            The description, with licence and source.
        """
        return f"{self.name}, {what}. {self.licence}, {self.url}"
