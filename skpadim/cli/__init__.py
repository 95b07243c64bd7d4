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
    warnings.showwarning = _show_warning
    try:
        commands(prog_name=None)
    finally:
        gc.freeze()


def _show_warning(message: Warning | str, *details: Any, **more: Any) -> None:
    click.echo(visible_lines(f"Warning: {in_words(str(message))}"), err=True)
