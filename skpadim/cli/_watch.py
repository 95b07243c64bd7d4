"""Files as they appear, signals to stop, and the file that results are appended to."""

import csv
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from skpadim.cli._inputs import InputError
from skpadim.cli._results import Lines, Row, echo, say

if TYPE_CHECKING:
    from skpadim._image_files import PassedOver
    from skpadim.images._frames import Frame

# How often a waiting `watch` looks whether it is to stop, in seconds.
_NAP = 0.1


@contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Collect signals to stop, which else would end the process at once."""
    received: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)

    before = [
        signal.signal(number, lambda caught, _: received.append(caught)) for number in numbers
    ]
    try:
        yield received
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


@contextmanager
def opened(
    output: Path | None, lines: Lines
) -> Iterator[tuple[Callable[[str], None], dict[str, str]]]:
    """Open what results are appended to; what it has is remembered."""
    if output is None:
        echo(lines.head)
        yield echo, {}
        return
    descriptor = os.open(output, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
    try:

        def write(text: str) -> None:
            # In one piece, so that readers see whole lines, whoever else appends.
            content = os.fsencode(text)
            if os.write(descriptor, content) < len(content):
                raise OSError(f"{output} cannot be written: the disk is full.")

        _cut_unfinished_line(descriptor)
        try:
            with open(output, encoding="utf-8", errors="surrogateescape", newline="") as text:
                seen = dict(lines.remembered(text))
        except (KeyError, TypeError, ValueError, csv.Error) as error:
            raise InputError(
                f"{output} holds something else than results of watch; give another name."
            ) from error
        if os.fstat(descriptor).st_size == 0:
            write(lines.head)
        yield write, seen
    finally:
        os.close(descriptor)


def _cut_unfinished_line(descriptor: int) -> None:
    """Remove what a crash has left of a line."""
    end = position = os.fstat(descriptor).st_size
    while position > 0:
        start = max(0, position - 4096)
        os.lseek(descriptor, start, os.SEEK_SET)
        block = os.read(descriptor, position - start)
        if (newline := block.rfind(b"\n")) >= 0:
            position = start + newline + 1
            break
        position = start
    if position < end:
        os.ftruncate(descriptor, position)


class NewFiles:
    """Finished files of a folder; a bad one may become a good one for `grace` seconds."""

    def __init__(
        self, folder: Path, output: Path | None, grace: float, seen: dict[str, str]
    ) -> None:
        self._folder = folder
        self._output = output
        self._grace = grace
        self._seen = seen  # the times of files that are done with, by their paths below the folder
        self._before: dict[str, tuple[int, int]] = {}
        self._bad_since: dict[str, float] = {}
        self._troubles: list[str] = []
        self._endings: set[str] = set()
        self.n_unread = 0

    def arrivals(self, interval: float, once: bool, stopped: list[int]) -> Iterator[str | None]:
        """Iterate over files that are finished; None before it takes another look."""
        looks = 0
        while not stopped:
            for name in self._look():
                if stopped:
                    return
                yield str(self._folder / name)
            looks += 1
            if once and looks == 2:
                return
            yield None
            end = time.monotonic() + interval
            # No event to wait for: a handler that sets one can block in what it has interrupted.
            while not stopped and (left := end - time.monotonic()) > 0:
                time.sleep(min(_NAP, left))

    def settle(self, frame: "Frame") -> Row | None:
        """Return what to call a file in its row; None if it may yet become a good one."""
        name = self._name(frame.path)
        if frame.error:
            now = time.monotonic()
            if now - self._bad_since.setdefault(name, now) < self._grace:
                return None
        modified = _moment(self._before.pop(name)[0])
        self._bad_since.pop(name, None)
        self._seen[name] = modified
        return {"path": name, "modified": modified}

    def _name(self, path: str | Path) -> str:
        return Path(path).relative_to(self._folder).as_posix()

    def _look(self) -> list[str]:
        """List files that have not changed since the look before, oldest first."""
        from skpadim._image_files import PassedOver, iter_images

        seen, unseen = {}, {}
        passed_over = PassedOver()
        for path in iter_images(self._folder, passed_over, filter(None, [self._output])):
            try:
                status = path.stat()
            except FileNotFoundError:  # gone meanwhile
                continue
            except OSError as error:
                passed_over.unread[path] = f"cannot be read: {error.strerror}"
                continue
            name, modified = self._name(path), _moment(status.st_mtime_ns)
            if self._seen.get(name) == modified:
                seen[name] = modified
            else:
                unseen[name] = (status.st_mtime_ns, status.st_size)
        # A share that is away for a while, say, is not a reason to end, or to forget.
        for name in self._seen.keys() - seen.keys() - unseen.keys() if passed_over.unread else ():
            path = self._folder / name
            if not passed_over.unread.keys().isdisjoint((path, *path.parents)):
                seen[name] = self._seen[name]
        self._tell(passed_over)
        finished = [name for name, state in unseen.items() if self._before.get(name) == state]
        # What has gone is forgotten, so that this grows with the folder and not with time.
        self._seen, self._before = seen, unseen
        self._bad_since = {
            name: since for name, since in self._bad_since.items() if name in finished
        }
        return sorted(finished, key=lambda name: unseen[name][0])

    def _tell(self, passed_over: "PassedOver") -> None:
        """Tell of troubles when they come, and of each ending once."""
        for trouble in passed_over.troubles:
            if trouble not in self._troubles:
                say(f"Warning: {trouble}; trying again")
        if not passed_over.endings.keys() <= self._endings:
            say(f"passed over: {passed_over.kinds}")
        self._troubles = passed_over.troubles
        self._endings |= passed_over.endings.keys()
        self.n_unread = len(passed_over.unread)


def _moment(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 10**9)
    try:
        moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // 1000)
    except (OSError, OverflowError, ValueError):  # a disk may hold years beyond 9999
        return f"{nanoseconds} ns since 1970"
    return moment.isoformat(timespec="microseconds")
