"""Images in folders."""

import os
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from PIL import features

from skpadim._estimators import caller_level

# What may be read: endings of files, and Pillow's names of their formats. These are formats of
# pixels that Pillow decodes by itself; EPS, for one, would start Ghostscript. They stand in the
# order in which they are to be tried: TGA, which has no signature, comes last.
_FORMATS = {
    **{".png": "PNG", ".apng": "PNG"},
    **{".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".jfif": "JPEG"},
    **{".bmp": "BMP", ".dib": "DIB", ".gif": "GIF"},
    **{".pgm": "PPM", ".ppm": "PPM", ".pbm": "PPM", ".pnm": "PPM"},
    **{".tif": "TIFF", ".tiff": "TIFF", ".webp": "WEBP", ".jp2": "JPEG2000", ".avif": "AVIF"},
    ".tga": "TGA",
}
# What Pillow is built with or without, or, if it is old, knows nothing of.
_OPTIONAL = {"WEBP": "webp", "JPEG2000": "jpg_2000", "AVIF": "avif"}


def _is_decodable(form: str) -> bool:
    """Return whether the installed Pillow decodes a format."""
    feature = _OPTIONAL.get(form)
    known = (*features.modules, *features.codecs)
    return feature is None or (feature in known and bool(features.check(feature)))


#: Endings of image files, with Pillow's name of the format that each stands for.
IMAGE_EXTENSIONS = {ending: form for ending, form in _FORMATS.items() if _is_decodable(form)}

#: Pillow's names of the formats that may be opened. A JPEG of several pictures becomes an "MPO".
PILLOW_FORMATS = tuple(dict.fromkeys(IMAGE_EXTENSIONS.values()))


@dataclass
class PassedOver:
    """What a search for images has come across and not taken, to be told."""

    #: How many files of other kinds there are, by the endings of their names.
    endings: Counter[str] = field(default_factory=Counter)
    #: What cannot be read, and why: folders, links that lead nowhere, pipes.
    unread: dict[Path, str] = field(default_factory=dict)
    #: Links to folders that are searched anyway, or that hold one that is.
    links: list[Path] = field(default_factory=list)

    @property
    def kinds(self) -> str:
        """How many files of which other kinds there are, the most frequent first."""
        kinds = [f"{n} {ending or 'without an ending'}" for ending, n in self.endings.most_common()]
        return ", ".join(_first(kinds))

    @property
    def troubles(self) -> list[str]:
        """What cannot be read and which links are not followed, a line each."""
        unread = [f"{str(path)!r} {reason}" for path, reason in self.unread.items()]
        links = [
            f"{str(path)!r} is not followed: it is a link to what is searched anyway, or above it"
            for path in self.links
        ]
        return _first(unread) + _first(links)

    def __str__(self) -> str:
        kinds = [f"passed over: {self.kinds}"] if self.kinds else []
        return "; ".join(kinds + self.troubles)


def _first(items: list[str], most: int = 10) -> list[str]:
    return items if len(items) <= most else [*items[:most], f"{len(items) - most} more"]


def find_images(folder: Path, *, argument: str, leave_out: Iterable[Path] = ()) -> list[Path]:
    """Return all images below a folder, in natural order; messages call it `argument`."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{argument} must be a folder with images; there is no {folder}.")
    passed_over = PassedOver()
    leave_out = list(leave_out)
    images = list(iter_images(folder, passed_over, leave_out))
    if not images:
        raise no_images(argument, folder, passed_over, leave_out)
    if told := str(passed_over):
        warnings.warn(f"{argument}, {folder}: {told}.", UserWarning, stacklevel=caller_level())
    return sorted(images, key=natural_order)


def no_images(
    argument: str, folder: Path, passed_over: PassedOver, leave_out: Iterable[Path] = ()
) -> ValueError:
    """Return the error of a folder in which a search has found no image."""
    if folder in passed_over.unread:
        return ValueError(f"{argument} has no image: {folder} {passed_over.unread[folder]}.")
    inner = [str(other) for other in leave_out if absolute(folder) in absolute(other).parents]
    return ValueError(
        f"{argument} has no image: nothing in or below {folder} ends in one of "
        f"{', '.join(sorted(IMAGE_EXTENSIONS))}."
        + (f" Not counted is what lies in {', '.join(inner)}." if inner else "")
        + (f" In it: {passed_over}." if str(passed_over) else "")
    )


def iter_images(
    folder: Path, passed_over: PassedOver, leave_out: Iterable[Path] = ()
) -> Iterator[Path]:
    """Yield the images below a folder in natural order; note in `passed_over` what is not taken."""
    # Links to folders are followed, unless they lead to where this search or one of `leave_out`
    # comes anyway: so none is followed in circles, and no image comes twice.
    others = {absolute(other) for other in leave_out}
    places = filter(os.path.isdir, (folder, *others))
    searched = {Path(os.path.realpath(place)) for place in places}
    above = {parent for place in searched for parent in place.parents}
    pending = [_entries(folder, passed_over, is_first=True)]
    while pending:
        entry = next(pending[-1], None)
        if entry is None:
            pending.pop()
            continue
        path = Path(entry.path)
        if others and absolute(path) in others:
            continue
        ending = path.suffix.lower()
        if _holds(entry.is_dir):
            if entry.is_symlink():
                target = Path(os.path.realpath(path))
                if target in above or not searched.isdisjoint((target, *target.parents)):
                    passed_over.links.append(path)
                    continue
                searched.add(target)
                above.update(target.parents)
            pending.append(_entries(path, passed_over))
        elif entry.is_symlink() and not os.path.exists(path):
            passed_over.unread[path] = "is a link that leads nowhere"
        elif ending not in IMAGE_EXTENSIONS:
            passed_over.endings[ending] += 1
        elif _holds(entry.is_file):
            yield path
        else:
            passed_over.unread[path] = "is a pipe, a socket or a device"


def _entries(
    folder: Path, passed_over: PassedOver, is_first: bool = False
) -> Iterator[os.DirEntry[str]]:
    """Return what is in a folder, in natural order, without what is hidden."""
    try:
        with os.scandir(folder) as found:
            entries = [entry for entry in found if not is_hidden(entry.name)]
    except OSError as error:
        if is_first or not isinstance(error, FileNotFoundError):  # else it is gone meanwhile
            passed_over.unread[folder] = f"cannot be read: {error.strerror}"
        return iter(())
    return iter(sorted(entries, key=lambda entry: natural_order(Path(entry.name))))


def _holds(question: Callable[[], bool]) -> bool:
    try:
        return question()
    except OSError:  # a link in a circle, say
        return False


def find_folders(folder: Path) -> list[Path]:
    """Return the folders in a folder, in natural order, without hidden ones."""
    found = (path for path in folder.iterdir() if path.is_dir() and not is_hidden(path.name))
    return sorted(found, key=natural_order)


def is_hidden(name: str) -> bool:
    """Return whether a name is the system's: "._name.png" of macOS, "@eaDir", any first dot."""
    return name.startswith(".") or name in ("@eaDir", "Thumbs.db", "desktop.ini")


def absolute(path: Path) -> Path:
    """Return a path without "..", so that folders can be compared; links are not followed."""
    return Path(os.path.abspath(path))


def natural_order(path: Path) -> tuple:
    """Return the sort key of a path: text and numbers in turn, letter case last."""
    parts = re.split(r"(\d+)", path.as_posix().casefold())
    return [int(part) if part.isdecimal() else part for part in parts], path.as_posix()
