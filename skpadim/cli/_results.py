"""What a detector says of files, as rows, lines, images and summaries."""

import csv
import errno
import io
import json
import math
import os
import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from skpadim.cli._inputs import listed
from skpadim.cli._text import from_cell, to_cell, visible
from skpadim.cli._words import in_words

if TYPE_CHECKING:
    from skpadim import Inspection, PaDiM
    from skpadim._progress import ProgressBar
    from skpadim._sizes import Size
    from skpadim.images._frames import Frame

Row = dict[str, Any]


class _Result(NamedTuple):
    """What a detector says of a file; nothing of a bad one."""

    frame: "Frame"
    inspection: "Inspection | None" = None


def inspect(detector: "PaDiM", paths: Iterable[str | None]) -> Generator[list[_Result], None, None]:
    """Score any number of files, of which some may be bad, batch by batch."""
    import numpy as np

    from skpadim.images import ImageSequence
    from skpadim.images._frames import iter_frames

    embedder: Any = detector.embedder_
    size = image_size(embedder)
    frames = iter_frames(paths, size, embedder.batch_size, embedder.jpeg_draft, embedder.resample)
    with closing(frames):
        for batch in frames:
            inspections: Iterator[Any] = iter(())
            good = [frame for frame in batch if not frame.error]
            if good:
                files, pixels, sizes, _, depths = map(list, zip(*good, strict=True))
                pictures = ImageSequence(np.stack(pixels)).described(files, sizes, depths)
                inspections = iter(list(detector.iter_inspect(pictures)))
            yield [_Result(frame, None if frame.error else next(inspections)) for frame in batch]


def image_size(embedder: Any) -> "Size":
    """Return height and width of the images of an embedder, before any crop."""
    from skpadim._sizes import check_size

    return check_size(embedder.image_size, "image_size")


def row_of(detector: "PaDiM", result: _Result) -> Row:
    """Return what is told of a file, by the names of columns."""
    frame, inspection = result
    decision = "error"
    if inspection is not None:
        decision = "good" if inspection.decision == 1 else "defective"
    return {
        "path": frame.path,
        "score": None if inspection is None else inspection.score,
        "threshold": detector.offset_,
        "decision": decision,
        "error": in_words(frame.error) or None,
    }


class Lines:
    """Rows as lines of text: "csv", "jsonl", or None for people; `fields` of each row are told."""

    def __init__(self, form: str | None, fields: tuple[str, ...]) -> None:
        self.form = form
        self._fields = fields
        self.head = self._csv(list(fields)) if form == "csv" else ""

    def line(self, row: Row) -> str:
        values = {name: row[name] for name in self._fields}
        if self.form == "csv":
            return self._csv(list(values.values()))
        if self.form == "jsonl":
            return to_json(values) + "\n"
        score = "" if row["score"] is None else f"{row['score']:.2f}"
        reason = "" if row["error"] is None else f": {row['error']}"
        return f"{row['decision']:<9} {score:>9}  {visible(row['path'] + reason)}\n"

    def remembered(self, text: io.TextIOBase) -> Iterator[tuple[str, str]]:
        """Iterate over the paths and times that lines were written for."""
        if self.form == "csv":
            for row in csv.DictReader(text):
                yield from_cell(row["path"]), row["modified"]
        else:
            for row in map(json.loads, text):
                yield row["path"], row["modified"]

    @staticmethod
    def _csv(values: list[Any]) -> str:
        text = io.StringIO()
        cells = [to_cell(value) if isinstance(value, str) else value for value in values]
        csv.writer(text, lineterminator="\n").writerow(cells)
        return text.getvalue()


def to_json(value: Any) -> str:
    """Write JSON that is valid: null stands for numbers that it does not have."""

    def written(part: Any) -> Any:
        if isinstance(part, dict):
            return {name: written(item) for name, item in part.items()}
        if isinstance(part, list | tuple):
            return [written(item) for item in part]
        return None if isinstance(part, float) and not math.isfinite(part) else part

    return json.dumps(written(value), allow_nan=False)


def echo(text: str) -> None:
    """Write to standard output."""
    # Names of files need not be Unicode.
    click.echo(os.fsencode(text), nl=False)


def say(text: str) -> None:
    """Write a line to standard error."""
    click.echo(os.fsencode(visible(text)), err=True)


def table(rows: dict[str, str]) -> None:
    """Write names and values, for people."""
    width = max(map(len, rows))
    echo("".join(f"{name:<{width}}  {visible(value)}\n" for name, value in rows.items()))


def times(size: int | Iterable[int]) -> str:
    """Write a size, as 224 x 320."""
    return " x ".join(map(str, (size, size) if isinstance(size, int) else size))


def summary(counts: Counter[str], detector: "PaDiM") -> str:
    """Write how many images were good, defective and bad."""
    bad = f", {counts['error']} bad" if counts["error"] else ""
    return (
        f"{n_images(counts.total())}: {counts['good']} good, {counts['defective']} defective{bad} "
        f"(threshold {detector.offset_:.2f})"
    )


def n_images(number: int) -> str:
    """Write how many images there are."""
    return f"{number} image" if number == 1 else f"{number} images"


def on_terminal() -> int:
    """Return 1 if somebody looks at standard error, else 0: the verbosity."""
    return int(sys.stderr.isatty())


def progress_bar(paths: tuple[str, ...]) -> "ProgressBar":
    """Make a bar that is seen on a terminal only."""
    from skpadim._image_files import PassedOver
    from skpadim._progress import ProgressBar

    shown = on_terminal()
    # Counted first, and only for who looks: lists of all files would not stay small.
    total = sum(1 for _ in listed(paths, PassedOver())) if shown and "-" not in paths else None
    return ProgressBar(total=total, unit=" images", file=sys.stderr, disable=not shown)


def put(bar: "ProgressBar", write: Callable[[str], None], text: str) -> None:
    """Write text above a bar."""
    with bar.external_write_mode(file=sys.stdout):
        write(text)


def write_pictures(
    heatmaps: Path | None, masks: Path | None, name: str, result: _Result, size: "Size"
) -> str | None:
    """Write heatmap and mask of a good file, where they are wanted; return why a name cannot be."""
    frame, inspection = result
    assert inspection is not None
    what = "heatmap"
    try:
        if heatmaps is not None:
            _write_heatmap(heatmaps / f"{name}.heatmap.tiff", inspection, size)
        what = "mask"
        if masks is not None:
            _write_mask(masks / f"{name}.mask.png", inspection, frame.size)
    except OSError as error:
        # A full disk, on the other hand, is not of this file alone.
        if not (isinstance(error, _TAKEN_NAME) or error.errno in _NO_NAME):
            raise
        reason = os.strerror(error.errno) if error.errno else "A folder has its name"
        return f"its {what} cannot be written: {reason}."
    return None


# Names that are too long, or have characters that the disk does not take.
_NO_NAME = (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL)
# Those that something else has got: a.png.mask.png may be a folder of images.
_TAKEN_NAME = (FileExistsError, IsADirectoryError, NotADirectoryError)


def _write_heatmap(path: Path, inspection: "Inspection", size: "Size") -> None:
    """Write distances as 32-bit TIFF."""
    from PIL import Image

    _write_image(path, Image.fromarray(inspection.heatmap_at(size)), "TIFF")


def _write_mask(path: Path, inspection: "Inspection", size: "Size") -> None:
    """Write defective pixels as PNG."""
    import numpy as np
    from PIL import Image

    pixels = np.where(inspection.mask_at(size), 255, 0).astype(np.uint8)
    _write_image(path, Image.fromarray(pixels), "PNG")


def _write_image(path: Path, image: Any, form: str) -> None:
    from skpadim._files import new_file

    path.parent.mkdir(parents=True, exist_ok=True)
    with new_file(path, overwrite=True) as unfinished, open(unfinished, "wb") as file:
        image.save(file, form)
