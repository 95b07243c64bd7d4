"""What arguments mean: sizes, models, and paths of files and folders."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import TYPE_CHECKING, Any

import click

from skpadim.cli._text import visible_lines

if TYPE_CHECKING:
    from skpadim import PaDiM
    from skpadim._image_files import PassedOver


class InputError(click.ClickException):
    """What cannot be used, in one line."""

    exit_code = 2

    def format_message(self) -> str:
        return visible_lines(self.message)


class Size(click.ParamType):
    """N or HEIGHTxWIDTH."""

    name = "pixels"

    def convert(self, value: Any, param: Any, ctx: Any) -> int | tuple[int, int]:
        match = re.fullmatch(r"([1-9]\d*)(?:x([1-9]\d*))?", value)
        if match is None:
            self.fail(f"{value!r} is neither a number, as 224, nor HEIGHTxWIDTH, as 224x320.")
        height, width = match.groups()
        return int(height) if width is None else (int(height), int(width))


class NumberOrShare(click.ParamType):
    """A number, as 100, or a share, as 0.5."""

    name = "number or share"

    def convert(self, value: Any, param: Any, ctx: Any) -> int | float:
        with suppress(ValueError):
            number = int(value) if str(value).isdecimal() else float(value)
            if (isinstance(number, int) and number > 0) or 0 < number <= 1:
                return number
        self.fail(f"{value!r} is neither a number, as 100, nor a share up to 1, as 0.5.")


class Weights(click.Path):
    """A file, or "imagenet"."""

    def __init__(self) -> None:
        super().__init__(exists=True, dir_okay=False, path_type=Path)

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        return value if value == "imagenet" else super().convert(value, param, ctx)


def load_detector(model: Path, network: dict[str, Any], *, decides: bool = True) -> "PaDiM":
    """Read a detector of images, to be run as the options say; one that decides has a threshold."""
    from skpadim import PatchEmbedder, load
    from skpadim._threshold import check_calibrated

    network = {name: value for name, value in network.items() if value is not None}
    # Not mapped: whoever copies a new model over this one would end the process.
    detector = load(model, weights=network.pop("weights", None), mmap=False)
    if not isinstance(detector.embedder_, PatchEmbedder):
        raise InputError(f"{model} takes embeddings; this command is for images.")
    for embedder in (detector.embedder, detector.embedder_):
        if isinstance(embedder, PatchEmbedder):
            embedder.set_params(**network)
    if decides and not hasattr(detector, "offset_"):
        raise InputError(f"{model} has no threshold yet: skpadim calibrate {model} GOOD_DIR")
    if decides:
        check_calibrated(detector)
    return detector


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Refuse a file to write that is there, or whose folder is not."""
    from skpadim._files import check_new_file

    try:
        check_new_file(path, overwrite=overwrite)
    except FileExistsError as error:
        raise InputError(f"{path} exists; give another name, or --overwrite.") from error
    except FileNotFoundError as error:
        raise InputError(f"{path} lies in a folder that does not exist.") from error


def listed(paths: tuple[str, ...], passed_over: "PassedOver") -> Iterator[str | None]:
    """Iterate over images, those in folders and on standard input; None where it has to wait."""
    from skpadim._image_files import iter_images

    for path in paths:
        if path == "-":
            yield from _from_stdin()
        elif os.path.isdir(path):
            yield from map(str, iter_images(Path(path), passed_over))
        else:
            yield path


def _from_stdin() -> Iterator[str | None]:
    """Iterate over lines; None where the next one has not come yet."""
    # A file of its own: Python, when it ends, would wait for a thread that reads sys.stdin.
    lines = open(os.dup(sys.stdin.fileno()), "rb")  # noqa: SIM115 (the thread has it)
    queue: Queue[bytes] = Queue(maxsize=1000)

    def read() -> None:
        for line in lines:
            queue.put(line)
        queue.put(b"")

    Thread(target=read, name="skpadim-stdin", daemon=True).start()
    while True:
        try:
            line = queue.get_nowait()
        except Empty:
            yield None
            line = queue.get()
        if not line:
            return
        if path := os.fsdecode(line.rstrip(b"\r\n")):
            yield path


def check_folders(inputs: list[Path], outputs: list[Path], overwrite: bool) -> None:
    """Refuse folders without an image, and folders that results are not to be written into."""
    from skpadim._image_files import PassedOver, absolute, is_hidden, iter_images, no_images

    for folder in inputs:
        passed_over = PassedOver()
        if next(iter_images(folder, passed_over), None) is None:
            raise InputError(str(no_images(str(folder), folder, passed_over)))
        for output in outputs:
            if absolute(output).is_relative_to(absolute(folder)):
                raise InputError(
                    f"{output} lies in {folder}, whose images would become those written there."
                )
    for output in outputs:
        there = output.iterdir() if output.is_dir() and not overwrite else ()
        if not all(is_hidden(path.name) for path in there):
            raise InputError(f"{output} is not empty; give another folder, or --overwrite.")


def common_folder(paths: tuple[str, ...]) -> str:
    """Return the folder that holds all images, and in which their names differ."""
    absolute = map(os.path.abspath, paths)
    return os.path.commonpath(
        [path if os.path.isdir(path) else os.path.dirname(path) for path in absolute]
    )


def name_below(root: str | None, path: str) -> str:
    """Return a path as seen from a folder, or from the root of the disk."""
    path = os.path.abspath(path)
    return os.path.relpath(path, root or Path(path).anchor)
