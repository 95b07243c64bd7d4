"""Files that appear when they are complete."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def check_new_file(path: Path, *, overwrite: bool) -> None:
    """Raise, before long work, if a file cannot get this name, or may not replace one."""
    if path.is_dir():
        raise IsADirectoryError(f"path={str(path)!r} is a folder; give the name of a file in it.")
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"path={str(path)!r} lies in a folder that does not exist; make {path.parent} first."
        )
    if path.exists() and not overwrite:
        raise FileExistsError(
            f"path={str(path)!r} exists; give another path, or overwrite=True to replace it."
        )


@contextmanager
def new_file(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield an empty file that takes the name `path` in the end, or disappears on an error."""
    check_new_file(path, overwrite=overwrite)
    unfinished = path.parent / f".skpadim-{secrets.token_hex(8)}.part"
    try:
        unfinished.touch(exist_ok=False)
        mode = unfinished.stat().st_mode
    except OSError as error:
        raise OSError(
            error.errno, f"path={str(path)!r} cannot be written: {error.strerror}"
        ) from error
    try:
        yield unfinished
        unfinished.chmod(mode)  # some libraries write files that nobody else may read
        # On the disk before its name is: else a power cut could leave a name without content.
        with open(unfinished, "rb+") as file:
            os.fsync(file.fileno())
        check_new_file(path, overwrite=overwrite)  # the name may have been taken meanwhile
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
