"""The command `skpadim`, for those who do not write Python, and for scripts."""

import gc
import warnings
from typing import Any

import click

from skpadim.cli._commands import commands
from skpadim.cli._text import visible_lines
from skpadim.cli._words import in_words

__all__: list[str] = []  # the command is what users see


def main() -> None:
    """Run the command on the arguments of this process."""
    # Imports make many objects that stay. To look through them for garbage takes 0.15 s
    # before the first result, and half a second when Python ends.
    gc.set_threshold(100_000)
    warnings.showwarning = _WarningLines()
    try:
        commands(prog_name=None)
    finally:
        gc.freeze()


class _WarningLines:
    """Warnings as lines; those of images once for each kind, whatever number of batches has it."""

    def __init__(self) -> None:
        self._shown: set[str] = set()

    def __call__(self, message: Warning | str, *details: Any, **more: Any) -> None:
        kind = getattr(message, "kind", None)
        if kind in self._shown:
            return
        if kind is not None:
            self._shown.add(kind)
        click.echo(visible_lines(f"Warning: {in_words(str(message))}"), err=True)
