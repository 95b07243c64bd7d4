"""Names of files, and what else others may have chosen, as text that does no harm."""

import re

# What moves a terminal's cursor or ends a line, and what turns the direction of writing around.
_CONTROLS = "\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
_CONTROL = re.compile(f"[{_CONTROLS}]")

# A spreadsheet takes for a formula what begins with one of these, also in their full width; ";"
# parts cells in some countries. A quote is the mark of cells that were rewritten.
_UNSAFE_CELL = re.compile(f"^'|(?:^|;)[=+\\-@\uff0b\uff0d\uff1d\uff20]|[{_CONTROLS}]")
_REWRITTEN = re.compile(f"[\\\\;{_CONTROLS}]")
_NUMBER = re.compile(r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4}))")


def visible(text: str) -> str:
    r"""Return a text with its control characters in sight: the escape character as \x1b."""
    return _CONTROL.sub(_number, text)


def visible_lines(text: str) -> str:
    """Return several lines as `visible` does; no line but the first begins at the left."""
    return "\n  ".join(map(visible, text.split("\n")))


def to_cell(text: str) -> str:
    r"""Return a text that a spreadsheet takes for text, and that `from_cell` turns back.

    Nearly all texts are returned as they are. Others get a quote in front, and their control
    characters, semicolons and backslashes become \x1b, \x3b and \x5c.
    """
    return f"'{_REWRITTEN.sub(_number, text)}" if _UNSAFE_CELL.search(text) else text


def from_cell(cell: str) -> str:
    """Return the text that a cell was made from."""
    if not cell.startswith("'"):
        return cell
    return _NUMBER.sub(lambda found: chr(int(found[1] or found[2], 16)), cell[1:])


def _number(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
