"""Files that appear when they are complete."""

import os
import re
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

if sys.platform != "win32":
    import fcntl


def check_new_file(path: Path, *, overwrite: bool) -> None:
    """Raise, before long work, if a file cannot get this name, or may not replace one."""
    target = _target_of(path)
    if target.is_dir():
        raise IsADirectoryError(f"path={str(path)!r} is a folder; give the name of a file in it.")
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"path={str(path)!r} lies in a folder that does not exist; make {target.parent} first."
        )
    if target.is_symlink() or (target.exists() and not target.is_file()):
        raise OSError(
            f"path={str(path)!r} is a device, a pipe, or a link that leads to itself: these are "
            "not replaced. Give the name of a file."
        )
    if target.exists() and not overwrite:
        raise FileExistsError(
            f"path={str(path)!r} exists; give another path, or overwrite=True to replace it."
        )


@contextmanager
def new_file(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield where to write a file, which takes the name `path` in the end, or disappears.

    What is replaced passes its mode on, and where `path` is a link, it stays one: the file that it
    leads to is replaced. Other files may be made beside the one that is written.
    """
    check_new_file(path, overwrite=overwrite)
    target = _target_of(path)
    _sweep(target.parent)
    try:
        folder, lock = _make_folder(target.parent)
    except OSError as error:
        raise OSError(
            error.errno, f"path={str(path)!r} cannot be written: {error.strerror}"
        ) from error
    try:
        unfinished = folder / "unfinished"
        mode = (target if target.exists() else folder / "lock").stat().st_mode
        yield unfinished
        # On the disk before its name is: else a power cut could leave a name without content.
        with open(unfinished, "rb+") as file:
            os.fsync(file.fileno())
        unfinished.chmod(mode)  # some libraries write files that nobody else may read
        check_new_file(path, overwrite=overwrite)  # the name may have been taken meanwhile
        os.replace(unfinished, target)
    finally:
        lock.close()
        _remove(folder)


def _target_of(path: Path) -> Path:
    """Return the file that is written: behind links."""
    return Path(os.path.realpath(path))


# Unfinished files lie in a hidden folder beside the file to be. The folder holds a lock that the
# system gives back when its owner ends, however that comes: so it is known which are abandoned,
# whatever processes run, on this machine or on another that shares the disk.

_PART = re.compile(r"\.skpadim-[0-9a-f]{16}\.part")


def _make_folder(parent: Path) -> tuple[Path, BinaryIO]:
    """Make a folder for an unfinished file; it is in use as long as its lock is open."""
    while True:
        folder = parent / f".skpadim-{secrets.token_hex(8)}.part"
        folder.mkdir(mode=0o700)
        lock = open(folder / "lock", "wb")  # noqa: SIM115 (the caller closes it)
        if _take(lock):
            return folder, lock
        lock.close()


def _take(lock: BinaryIO) -> bool:
    """Lock a new file; return False if another process was quicker, and sweeps it."""
    if sys.platform != "win32":  # where what is open cannot be removed
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            pass  # a disk without locks, on which nothing is swept
    return os.path.exists(lock.name)


@lru_cache(maxsize=1000)  # once in each folder, which may hold very many files
def _sweep(parent: Path) -> None:
    """Remove what processes have left behind that were killed while they wrote."""
    with suppress(OSError), os.scandir(parent) as entries:
        for folder in [Path(entry.path) for entry in entries if _PART.fullmatch(entry.name)]:
            with suppress(OSError):  # somebody writes there
                _remove_abandoned(folder)


def _remove_abandoned(folder: Path) -> None:
    """Remove a folder, or raise OSError if its writer lives."""
    if sys.platform == "win32":
        (folder / "lock").unlink()
        _remove(folder)
    else:
        with open(folder / "lock", "rb+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(folder)


def _remove(folder: Path) -> None:
    # Files only, and no deeper: several times as fast as shutil, and harmless in any other folder.
    with suppress(OSError):  # another process is at it, too
        for name in os.listdir(folder):
            os.unlink(folder / name)
        folder.rmdir()
